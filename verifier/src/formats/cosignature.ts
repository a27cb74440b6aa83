import { encodeBase64 } from "./base64.ts";
import { signatureLength, verifyEd25519 } from "./ed25519.ts";
import type { CosignerKey } from "./key.ts";
import type { Note } from "./note.ts";
import { decodeHex, encodeUtf8, isCount } from "./text.ts";

/** C2SP tlog-cosignature with Ed25519, `cosignature/v1` (spec/policy.md, cosignatures). */

/** Key id, timestamp and signature: what stands in a note's line as base64, in bytes. */
export const cosignatureLength = 76;

const timestampLength = 8;

/** What a checkpoint's lines say of one cosigner. */
export type Cosignature =
  /** No line has its name and key id. */
  | { state: "missing" }
  /** A line has them and does not verify; `why` says what is wrong with it. */
  | { state: "invalid"; why: string }
  /** All its lines verify: their times, seconds since 1970, the latest first; `timestamp` is the latest. */
  | { state: "good"; timestamp: number; timestamps: number[] };

/**
 * @param text of the checkpoint, with its final newline
 * @param timestamp seconds since 1970
 * @returns the bytes that a cosigner signs
 */
export function cosignatureMessage(text: string, timestamp: number): Uint8Array {
  if (!isCount(timestamp)) throw new Error(`${timestamp} is not a timestamp`);
  return encodeUtf8(`cosignature/v1\ntime ${timestamp}\n${text}`);
}

/**
 * @param timestamp seconds since 1970
 * @param signature 64 bytes, over {@link cosignatureMessage}
 * @returns the 76 bytes of a cosignature: key id, timestamp (u64), signature
 */
export function encodeCosignature(key: CosignerKey, timestamp: number, signature: Uint8Array): Uint8Array {
  if (!isCount(timestamp)) throw new Error(`${timestamp} is not a timestamp`);
  if (signature.length !== signatureLength) throw new Error(`a signature of ${signature.length} bytes`);
  const bytes = new Uint8Array(cosignatureLength);
  bytes.set(decodeHex(key.id)!, 0);
  new DataView(bytes.buffer).setBigUint64(4, BigInt(timestamp));
  bytes.set(signature, 4 + timestampLength);
  return bytes;
}

/** @returns the line of a note, with its newline; the parameters are those of {@link encodeCosignature}. */
export function cosignatureLine(key: CosignerKey, timestamp: number, signature: Uint8Array): string {
  return `\u2014 ${key.name} ${encodeBase64(encodeCosignature(key, timestamp, signature))}\n`;
}

/**
 * Steps W2 and W3 for one cosigner. Lines of others are ignored; of several by this one all must verify.
 * @param note a checkpoint; that its text is one is not looked at
 */
export function verifyCosignature(note: Note, key: CosignerKey): Cosignature {
  const lines = note.signatures.filter((line) => line.name === key.name && line.id === key.id);
  if (lines.length === 0) return { state: "missing" };
  const timestamps: number[] = [];
  for (const { signature } of lines) {
    if (signature.length !== timestampLength + signatureLength) {
      const wanted = timestampLength + signatureLength;
      return { state: "invalid", why: `it has ${signature.length} bytes behind the key id, not ${wanted}` };
    }
    const timestamp = readTimestamp(signature);
    if (timestamp === undefined) return { state: "invalid", why: "its timestamp is beyond 2^53 − 1" };
    const message = cosignatureMessage(note.text, timestamp);
    if (!verifyEd25519(signature.subarray(timestampLength), message, key.publicKey)) {
      return { state: "invalid", why: "its signature does not verify" };
    }
    timestamps.push(timestamp);
  }
  timestamps.sort((a, b) => b - a);
  return { state: "good", timestamp: timestamps[0]!, timestamps };
}

/** C2SP allows up to 2^63 − 1; what a number cannot hold exactly is some 285 million years away. */
function readTimestamp(bytes: Uint8Array): number | undefined {
  const value = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0));
  return isCount(value) ? value : undefined;
}
