import { sha256 } from "@noble/hashes/sha2.js";
import { VerifierError } from "../errors.ts";
import { decodeBase64, encodeBase64 } from "./base64.ts";
import { publicKeyLength } from "./ed25519.ts";
import { equalBytes } from "./merkle.ts";
import { decodeHex, encodeHex, encodeUtf8 } from "./text.ts";

/** What all verifier keys of C2SP signed-note have. */
type NoteKey = {
  name: string;
  /** 8 lower-case hex digits. */
  id: string;
  /** 32 bytes, Ed25519. */
  publicKey: Uint8Array;
  /** The key as text, the one spelling it has. */
  text: string;
};

/** A key that signs notes (spec/checkpoint.md, keys). Its name is the origin of a log, or the name of a source. */
export type VerifierKey = NoteKey & { type: 1 };

/**
 * The keys of one log: one, or several while it changes from one to the next. All of them must have signed
 * (spec/checkpoint.md, rotation).
 */
export type LogKeys = VerifierKey | readonly VerifierKey[];

/** A key that cosigns checkpoints (spec/policy.md, cosigners). Its name is that of a witness. */
export type CosignerKey = NoteKey & { type: 4 };

/** The type byte tells what is signed, so that a key of one type accepts no signature of the other. */
const types = { note: 1, cosignature: 4 } as const;

/** Nearly every name there is; the general rule takes several times as long. */
const plainName = /^[a-z0-9./_:-]+$/i;

/**
 * @returns whether it can be the name of a key: not empty, without `+`, Unicode white space, control characters below
 * U+0020 and, as it is UTF-8, lone surrogates
 */
export function isKeyName(name: string): boolean {
  if (plainName.test(name)) return true;
  return name !== "" && !/[+\u0000-\u001f\p{White_Space}\p{Surrogate}]/u.test(name);
}

function computeKeyId(name: string, typedKey: Uint8Array): Uint8Array {
  const nameBytes = encodeUtf8(name);
  const input = new Uint8Array(nameBytes.length + 1 + typedKey.length);
  input.set(nameBytes, 0);
  input[nameBytes.length] = 0x0a;
  input.set(typedKey, nameBytes.length + 1);
  return sha256(input).slice(0, 4);
}

/**
 * Parses `<name>+<key id>+<base64(0x01 || public key)>`.
 * @throws VerifierError `usage` when it is no such key, or its key id is not that of its name and public key
 */
export function parseVerifierKey(text: string): VerifierKey {
  return { ...parseKey(text, types.note, "a verifier key"), type: types.note };
}

/**
 * Parses `<name>+<key id>+<base64(0x04 || public key)>` (C2SP tlog-cosignature).
 * @throws VerifierError `usage` when it is no such key, or its key id is not that of its name and public key
 */
export function parseCosignerKey(text: string): CosignerKey {
  return { ...parseKey(text, types.cosignature, "a cosigner's key"), type: types.cosignature };
}

function parseKey(text: string, type: 1 | 4, noun: string): NoteKey {
  const bad = (why: string): VerifierError => new VerifierError("usage", `this is not ${noun}: ${why}`);
  // The base64 may contain "+" itself: only the first two separate.
  const first = text.indexOf("+");
  const second = first < 0 ? -1 : text.indexOf("+", first + 1);
  if (second < 0) throw bad("it does not have the form <name>+<key id>+<base64>");
  const name = text.slice(0, first);
  if (!isKeyName(name)) throw bad("its name is empty, or contains white space or control characters");
  const id = decodeHex(text.slice(first + 1, second));
  if (id === undefined || id.length !== 4) throw bad("its key id is not 8 lower-case hex digits");
  const typedKey = decodeBase64(text.slice(second + 1));
  if (typedKey === undefined) throw bad("the part behind the key id is not strict base64");
  if (typedKey[0] !== type || typedKey.length !== 1 + publicKeyLength) throw bad(wrongType(type, typedKey[0]));
  if (!equalBytes(id, computeKeyId(name, typedKey))) throw bad("its key id is not that of its name and public key");
  return { name, id: encodeHex(id), publicKey: typedKey.slice(1), text };
}

/**
 * @returns the keys, each once, in the order given
 * @throws VerifierError `usage` when there is none, or they are not of one origin
 */
export function listKeys(keys: LogKeys): readonly [VerifierKey, ...VerifierKey[]] {
  const given = "name" in keys ? [keys] : keys;
  const [first, ...rest] = given.filter((key, at) => given.findIndex(({ text }) => text === key.text) === at);
  if (first === undefined) throw new VerifierError("usage", "no key of the log is given");
  for (const { name } of rest) {
    if (name === first.name) continue;
    const message = `the keys given are of two logs, ${first.name} and ${name}; several keys are for one log that changes its key`;
    throw new VerifierError("usage", message);
  }
  return [first, ...rest];
}

function wrongType(wanted: 1 | 4, found: number | undefined): string {
  if (wanted === 1 && found === 4) return "it is a cosigner's (type 04), which signs no notes";
  if (wanted === 4 && found === 1) return "it signs notes (type 01); a cosigner's has type 04";
  return `it is not an Ed25519 key of type 0${wanted} and ${publicKeyLength} bytes`;
}

/** @returns the verifier key of a name and a 32-byte Ed25519 public key. */
export function makeVerifierKey(name: string, publicKey: Uint8Array): VerifierKey {
  return { ...makeKey(name, publicKey, types.note), type: types.note };
}

/** @returns the cosigner's key of a name and a 32-byte Ed25519 public key. */
export function makeCosignerKey(name: string, publicKey: Uint8Array): CosignerKey {
  return { ...makeKey(name, publicKey, types.cosignature), type: types.cosignature };
}

function makeKey(name: string, publicKey: Uint8Array, type: number): NoteKey {
  const typedKey = new Uint8Array(1 + publicKeyLength);
  typedKey[0] = type;
  typedKey.set(publicKey, 1);
  const id = encodeHex(computeKeyId(name, typedKey));
  return { name, id, publicKey, text: `${name}+${id}+${encodeBase64(typedKey)}` };
}
