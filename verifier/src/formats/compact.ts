import { isCount } from "./text.ts";

/** The compact form of spec/entry.md, which entries and disclosures have. */

/** Objects and arrays are nested at most this deep, the outermost being the first. */
const maxDepth = 64;

/**
 * @param integers whether every number must be an integer from 0 to 2^53 − 1, as in entries
 * @returns the value, or what is wrong: it is not JSON, not what ECMAScript's `JSON.stringify(JSON.parse(text))` gives
 * back, nested too deep, or has another number
 */
export function parseCompact(text: string, integers: boolean): { value: unknown } | { wrong: string } {
  let value: unknown;
  let compact: string | undefined;
  try {
    value = JSON.parse(text);
    compact = JSON.stringify(value);
  } catch {
    return { wrong: "it is not JSON" }; // or nested deeper than the engine goes, which is too deep by far
  }
  if (compact !== text) return { wrong: "it is not in compact form" };
  if (typeof value !== "object" || value === null) return { value };
  const wrong = checkParts(value, integers, maxDepth);
  return wrong === undefined ? { value } : { wrong };
}

/** @param depth how many levels there may be, this one included */
function checkParts(value: object, integers: boolean, depth: number): string | undefined {
  if (depth === 0) return `it is nested more than ${maxDepth} deep`;
  // What JSON.parse made has no members but its own.
  for (const name in value) {
    const part = (value as Record<string, unknown>)[name];
    if (typeof part === "object" && part !== null) {
      const wrong = checkParts(part, integers, depth - 1);
      if (wrong !== undefined) return wrong;
    } else if (integers && typeof part === "number" && !isCount(part)) {
      return `${part} is not an integer from 0 to 2^53 − 1`;
    }
  }
  return undefined;
}
