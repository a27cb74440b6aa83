import fc from "fast-check";
import type t from "tap";

/** One assertion for all runs; a failure is thrown with the smallest example. */
export function property<T extends [unknown, ...unknown[]]>(
  test: Pick<typeof t, "pass">,
  checked: fc.IPropertyWithHooks<T>,
  parameters?: fc.Parameters<T>,
): void {
  fc.assert(checked, parameters);
  test.pass("holds for every example");
}
