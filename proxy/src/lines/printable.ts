/** Controls, format characters (bidirectional, zero width), surrogates, private use, line separators. */
const UNSAFE = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}]/gu;

/** @returns the text on one line that a terminal shows as it is: what is unsafe stands as `\u{1b}` */
export function printable(text: string): string {
  return text.replace(UNSAFE, (unsafe) => `\\u{${unsafe.codePointAt(0)!.toString(16)}}`);
}
