import { createPrivateKey, createPublicKey, hash, type KeyObject, randomBytes, sign } from "node:crypto";
import { ProxyError } from "../errors.ts";

const ED25519 = 0x01;
/** RFC 8410: the fixed head of a PKCS#8 document that holds an Ed25519 seed. */
const PKCS8_HEAD = Buffer.from("302e020100300506032b657004220420", "hex");

/** A source's key: what spec/checkpoint.md calls a signing key, ready to sign notes. */
export interface SigningKey {
  readonly name: string;
  /** The verifier key, `<name>+<id>+<base64>`. */
  readonly vkey: string;
  /** A signed note with this text, which must end in a newline. */
  note(text: string): string;
  /** The signature line of such a note, with its newline. */
  signature(text: string): string;
}

/**
 * Reads a signing key line, `PRIVATE+KEY+<name>+<key id>+<base64(0x01 || seed)>` (spec/checkpoint.md).
 * @throws ProxyError `bad_key`; the message never holds any part of the key
 */
export function parseSigningKey(line: string): SigningKey {
  const bad = (what: string): ProxyError =>
    new ProxyError("bad_key", `the source's signing key ${what}; restore the key file`);
  const match = /^PRIVATE\+KEY\+([^+]*)\+([0-9a-f]{8})\+([A-Za-z0-9+/=]+)\n?$/.exec(line);
  if (match === null) throw bad("is not one line PRIVATE+KEY+<name>+<key id>+<base64>");
  const [, name, id, text] = match as unknown as [string, string, string, string];
  if (!isKeyName(name)) throw bad("has a name that is empty or holds white space");
  const secret = decodeBase64(text);
  if (secret === undefined || secret.length !== 33 || secret[0] !== ED25519) throw bad("is not an Ed25519 key");
  const key = createPrivateKey({
    key: Buffer.concat([PKCS8_HEAD, secret.subarray(1)]),
    format: "der",
    type: "pkcs8",
  });
  const typed = Buffer.concat([Buffer.of(ED25519), rawPublicKey(key)]);
  const keyId = keyIdOf(name, typed);
  if (keyId.toString("hex") !== id) throw bad("has a key id that is not that of its name and key");
  const signature = (body: string): string =>
    `— ${name} ${Buffer.concat([keyId, sign(null, Buffer.from(body), key)]).toString("base64")}\n`;
  return {
    name,
    vkey: `${name}+${id}+${typed.toString("base64")}`,
    note: (body) => `${body}\n${signature(body)}`,
    signature,
  };
}

/** A new signing key, as the line that {@link parseSigningKey} reads, from the system's generator. */
export function newSigningKey(name: string): string {
  const seed = randomBytes(32);
  const key = createPrivateKey({ key: Buffer.concat([PKCS8_HEAD, seed]), format: "der", type: "pkcs8" });
  const id = keyIdOf(name, Buffer.concat([Buffer.of(ED25519), rawPublicKey(key)])).toString("hex");
  return `PRIVATE+KEY+${name}+${id}+${Buffer.concat([Buffer.of(ED25519), seed]).toString("base64")}`;
}

/**
 * The name in a verifier key, which for a log's key is its origin.
 * @throws ProxyError `bad_key`
 */
export function verifierKeyName(vkey: string): string {
  const match = /^([^+]*)\+([0-9a-f]{8})\+([A-Za-z0-9+/=]+)$/.exec(vkey);
  const key = match === null ? undefined : decodeBase64(match[3]!);
  const name = match?.[1] ?? "";
  if (key?.length !== 33 || key[0] !== ED25519 || !isKeyName(name) || keyIdOf(name, key).toString("hex") !== match![2])
    throw new ProxyError("bad_key", `${JSON.stringify(vkey)} is not a verifier key <name>+<key id>+<base64>`);
  return name;
}

/** The form of a name in spec/checkpoint.md, keys. */
function isKeyName(name: string): boolean {
  return /^[^+\p{White_Space}\u0000-\u001f\p{Cs}]+$/u.test(name);
}

function keyIdOf(name: string, typedKey: Uint8Array): Buffer {
  return hash("sha256", Buffer.concat([Buffer.from(`${name}\n`), typedKey]), "buffer").subarray(0, 4);
}

function rawPublicKey(key: KeyObject): Buffer {
  return createPublicKey(key).export({ format: "der", type: "spki" }).subarray(-32);
}

/** Strict RFC 4648 section 4: each value has one spelling. */
export function decodeBase64(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, "base64");
  return bytes.toString("base64") === text ? bytes : undefined;
}
