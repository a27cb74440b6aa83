import { type KeyObject, randomBytes } from "node:crypto";
import { stat } from "node:fs/promises";
import { VerifierError } from "../../src/errors.ts";
import { decodeBase64, encodeBase64 } from "../../src/formats/base64.ts";
import { type CosignerKey, isKeyName, makeCosignerKey } from "../../src/formats/key.ts";
import { pathError, readBounded, systemCode, writeDurably } from "../files.ts";
import { printable, printableShort } from "../printable.ts";
import { signingKey } from "./ed25519.ts";

/** A cosigner with its secret (spec/witness.md, key). */
export type Cosigner = { vkey: CosignerKey; key: KeyObject };

const prefix = "PRIVATE+KEY+";
const cosignatureType = 4;
const seedLength = 32;
const maxKeyFileLength = 16384;

/**
 * Makes a key that nobody had before.
 * @returns the cosigner, and the line for its key file
 * @throws VerifierError `usage` when it cannot have this name
 */
export function createCosigner(name: string): { cosigner: Cosigner; line: string } {
  if (!isKeyName(name)) {
    const rule = 'it may not be empty nor contain "+", white space or control characters';
    throw new VerifierError("usage", `${printableShort(name)} cannot be the name of a witness: ${rule}`);
  }
  const seed = randomBytes(seedLength);
  const cosigner = cosignerOf(name, seed);
  const typed = Buffer.concat([Uint8Array.of(cosignatureType), seed]);
  return { cosigner, line: `${prefix}${name}+${cosigner.vkey.id}+${encodeBase64(typed)}\n` };
}

function cosignerOf(name: string, seed: Uint8Array): Cosigner {
  const { key, publicKey } = signingKey(seed);
  return { vkey: makeCosignerKey(name, publicKey), key };
}

/**
 * @returns undefined when there is no such file
 * @throws VerifierError `usage`; no message shows what the file holds
 */
export async function readCosigner(path: string): Promise<Cosigner | undefined> {
  const where = `the key file ${printable(path)}`;
  try {
    const { mode } = await stat(path);
    const others = (mode % 0o100).toString(8).padStart(2, "0");
    if (others !== "00") {
      const advice = `others may use it (mode ${(mode % 0o1000).toString(8)}); chmod 600`;
      throw new VerifierError("usage", `${where} is not private: ${advice}`);
    }
  } catch (error) {
    if (systemCode(error) === "ENOENT") return undefined;
    throw pathError(error, `${where} cannot be read`);
  }
  const bytes = await readBounded(path, maxKeyFileLength, "the key file");
  return parseKeyFile(bytes.toString("utf8"), where);
}

/** @throws VerifierError `usage` */
export function parseKeyFile(text: string, where: string): Cosigner {
  const bad = (why: string): VerifierError => new VerifierError("usage", `${where} holds no witness's key: ${why}`);
  const line = text.replace(/\n$/, "");
  const [, name, id, base64] = /^PRIVATE\+KEY\+([^+]+)\+([0-9a-f]{8})\+(.+)$/u.exec(line) ?? [];
  if (name === undefined || !isKeyName(name)) throw bad(`it has not the form ${prefix}<name>+<key id>+<base64>`);
  const typed = decodeBase64(base64!);
  if (typed?.length !== 1 + seedLength) throw bad("the part behind the key id is not strict base64 of 33 bytes");
  if (typed[0] === 1) throw bad("it signs notes (type 01), as a log does; a witness has a key of its own, of type 04");
  if (typed[0] !== cosignatureType) throw bad("its type is not 04");
  const cosigner = cosignerOf(name, typed.slice(1));
  if (cosigner.vkey.id !== id) throw bad("its key id is not that of its name and key");
  return cosigner;
}

/** Writes a key file, durably and for its owner only. */
export async function writeKeyFile(path: string, line: string): Promise<void> {
  try {
    await writeDurably(path, line);
  } catch (error) {
    throw pathError(error, `the key file ${printable(path)} cannot be written`);
  }
}
