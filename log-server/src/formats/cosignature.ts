import { verify } from "node:crypto";
import type { CosignerKey, Signature } from "./note.ts";

// C2SP tlog-cosignature with Ed25519, `cosignature/v1` (spec/policy.md, "Cosignatures").

const TIMESTAMP_BYTES = 8;
const SIGNATURE_BYTES = 64;

/**
 * @param text of the checkpoint, with its final newline
 * @param timestamp seconds since 1970
 * @returns the bytes that a cosigner signs
 */
export function cosignatureMessage(text: string, timestamp: number): Buffer {
  return Buffer.from(`cosignature/v1\ntime ${timestamp}\n${text}`);
}

/** @returns whether a line of a note names the key. */
export function isBy({ name, id }: Signature, key: CosignerKey): boolean {
  return name === key.name && id.equals(key.id);
}

/**
 * @param text of the checkpoint
 * @param line that names the key
 * @returns when it was made, in seconds since 1970, or undefined when it is not a cosignature of this checkpoint
 */
export function checkCosignature(text: string, line: Signature, key: CosignerKey): number | undefined {
  const bytes = line.signature;
  if (bytes.length !== TIMESTAMP_BYTES + SIGNATURE_BYTES) return undefined;
  // C2SP allows up to 2^63 − 1; what a number cannot hold exactly is some 285 million years away.
  const timestamp = Number(bytes.readBigUInt64BE(0));
  if (!Number.isSafeInteger(timestamp)) return undefined;
  const signature = bytes.subarray(TIMESTAMP_BYTES);
  return verify(null, cosignatureMessage(text, timestamp), key.publicKey, signature) ? timestamp : undefined;
}
