import { isIn, LEFT_TO_RIGHT, NOTHING, PROHIBITED, RIGHT_TO_LEFT, SPACES, UNASSIGNED } from "./stringprep.ts";

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const SPACE = 0x20;

/**
 * A password as SCRAM hashes it: SASLprep (RFC 4013) of it, and, as PostgreSQL has it, the password's own bytes where it
 * is not UTF-8 or SASLprep prohibits it (chapter "SASL Authentication"): any password is a password.
 */
export function preparedPassword(password: string | Buffer): Buffer {
  let text: string;
  if (typeof password === "string") {
    text = password;
  } else {
    try {
      text = utf8.decode(password);
    } catch {
      return password;
    }
  }
  return Buffer.from(saslprep(text) ?? text);
}

/**
 * SASLprep as PostgreSQL does it, so that both derive the same keys: it looks for what is prohibited, unassigned or of
 * mixed direction in what the mapping left, before the normalization, where RFC 3454 section 7 looks behind it.
 * @returns undefined when the text is prohibited, or nothing is left of it
 */
function saslprep(text: string): string | undefined {
  const codes = Array.from(text, (character) => character.codePointAt(0)!);
  // PostgreSQL takes ASCII as it is, control characters too.
  if (codes.every((code) => code < 0x80)) return text;
  const mapped = codes
    .map((code) => (isIn(SPACES, code) ? SPACE : code))
    .filter((code) => code === SPACE || !isIn(NOTHING, code));
  if (mapped.length === 0) return undefined;
  if (mapped.some((code) => isIn(PROHIBITED, code) || isIn(UNASSIGNED, code))) return undefined;
  if (mapped.some((code) => isIn(RIGHT_TO_LEFT, code))) {
    const ends = [mapped[0]!, mapped.at(-1)!];
    if (mapped.some((code) => isIn(LEFT_TO_RIGHT, code)) || !ends.every((code) => isIn(RIGHT_TO_LEFT, code)))
      return undefined;
  }
  return mapped
    .map((code) => String.fromCodePoint(code))
    .join("")
    .normalize("NFKC");
}
