/** Text of a log, made fit for a terminal: it may hold escape sequences, or line ends that forge a line of ours. */

/** Controls, format characters (bidirectional, zero width), surrogates, private use, line separators. */
const UNSAFE = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}]/gu;

/** @returns the text on one line, with what is unsafe as `\u{1b}`. */
export function printable(text: string): string {
  return text.replace(UNSAFE, (unsafe) => `\\u{${unsafe.codePointAt(0)!.toString(16)}}`);
}

/** @returns JSON on one line that parses to the same value, in which what is unsafe is escaped. */
export function printableJson(value: unknown): string {
  return JSON.stringify(value).replace(UNSAFE, (unsafe) =>
    Array.from({ length: unsafe.length }, (_, i) => `\\u${unsafe.charCodeAt(i).toString(16).padStart(4, "0")}`).join(
      "",
    ),
  );
}
