/**
 * What may stand in an entry's text, as sources of regular expressions. Each matches nothing but text in the compact
 * form of spec/entry.md whose value passes the check it was given to; it need not match all such text. There are no
 * capturing groups in them. They are used for entries like those seen before (entry-shape.ts).
 */

export type Check = (value: unknown) => boolean;

const patterns = new WeakMap<Check, string>();

/** Gives a check its pattern. @returns the check */
export function written<Given extends Check>(check: Given, pattern: string | undefined): Given {
  if (pattern !== undefined) patterns.set(check, pattern);
  return check;
}

/** @returns the pattern of a check; undefined when it has none */
export function patternOf(check: Check): string | undefined {
  return patterns.get(check);
}

/** @returns the pattern of this text and no other */
export function literal(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&");
}

/** A character that stands as itself in a string. Text that was decoded from UTF-8 has no lone surrogates. */
export const plainCharacter = '[^"\\\\\\x00-\\x1f]';

/** A string whose escapes are among those of two characters. */
export const textPattern: string = `"${plainCharacter}*(?:\\\\["\\\\bfnrt]${plainCharacter}*)*"`;

/** Integers of up to 15 digits: all of these are below 2^53. */
export const countPattern = "(?:0|[1-9][0-9]{0,14})";
export const positivePattern = "(?:[1-9][0-9]{0,14})";
export const severalPattern = "(?:[2-9]|[1-9][0-9]{1,14})";

/** Timestamps of every day but 29 February. */
export const timestampPattern: string = (() => {
  const days = "(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])|(?:0[13-9]|1[0-2])-(?:29|30)|(?:0[13578]|1[02])-31";
  return `"[0-9]{4}-(?:${days})T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\\.[0-9]{6}Z"`;
})();

/** Of the last character of 32 bytes in base64url four bits count; the two others are zero. */
export const sealedPattern: string = `\\{"sealed":"[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]","bytes":${countPattern}\\}`;
