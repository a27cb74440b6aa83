import { sha256 } from "@noble/hashes/sha2.js";
import { decodeBase64, encodeBase64 } from "./base64.ts";
import { VerifierError } from "./errors.ts";
import { equalBytes } from "./merkle.ts";
import { decodeHex, encodeHex, encodeUtf8 } from "./text.ts";

/** A verifier key of C2SP signed-note (spec/checkpoint.md, keys). */
export type VerifierKey = {
  /** The origin of a log, or the name of a source. */
  name: string;
  /** 8 lower-case hex digits. */
  id: string;
  /** 32 bytes, Ed25519. */
  publicKey: Uint8Array;
  /** The key as text, the one spelling it has. */
  text: string;
};

const ed25519Type = 1;

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
  // The base64 may contain "+" itself: only the first two separate.
  const first = text.indexOf("+");
  const second = first < 0 ? -1 : text.indexOf("+", first + 1);
  if (second < 0) throw badKey("it does not have the form <name>+<key id>+<base64>");
  const name = text.slice(0, first);
  if (!isKeyName(name)) throw badKey("its name is empty, or contains white space or control characters");
  const id = decodeHex(text.slice(first + 1, second));
  if (id === undefined || id.length !== 4) throw badKey("its key id is not 8 lower-case hex digits");
  const typedKey = decodeBase64(text.slice(second + 1));
  if (typedKey === undefined) throw badKey("the part behind the key id is not strict base64");
  if (typedKey[0] !== ed25519Type || typedKey.length !== 33)
    throw badKey("it is not an Ed25519 key (type 01, 32 bytes)");
  if (!equalBytes(id, computeKeyId(name, typedKey))) throw badKey("its key id is not that of its name and public key");
  return { name, id: encodeHex(id), publicKey: typedKey.slice(1), text };
}

function badKey(why: string): VerifierError {
  return new VerifierError("usage", `this is not a verifier key: ${why}`);
}

/** @returns the verifier key of a name and a 32-byte Ed25519 public key. */
export function makeVerifierKey(name: string, publicKey: Uint8Array): VerifierKey {
  const typedKey = new Uint8Array(33);
  typedKey[0] = ed25519Type;
  typedKey.set(publicKey, 1);
  const id = encodeHex(computeKeyId(name, typedKey));
  return { name, id, publicKey, text: `${name}+${id}+${encodeBase64(typedKey)}` };
}
