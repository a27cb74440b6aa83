/**
 * Text that came from a log, an entry or a file, made fit for a terminal. It may hold escape sequences that move the
 * cursor, characters that reverse the direction of writing, or line ends that forge a line of a report.
 */

/**
 * Controls, format characters (bidirectional, zero width, tags), surrogates, private use, line separators, spaces that
 * are not the one, and whatever else is not seen.
 */
const unsafe = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]|(?! )\p{Zs}/gu;

const short: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

function escapeOne(character: string): string {
  const code = character.codePointAt(0)!;
  return short[character] ?? (code < 256 ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u{${code.toString(16)}}`);
}

/** @returns the text on one line, with what is unsafe as `\n`, `\x1b`, `\u{202e}`. */
export function printable(text: string): string {
  return text.replace(unsafe, escapeOne);
}

/**
 * As {@link printable}, for a text that is one argument among others: cut to a length that a message can carry.
 * @param limit in UTF-16 units
 */
export function printableShort(text: string, limit = 200): string {
  return printable(text.length > limit ? `${text.slice(0, limit)}…` : text);
}

/** @returns JSON of the value, in which what is unsafe is escaped as JSON has it: it parses to the same value. */
export function printableJson(value: unknown, indent?: number): string {
  return escapeJson(JSON.stringify(value, undefined, indent));
}

/** @param json a JSON text, where such characters can stand in strings only, but for line ends and tabs between tokens */
export function escapeJson(json: string): string {
  return json.replace(unsafe, (character) => {
    if (character === "\n" || character === "\r" || character === "\t") return character;
    let escaped = "";
    for (let i = 0; i < character.length; i++) escaped += `\\u${character.charCodeAt(i).toString(16).padStart(4, "0")}`;
    return escaped;
  });
}

const wide =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\u33ff\u3400-\u4dbf\u4e00-\u9fff\ua000-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|\p{Emoji_Presentation}|[\u{20000}-\u{3fffd}]/u;
const marks = /[\p{Mn}\p{Me}]/u;

function characterWidth(character: string): number {
  if (character < "\u0300") return 1;
  return marks.test(character) ? 0 : wide.test(character) ? 2 : 1;
}

/** @returns how many columns of a terminal the text takes, once it is {@link printable}. */
export function widthOfText(text: string): number {
  let width = 0;
  for (const character of text) width += characterWidth(character);
  return width;
}

/** @returns the text cut to at most `width` columns, the last of them `…` when something was cut. */
export function fit(text: string, width: number): string {
  if (text.length <= width && !/[^\u0020-\u02ff]/.test(text)) return text;
  if (widthOfText(text) <= width) return text;
  let cut = "";
  let used = 0;
  for (const character of text) {
    used += characterWidth(character);
    if (used > width - 1) break;
    cut += character;
  }
  return `${cut}…`;
}
