import { isUtf8 } from "node:buffer";

// Strict decoders: each value has one spelling (spec/README.md, "Conventions"). They return undefined for anything
// else and leave it to the caller to say what was wrong, where.

const DECIMAL = /^(?:0|[1-9][0-9]{0,15})$/;

/** @returns the integer, 0 to 2^53 − 1, or undefined when the text is not its canonical decimal form. */
export function parseDecimal(text: string): number | undefined {
  if (!DECIMAL.test(text)) return undefined;
  const value = Number(text);
  return Number.isSafeInteger(value) ? value : undefined;
}

/** @returns the bytes, or undefined when the text is not padded base64 (RFC 4648 section 4) in its only spelling. */
export function parseBase64(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, "base64");
  return bytes.toString("base64") === text ? bytes : undefined;
}

/** @returns the bytes, or undefined when the text is not unpadded base64url (RFC 4648 section 5). */
export function parseBase64url(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, "base64url");
  return bytes.toString("base64url") === text ? bytes : undefined;
}

/** @returns the text, a byte order mark included, or undefined when the bytes are not valid UTF-8. */
export function parseUtf8(bytes: Uint8Array): string | undefined {
  if (!isUtf8(bytes)) return undefined;
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8");
}
