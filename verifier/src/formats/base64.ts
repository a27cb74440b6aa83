/** RFC 4648 section 4, padded, and section 5, without padding. Both strict: each value has one spelling. */

const standard = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const urlSafe = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

function table(alphabet: string): Uint8Array {
  const values = new Uint8Array(128).fill(255);
  for (let i = 0; i < 64; i++) values[alphabet.charCodeAt(i)] = i;
  return values;
}

const standardValues = table(standard);
const urlSafeValues = table(urlSafe);

function encode(bytes: Uint8Array, alphabet: string): string {
  let text = "";
  for (let i = 0; i < bytes.length; i += 3) {
    const left = bytes.length - i;
    const word = bytes[i]! * 65536 + (left > 1 ? bytes[i + 1]! * 256 : 0) + (left > 2 ? bytes[i + 2]! : 0);
    text += alphabet[Math.floor(word / 262144)]! + alphabet[Math.floor(word / 4096) % 64]!;
    if (left > 1) text += alphabet[Math.floor(word / 64) % 64]!;
    if (left > 2) text += alphabet[word % 64]!;
  }
  return text;
}

/** Decodes text without padding, of any length that is possible; the bits behind the last byte must be zero. */
function decode(text: string, values: Uint8Array): Uint8Array | undefined {
  const rest = text.length % 4;
  if (rest === 1) return undefined;
  const bytes = new Uint8Array(Math.floor((text.length * 3) / 4));
  let at = 0;
  let word = 0;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    const value = code < 128 ? values[code]! : 255;
    if (value === 255) return undefined;
    word = word * 64 + value;
    if (i % 4 === 3) {
      bytes[at++] = Math.floor(word / 65536);
      bytes[at++] = Math.floor(word / 256) % 256;
      bytes[at++] = word % 256;
      word = 0;
    }
  }
  if (rest === 2) {
    if (word % 16 !== 0) return undefined;
    bytes[at] = Math.floor(word / 16);
  } else if (rest === 3) {
    if (word % 4 !== 0) return undefined;
    bytes[at] = Math.floor(word / 1024);
    bytes[at + 1] = Math.floor(word / 4) % 256;
  }
  return bytes;
}

/** @returns padded base64. */
export function encodeBase64(bytes: Uint8Array): string {
  const text = encode(bytes, standard);
  return text + "=".repeat((4 - (text.length % 4)) % 4);
}

/** @returns the bytes, or undefined when the text is not the base64 that encoding them again would give. */
export function decodeBase64(text: string): Uint8Array | undefined {
  if (text.length % 4 !== 0) return undefined;
  const padding = text.endsWith("==") ? 2 : text.endsWith("=") ? 1 : 0;
  return decode(padding === 0 ? text : text.slice(0, -padding), standardValues);
}

/** @returns base64url without padding. */
export function encodeBase64url(bytes: Uint8Array): string {
  return encode(bytes, urlSafe);
}

/** @returns the bytes, or undefined when the text is not the base64url that encoding them again would give. */
export function decodeBase64url(text: string): Uint8Array | undefined {
  return decode(text, urlSafeValues);
}
