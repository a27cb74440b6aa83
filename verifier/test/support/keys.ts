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
export function testKey(name: string, seed?: Uint8Array): TestKey {
  const { typed, id, sign } = makePair(name, 1, seed);
  const line = (text: string): string =>
    `\u2014 ${name} ${Buffer.concat([id, sign(Buffer.from(text))]).toString("base64")}\n`;
  return {
    name,
    vkey: `${name}+${id.toString("hex")}+${typed.toString("base64")}`,
    line,
    note: (text) => `${text}\n${line(text)}`,
  };
}

/** A witness's key (C2SP tlog-cosignature, type 0x04). */
export type TestCosigner = {
  name: string;
  vkey: string;
  /** Over any bytes: what they mean is the caller's matter. */
  sign(message: Uint8Array): Uint8Array;
  /** The cosignature line of a checkpoint's text; the time in seconds since 1970. */
  line(text: string, time: number): string;
};

/** @param seed 32 bytes; without it the one of the vectors' test keys */
export function testCosigner(name: string, seed?: Uint8Array): TestCosigner {
  const { typed, id, sign } = makePair(name, 4, seed);
  return {
    name,
    vkey: `${name}+${id.toString("hex")}+${typed.toString("base64")}`,
    sign,
    line: (text, time) => {
      const stamp = Buffer.alloc(8);
      stamp.writeBigUInt64BE(BigInt(time));
      const signature = sign(Buffer.from(`cosignature/v1\ntime ${time}\n${text}`));
      return `\u2014 ${name} ${Buffer.concat([id, stamp, signature]).toString("base64")}\n`;
    },
  };
}

function makePair(name: string, type: number, given?: Uint8Array) {
  const seed = given ?? sha256(Buffer.from(`vitrine test seed: ${name}`));
  const key: KeyObject = createPrivateKey({ key: Buffer.concat([pkcs8Prefix, seed]), format: "der", type: "pkcs8" });
  const publicKey = createPublicKey(key).export({ format: "der", type: "spki" }).subarray(-32);
  const typed = Buffer.concat([Uint8Array.of(type), publicKey]);
  const id = sha256(Buffer.from(`${name}\n`), typed).subarray(0, 4);
  return { typed, id: Buffer.from(id), sign: (message: Uint8Array) => sign(null, message, key) };
}
