/** The compact form of spec/entry.md, which entries and disclosures have. */

/** Objects and arrays are nested at most this deep, the outermost being the first. */
const maxDepth = 64;

/**
 * @returns the value, or what is wrong: it is not JSON, not what ECMAScript's `JSON.stringify(JSON.parse(text))` gives
 * back, or nested too deep
 */
export function parseCompact(text: string): { value: unknown } | { wrong: string } {
  let value: unknown;
  let compact: string | undefined;
  try {
    value = JSON.parse(text);
    compact = JSON.stringify(value);
  } catch {
    return { wrong: "it is not JSON" }; // or nested deeper than the engine goes, which is too deep by far
  }
  if (compact !== text) return { wrong: "it is not in compact form" };
  if (hasManyOpenings(text) && isDeeper(value, maxDepth)) return { wrong: `it is nested more than ${maxDepth} deep` };
  return { value };
}

/** Almost no text has as many brackets as the depth needs, inside strings or out: then there is nothing to walk. */
function hasManyOpenings(text: string): boolean {
  let openings = 0;
  for (const bracket of ["{", "["]) {
    for (let at = text.indexOf(bracket); at >= 0; at = text.indexOf(bracket, at + 1)) {
      if (++openings > maxDepth) return true;
    }
  }
  return false;
}

function isDeeper(value: unknown, depth: number): boolean {
  if (typeof value !== "object" || value === null) return false;
  return depth === 0 || Object.values(value).some((part) => isDeeper(part, depth - 1));
}
