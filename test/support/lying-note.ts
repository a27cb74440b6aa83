/** Keys, signed notes and checkpoints, written for the tests from spec/checkpoint.md: to sign what is not so. */
import { createPrivateKey, createPublicKey, type KeyObject, randomBytes, sign } from "node:crypto";
import { sha256 } from "./lying-tree.ts";

export interface Signer {
  readonly name: string;
  /** Four bytes. */
  readonly id: Buffer;
  readonly vkey: string;
  sign(text: string): Buffer;
}

const ED25519 = Buffer.from([1]);
const PKCS8_ED25519 = Buffer.from("302e020100300506032b657004220420", "hex");

function signerOf(name: string, seed: Buffer, type: Buffer = ED25519): Signer {
  const key: KeyObject = createPrivateKey({ key: Buffer.concat([PKCS8_ED25519, seed]), format: "der", type: "pkcs8" });
  const publicKey = createPublicKey(key).export({ format: "der", type: "spki" }).subarray(-32);
  const typed = Buffer.concat([type, publicKey]);
  const id = sha256(Buffer.from(`${name}\n`), typed).subarray(0, 4);
  return {
    name,
    id,
    vkey: `${name}+${id.toString("hex")}+${typed.toString("base64")}`,
    sign: (text) => sign(null, Buffer.from(text), key),
  };
}

/** @param line of a signing key file */
export function signerFrom(line: string): Signer {
  const [, name, id, material] = /^PRIVATE\+KEY\+([^+]+)\+([0-9a-f]{8})\+(.+)$/.exec(line.trim()) ?? [];
  const signer = signerOf(name!, Buffer.from(material!, "base64").subarray(1));
  if (signer.id.toString("hex") !== id) throw new Error(`the key id of ${name} is computed otherwise here`);
  return signer;
}

export function newSigner(name: string): Signer {
  return signerOf(name, randomBytes(32));
}

/** A witness's key (C2SP tlog-cosignature, type 0x04); `sign` is over any text. */
export interface Cosigner extends Signer {
  /** Eight bytes, of seconds since 1970. */
  stamp(time: number): Buffer;
  /** What stands behind the key id: time and signature. */
  blob(text: string, time: number): Buffer;
  line(text: string, time: number): string;
}

export function newCosigner(name: string): Cosigner {
  const signer = signerOf(name, randomBytes(32), Buffer.from([4]));
  const stamp = (time: number): Buffer => {
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64BE(BigInt(time));
    return bytes;
  };
  const blob = (text: string, time: number): Buffer =>
    Buffer.concat([stamp(time), signer.sign(`cosignature/v1\ntime ${time}\n${text}`)]);
  return { ...signer, stamp, blob, line: (text, time) => signatureLine(name, signer.id, blob(text, time)) };
}

/** A signature line, of whatever is claimed to be a signature. */
export function signatureLine(name: string, id: Uint8Array, signature: Uint8Array): string {
  return `\u2014 ${name} ${Buffer.concat([id, signature]).toString("base64")}\n`;
}

export function signedBy(signer: Signer, text: string): string {
  return signatureLine(signer.name, signer.id, signer.sign(text));
}

export function note(text: string, signer: Signer): string {
  return `${text}\n${signedBy(signer, text)}`;
}

export function checkpointText(origin: string, size: number | string, root: Uint8Array): string {
  return `${origin}\n${size}\n${Buffer.from(root).toString("base64")}\n`;
}

/** The same bytes with one bit of one byte turned. */
export function flipped(bytes: Uint8Array, at = 0): Buffer {
  const copy = Buffer.from(bytes);
  copy[at] = copy[at]! % 2 === 0 ? copy[at]! + 1 : copy[at]! - 1;
  return copy;
}
