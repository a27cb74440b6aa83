import { createPrivateKey, type KeyObject } from "node:crypto";

/** @param skey `PRIVATE+KEY+<name>+<key id>+<base64(0x01 || seed)>` */
export function keyObject(skey: string): KeyObject {
  const seed = Buffer.from(/\+[0-9a-f]{8}\+(.*)$/.exec(skey)![1]!, "base64").subarray(1);
  // RFC 8410: what stands before the seed in PKCS #8.
  const der = Buffer.concat([Buffer.from("302e020100300506032b657004220420", "hex"), seed]);
  return createPrivateKey({ key: der, format: "der", type: "pkcs8" });
}
