import { createHash, createPrivateKey, createPublicKey, type KeyObject, randomBytes, sign } from "node:crypto";

// A witness's key for the tests, made without what it tests: C2SP signed-note and tlog-cosignature as they are written.

export interface TestCosigner {
  readonly seed: Buffer;
  readonly vkey: string;
  /** The same public key as a note's. */
  readonly noteVkey: string;
  /** A signature line with its newline, over a checkpoint's text. */
  line(text: string, timestamp?: number): string;
}

function keyOf(seed: Buffer): KeyObject {
  const der = Buffer.concat([Buffer.from("302e020100300506032b657004220420", "hex"), seed]);
  return createPrivateKey({ key: der, format: "der", type: "pkcs8" });
}

export function cosignerOf(name: string, seed: Buffer): TestCosigner {
  const key = keyOf(seed);
  const publicBytes = createPublicKey(key).export({ format: "der", type: "spki" }).subarray(-32);
  const typed = (type: number): Buffer => Buffer.concat([Buffer.of(type), publicBytes]);
  const idOf = (type: number): Buffer =>
    createHash("sha256").update(`${name}\n`).update(typed(type)).digest().subarray(0, 4);
  const vkeyOf = (type: number): string => `${name}+${idOf(type).toString("hex")}+${typed(type).toString("base64")}`;
  return {
    seed,
    vkey: vkeyOf(4),
    noteVkey: vkeyOf(1),
    line: (text, timestamp = Math.floor(Date.now() / 1000)) => {
      const time = Buffer.alloc(8);
      time.writeBigUInt64BE(BigInt(timestamp));
      const signature = sign(null, Buffer.from(`cosignature/v1\ntime ${timestamp}\n${text}`), key);
      return `\u2014 ${name} ${Buffer.concat([idOf(4), time, signature]).toString("base64")}\n`;
    },
  };
}

export function makeCosigner(name: string): TestCosigner {
  return cosignerOf(name, randomBytes(32));
}
