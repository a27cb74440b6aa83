/** The part of PostgreSQL's lexical rules (scan.l) that shapes need: where a token ends. Offsets are in bytes. */

/** What the first byte of a token says of it. */
export const Kind = {
  other: 0,
  word: 1,
  digit: 2,
  space: 3,
  quote: 4,
  doubleQuote: 5,
  dollar: 6,
  dash: 7,
  slash: 8,
  ampersand: 9,
  dot: 10,
  semicolon: 11,
  open: 12,
  close: 13,
  comma: 14,
  /** Backslashes, and control characters, which stand in no text that the grammar accepts outside of quotes. */
  bad: 15,
} as const;

/** `Kind` by byte. */
export const KIND: Uint8Array = new Uint8Array(256);
const kinds = (bytes: string, kind: number): void => {
  for (const byte of Buffer.from(bytes, "latin1")) KIND[byte] = kind;
};
KIND.fill(Kind.bad, 0, 32);
KIND.fill(Kind.word, 128);
kinds("ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz", Kind.word);
kinds("0123456789", Kind.digit);
kinds("\t\n\v\f\r ", Kind.space);
kinds("\\\x7f", Kind.bad);
for (const [i, byte] of [..."'\"$-/&.;(),"].entries()) kinds(byte, Kind.quote + i);

/** Bytes that go on with an identifier: letters, digits, `_`, `$`, everything above 127. */
const IN_WORD = KIND.map((kind, byte) => (kind === Kind.word || kind === Kind.digit || byte === 0x24 ? 1 : 0));

/** Placeholders of constants in a shape: control characters, which cannot stand in an accepted text. */
export const INTEGER = 1;
export const DECIMAL = 2;
export const STRING = 3;

export function spaceEnd(text: Uint8Array, from: number): number {
  let i = from;
  while (KIND[text[i]!] === Kind.space) i++;
  return i;
}

export function wordEnd(text: Uint8Array, from: number): number {
  let i = from;
  while (IN_WORD[text[i]!] === 1) i++;
  return i;
}

/** Setting bit 5 makes a lower-case letter of that letter in either case, and of no other byte. */
export function isKeyword(text: Uint8Array, from: number, to: number, word: string): boolean {
  if (to - from !== word.length) return false;
  for (let i = 0; i < word.length; i++) {
    const byte = text[from + i]!;
    if (byte !== word.charCodeAt(i) && (byte | 0x20) !== word.charCodeAt(i)) return false;
  }
  return true;
}

/** The end of everything that could belong to a number: `1.5e10`, `0x1F`, `1_000`, and what is no number, `1abc`. */
export function numberEnd(text: Uint8Array, from: number): number {
  let i = from;
  while (IN_WORD[text[i]!] === 1 || text[i] === 0x2e) i++;
  return i;
}

/**
 * @returns INTEGER for at most nine digits, which always fit PostgreSQL's 32 bits; DECIMAL for digits, a point and
 * digits; 0 for everything else, which stays as it is
 */
export function numberKind(text: Uint8Array, from: number, to: number): number {
  let point = -1;
  for (let i = from; i < to; i++) {
    const byte = text[i]!;
    if (byte === 0x2e && point < 0) point = i;
    else if (KIND[byte] !== Kind.digit) return 0;
  }
  if (point < 0) return to - from <= 9 ? INTEGER : 0;
  return point + 1 < to ? DECIMAL : 0;
}

/**
 * Behind the closing quote; a quote inside is written twice. A backslash is nothing special, as for the grammar
 * (standard_conforming_strings is on). -1 when there is no closing quote.
 */
export function stringEnd(text: Uint8Array, from: number): number {
  for (let i = from + 1; i < text.length; i++) {
    const byte = text[i]!;
    if (byte === 0x27) {
      if (text[i + 1] !== 0x27) return i + 1;
      i++;
    } else if (byte === 0) return -1;
  }
  return -1;
}

/** The same for a quoted identifier; -1 also when there is a control character, which could be a placeholder. */
export function quotedEnd(text: Uint8Array, from: number): number {
  for (let i = from + 1; i < text.length; i++) {
    const byte = text[i]!;
    if (byte === 0x22) {
      if (text[i + 1] !== 0x22) return i + 1;
      i++;
    } else if (KIND[byte] === Kind.bad) return -1;
  }
  return -1;
}

/**
 * Whether there may be more tokens in the text than `limit`. Counts what stands in strings and comments as well, so it
 * errs on the side of more.
 */
export function manyTokens(text: Uint8Array, limit: number): boolean {
  let tokens = 0;
  let inWord = false;
  for (let i = 0; i < text.length; i++) {
    const byte = text[i]!;
    const word = IN_WORD[byte] === 1;
    if (word ? !inWord : KIND[byte] !== Kind.space) if (++tokens > limit) return true;
    inWord = word;
  }
  return false;
}
