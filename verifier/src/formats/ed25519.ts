import * as ed from "@noble/ed25519";
import { sha512 } from "@noble/hashes/sha2.js";

ed.hashes.sha512 = sha512;

export const signatureLength = 64;
export const publicKeyLength = 32;

/**
 * RFC 8032 section 5.1.7, strictly: *S* is below the group order, and points have one spelling.
 * @returns whether it is the signature by the key over the message; false also for one that is not 64 bytes long
 */
export function verifyEd25519(signature: Uint8Array, message: Uint8Array, publicKey: Uint8Array): boolean {
  if (signature.length !== signatureLength) return false;
  try {
    return ed.verify(signature, message, publicKey, { zip215: false });
  } catch {
    return false; // noble throws on points that are not on the curve: no signature by any key
  }
}
