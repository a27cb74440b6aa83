import { createPrivateKey, createPublicKey, hash, type KeyObject, randomBytes, sign, verify } from "node:crypto";
import { parseBase64, parseUtf8 } from "./encoding.ts";

// Signed notes and their keys (spec/checkpoint.md, C2SP signed-note). Parsers return undefined for malformed input:
// what that means, and the code, differs by where the note came from.

/** C2SP signed-note: Ed25519, over a note's text. */
const ED25519 = 1;
/** C2SP tlog-cosignature: Ed25519, `cosignature/v1`. */
const COSIGNATURE = 4;
type KeyType = typeof ED25519 | typeof COSIGNATURE;
// RFC 8410: what stands before the 32 bytes of an Ed25519 key in DER.
const SPKI_PREFIX = Buffer.from("302a300506032b6570032100", "hex");
const PKCS8_PREFIX = Buffer.from("302e020100300506032b657004220420", "hex");
const MAX_SIGNATURES = 100;

interface PublicKey<Type extends KeyType> {
  /** What is signed by it; a key of one type accepts nothing that was made for the other. */
  readonly type: Type;
  readonly name: string;
  /** 4 bytes. */
  readonly id: Buffer;
  readonly vkey: string;
  readonly publicKey: KeyObject;
}

/** A key that checks the signatures of notes. */
export type VerifierKey = PublicKey<typeof ED25519>;

/** A witness's key, which checks its cosignatures (spec/policy.md). */
export type CosignerKey = PublicKey<typeof COSIGNATURE>;

/** A key that makes signatures. */
export interface SignerKey extends VerifierKey {
  readonly privateKey: KeyObject;
}

/** A line of a note, nothing verified. */
export interface Signature {
  readonly name: string;
  /** 4 bytes. */
  readonly id: Buffer;
  readonly signature: Buffer;
}

export interface Note {
  /** What is signed, with its final newline. */
  readonly text: string;
  readonly signatures: readonly Signature[];
}

/** @returns whether the name can be a key's: not empty, no `+`, no Unicode white space, no control character. */
export function isKeyName(name: string): boolean {
  return name !== "" && !/[+\p{White_Space}\u0000-\u001f\p{Surrogate}]/u.test(name);
}

function makeKey<Type extends KeyType>(type: Type, name: string, publicBytes: Buffer): PublicKey<Type> {
  const typed = Buffer.concat([Buffer.of(type), publicBytes]);
  const id = hash("sha256", Buffer.concat([Buffer.from(`${name}\n`), typed]), "buffer").subarray(0, 4);
  const publicKey = createPublicKey({ key: Buffer.concat([SPKI_PREFIX, publicBytes]), format: "der", type: "spki" });
  return { type, name, id, vkey: `${name}+${id.toString("hex")}+${typed.toString("base64")}`, publicKey };
}

function makeSigner(name: string, seed: Buffer): SignerKey {
  const privateKey = createPrivateKey({ key: Buffer.concat([PKCS8_PREFIX, seed]), format: "der", type: "pkcs8" });
  const spki = createPublicKey(privateKey).export({ format: "der", type: "spki" });
  return { ...makeKey(ED25519, name, spki.subarray(SPKI_PREFIX.length)), privateKey };
}

/** Cuts `<name>+<8 hex digits>+<base64>` at the first two `+`: the base64 may hold more of them. */
function cutKey(text: string, type: KeyType): { name: string; id: string; bytes: Buffer } | undefined {
  const match = /^([^+]+)\+([0-9a-f]{8})\+(.*)$/u.exec(text);
  if (match === null || !isKeyName(match[1]!)) return undefined;
  const bytes = parseBase64(match[3]!);
  if (bytes === undefined || bytes.length !== 33 || bytes[0] !== type) return undefined;
  return { name: match[1]!, id: match[2]!, bytes: bytes.subarray(1) };
}

/** @returns the key, or undefined when the text is not a verifier key, or its key id is not that of its bytes. */
export function parseVerifierKey(vkey: string): VerifierKey | undefined {
  return parsePublicKey(vkey, ED25519);
}

