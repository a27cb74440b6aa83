import { createPrivateKey, createPublicKey, type KeyObject, sign } from "node:crypto";
import { sha256 } from "./naive-tree.ts";

/** Ed25519 and notes with Node's own cryptography, not the verifier's. */
export type TestKey = {
  name: string;
  vkey: string;
  /** A signed note over the text. */
  note(text: string): string;
  /** The signature line alone. */
  line(text: string): string;
};

/** RFC 8410: what stands before the 32 bytes of a seed in PKCS #8. */
const pkcs8Prefix = Buffer.from("302e020100300506032b657004220420", "hex");

/** @param seed 32 bytes; without it the one of the vectors' test keys */
export function testKey(name: string, seed: Uint8Array = sha256(Buffer.from(`vitrine test seed: ${name}`))): TestKey {
  const key: KeyObject = createPrivateKey({ key: Buffer.concat([pkcs8Prefix, seed]), format: "der", type: "pkcs8" });
  const publicKey = createPublicKey(key).export({ format: "der", type: "spki" }).subarray(-32);
  const typed = Buffer.concat([Uint8Array.of(1), publicKey]);
  const id = sha256(Buffer.from(`${name}\n`), typed).subarray(0, 4);
  const line = (text: string): string =>
    `\u2014 ${name} ${Buffer.concat([id, sign(null, Buffer.from(text), key)]).toString("base64")}\n`;
  return {
    name,
    vkey: `${name}+${id.toString("hex")}+${typed.toString("base64")}`,
    line,
    note: (text) => `${text}\n${line(text)}`,
  };
}
