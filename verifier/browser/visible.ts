/**
 * Controls, format characters (bidirectional, zero width, tags), surrogates, private use, spaces that are not the one,
 * and whatever else is not seen; all but line ends and tabs.
 */
const unseen = /(?![\n\t ])[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}\p{Zs}\p{Default_Ignorable_Code_Point}]/gu;

/**
 * What a page shows of a text that it did not write: a character that one cannot see, or that changes the order in
 * which others are seen, stands as its number.
 */
export function visible(text: string): string {
  return text.replace(unseen, (character) => `\\u{${character.codePointAt(0)!.toString(16)}}`);
}