/** @returns the key, or undefined when the text is not a cosigner's key (spec/policy.md), with the id of its bytes. */
export function parseCosignerKey(vkey: string): CosignerKey | undefined {
  return parsePublicKey(vkey, COSIGNATURE);
}

function parsePublicKey<Type extends KeyType>(vkey: string, type: Type): PublicKey<Type> | undefined {
  const cut = cutKey(vkey, type);
  if (cut === undefined) return undefined;
  const key = makeKey(type, cut.name, cut.bytes);
  return key.vkey === vkey ? key : undefined;
}

/** @returns the key, or undefined when the text is not `PRIVATE+KEY+…`, or its key id is not that of its public key. */
export function parseSignerKey(skey: string): SignerKey | undefined {
  const prefix = "PRIVATE+KEY+";
  if (!skey.startsWith(prefix)) return undefined;
  const cut = cutKey(skey.slice(prefix.length), ED25519);
  if (cut === undefined) return undefined;
  const key = makeSigner(cut.name, cut.bytes);
  return key.id.toString("hex") === cut.id ? key : undefined;
}

/** @returns a new key pair in its text forms; `name` satisfies `isKeyName`. */
export function generateKey(name: string): { skey: string; vkey: string } {
  const seed = randomBytes(32);
  const key = makeSigner(name, seed);
  const typed = Buffer.concat([Buffer.of(ED25519), seed]).toString("base64");
  return { skey: `PRIVATE+KEY+${name}+${key.id.toString("hex")}+${typed}`, vkey: key.vkey };
}

/**
 * @param text ends in a newline
 * @param keys one or more; the lines stand in their order
 */
export function signNote(text: string, ...keys: readonly SignerKey[]): string {
  const lines = keys.map((key) => {
    const blob = Buffer.concat([key.id, sign(null, Buffer.from(text), key.privateKey)]);
    return `\u2014 ${key.name} ${blob.toString("base64")}\n`;
  });
  return `${text}\n${lines.join("")}`;
}

/** @returns the parts of a signature line, given without its newline, or undefined when it is malformed. */
export function parseSignature(line: string): Signature | undefined {
  const match = /^\u2014 ([^ ]+) ([^ ]+)$/u.exec(line);
  if (match === null || !isKeyName(match[1]!)) return undefined;
  const blob = parseBase64(match[2]!);
  if (blob === undefined || blob.length < 5) return undefined;
  return { name: match[1]!, id: blob.subarray(0, 4), signature: blob.subarray(4) };
}

/** @returns the note's parts, nothing verified, or undefined when it is malformed. */
export function parseNote(bytes: Uint8Array): Note | undefined {
  const note = parseUtf8(bytes);
  if (note === undefined || /[\u0000-\u0009\u000b-\u001f]/.test(note) || !note.endsWith("\n")) return undefined;
  const split = note.lastIndexOf("\n\n");
  if (split < 0) return undefined;
  const lines = note.slice(split + 2, -1).split("\n");
  if (lines.length > MAX_SIGNATURES) return undefined;
  const signatures: Signature[] = [];
  for (const line of lines) {
    const signature = parseSignature(line);
    if (signature === undefined) return undefined;
    signatures.push(signature);
  }
  return { text: note.slice(0, split + 1), signatures };
}

/**
 * Checks the note's signatures by one key. Lines of other keys are ignored.
 * @returns `missing` when no line names the key, `invalid` when one does and its signature is wrong
 */
export function checkNote(note: Note, key: VerifierKey): "good" | "missing" | "invalid" {
  const own = note.signatures.filter((line) => line.name === key.name && line.id.equals(key.id));
  if (own.length === 0) return "missing";
  const text = Buffer.from(note.text);
  // RFC 8032 signatures have 64 bytes; verify() answers false for others.
  return own.every((line) => verify(null, text, key.publicKey, line.signature)) ? "good" : "invalid";
}
