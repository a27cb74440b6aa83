import { createPrivateKey, createPublicKey, type KeyObject, sign, verify } from "node:crypto";
import * as ed from "@noble/ed25519";
import { publicKeyLength, signatureLength } from "../../src/formats/ed25519.ts";

/**
 * Ed25519 with Node's own cryptography, which is some twenty times as fast as the core's. It is the stricter of the
 * two: what it takes for a signature by a key that {@link publicKeyObject} accepts, the core does as well. (RFC 8032
 * section 5.1.7 leaves to the reader whether the equation is multiplied by the cofactor; the core does, Node does not.
 * The two can only differ over what the key's holder made so on purpose.)
 */

/** RFC 8410: what stands before the 32 bytes of a seed in PKCS #8. */
const pkcs8Prefix = Buffer.from("302e020100300506032b657004220420", "hex");
/** RFC 8410: what stands before the 32 bytes of a public key in SPKI. */
const spkiPrefix = Buffer.from("302a300506032b6570032100", "hex");

/** @returns the key, or undefined for bytes that are no point in its one spelling, or one of small order: anybody could sign for it. */
export function publicKeyObject(publicKey: Uint8Array): KeyObject | undefined {
  try {
    if (ed.Point.fromBytes(publicKey, false).isSmallOrder()) return undefined;
  } catch {
    return undefined; // noble throws on bytes that are no point
  }
  return createPublicKey({ key: Buffer.concat([spkiPrefix, publicKey]), format: "der", type: "spki" });
}

/** @param seed 32 bytes */
export function signingKey(seed: Uint8Array): { key: KeyObject; publicKey: Uint8Array } {
  const key = createPrivateKey({ key: Buffer.concat([pkcs8Prefix, seed]), format: "der", type: "pkcs8" });
  const publicKey = createPublicKey(key).export({ format: "der", type: "spki" }).subarray(-publicKeyLength);
  return { key, publicKey: new Uint8Array(publicKey) };
}

export function verifySignature(signature: Uint8Array, message: Uint8Array, key: KeyObject): boolean {
  return signature.length === signatureLength && verify(null, message, key, signature);
}

/** @returns 64 bytes; always the same for the same message and key. */
export function makeSignature(message: Uint8Array, key: KeyObject): Uint8Array {
  return sign(null, message, key);
}
