import * as ed from "@noble/ed25519";
import { sha256, sha512 } from "@noble/hashes/sha2.js";

ed.hashes.sha512 = sha512;

/** A key pair of a log or a source, as spec/checkpoint.md has it, made without the verifier's code. */
export type TestKey = { name: string; vkey: string; sign(text: string): string };

export function testKey(name: string, seed: Uint8Array = sha256(Buffer.from(`vitrine cli test: ${name}`))): TestKey {
  const typed = Buffer.concat([Buffer.of(1), ed.getPublicKey(seed)]);
  const id = Buffer.from(sha256(Buffer.concat([Buffer.from(`${name}\n`), typed]))).subarray(0, 4);
  return {
    name,
    vkey: `${name}+${id.toString("hex")}+${typed.toString("base64")}`,
    sign: (text) => {
      const blob = Buffer.concat([id, ed.sign(Buffer.from(text), seed)]);
      return `${text}\n\u2014 ${name} ${blob.toString("base64")}\n`;
    },
  };
}
