/** UTF-8, hex, decimals and timestamps, read strictly (spec/README.md, conventions). */

const strictUtf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const utf8 = new TextEncoder();

/** @returns the text, or undefined when the bytes are not UTF-8. A byte order mark stays in the text. */
export function decodeUtf8(bytes: Uint8Array): string | undefined {
  try {
    return strictUtf8.decode(bytes);
  } catch {
    return undefined; // the decoder's only error: the bytes are not UTF-8
  }
}

export function encodeUtf8(text: string): Uint8Array {
  return utf8.encode(text);
}

const digits = "0123456789abcdef";

/** @returns lower-case hex. */
export function encodeHex(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += digits[Math.floor(byte / 16)]! + digits[byte % 16]!;
  return text;
}

/** @returns the bytes, or undefined when the text is not lower-case hex of whole bytes. */
export function decodeHex(text: string): Uint8Array | undefined {
  if (text.length % 2 !== 0 || !/^[0-9a-f]*$/.test(text)) return undefined;
  const bytes = new Uint8Array(text.length / 2);
  for (let i = 0; i < bytes.length; i++) bytes[i] = Number.parseInt(text.slice(2 * i, 2 * i + 2), 16);
  return bytes;
}

/** @returns the number, or undefined when the text is not a canonical decimal of at most 2^53 − 1. */
export function parseDecimal(text: string): number | undefined {
  if (text.length > 16 || !/^(?:0|[1-9][0-9]*)$/.test(text)) return undefined;
  const value = Number(text);
  return Number.isSafeInteger(value) ? value : undefined;
}

/** @returns whether it is an integer from 0 to 2^53 − 1. */
export function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

const stamp = /^([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})\.[0-9]{6}Z$/;

function daysIn(year: number, month: number): number {
  if (month === 2) return (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0 ? 29 : 28;
  return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31;
}

/** @returns whether it is a timestamp of spec/README.md: RFC 3339, UTC, six fractional digits, a date that exists. */
export function isTimestamp(value: unknown): value is string {
  if (typeof value !== "string" || value.length !== 27) return false;
  const parts = stamp.exec(value);
  if (parts === null) return false;
  const month = Number(parts[2]);
  const day = Number(parts[3]);
  if (month < 1 || month > 12 || day < 1 || day > daysIn(Number(parts[1]), month)) return false;
  return Number(parts[4]) < 24 && Number(parts[5]) < 60 && Number(parts[6]) < 60;
}

/** @returns milliseconds since 1970 of a timestamp that {@link isTimestamp} accepts. */
export function timestampMs(timestamp: string): number {
  return Date.parse(`${timestamp.slice(0, 23)}Z`);
}
