import { readdirSync, readFileSync } from "node:fs";
import t from "tap";
import { VerifierError } from "../../src/errors.ts";

/** From verifier/dist/test/support, where this runs. */
const folder = new URL("../../../../spec/", import.meta.url);

/** The value of spec/vectors/README.md that stands for bytes. */
export type Bytes = string | { base64: string } | { repeat: Bytes; times: number } | Bytes[];

export function bytesOf(value: Bytes): Uint8Array {
  if (typeof value === "string") return Buffer.from(value);
  if (Array.isArray(value)) return Buffer.concat(value.map(bytesOf));
  if ("base64" in value) return Buffer.from(value.base64, "base64");
  return Buffer.concat(Array.from({ length: value.times }, () => bytesOf(value.repeat)));
}

export function fromHex(hex: string): Uint8Array {
  return Buffer.from(hex, "hex");
}

export function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

export function readVectors<Shape>(name: string): Shape {
  return JSON.parse(readSpec(`vectors/${name}`)) as Shape;
}

export function readSpec(name: string): string {
  return readFileSync(new URL(name, folder), "utf8");
}

export function vectorFiles(): string[] {
  return readdirSync(new URL("vectors/", folder)).filter((name) => name.endsWith(".json"));
}

/** @returns the result, or the code of the VerifierError that was thrown; anything else that is thrown is passed on. */
export function codeOr<Result>(run: () => Result): Result | { wantErr: string } {
  try {
    return run();
  } catch (error) {
    if (error instanceof VerifierError) return { wantErr: error.code };
    throw error;
  }
}

/**
 * Runs all cases of a list and asserts once: that each gives the results that its members of the same names hold, or is
 * refused with its code.
 * @param run gives the results, or the refusal as {@link codeOr} gives it
 */
export function checkCases<Case extends { desc?: string; wantErr?: string }>(
  name: string,
  cases: readonly Case[],
  run: (one: Case) => Record<string, unknown> | Promise<Record<string, unknown>>,
): void {
  t.test(`${name}: ${cases.length} cases`, async (t) => {
    const wrong: unknown[] = [];
    for (const [position, one] of cases.entries()) {
      const found = await run(one);
      const names = one.wantErr === undefined ? Object.keys(found) : ["wantErr"];
      const wanted = Object.fromEntries(names.map((member) => [member, (one as Record<string, unknown>)[member]]));
      if (names.length === 0 || JSON.stringify(found) !== JSON.stringify(wanted)) {
        wrong.push({ position, desc: one.desc, found, wanted });
      }
    }
    t.ok(cases.length > 0);
    t.same(wrong, []);
  });
}
