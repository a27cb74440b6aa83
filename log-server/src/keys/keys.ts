import { readFile, stat } from "node:fs/promises";
import { LogServerError, reason } from "../errors.ts";
import { generateKey, isKeyName, parseSignerKey, type SignerKey } from "../formats/note.ts";

function bad(message: string, options?: ErrorOptions): LogServerError {
  return new LogServerError("bad_key", message, {}, options);
}

/**
 * Makes a key pair.
 * @param name the origin of a log, or the name of a source
 * @returns the line of a signing key file, and the verifier key to give away
 * @throws LogServerError `bad_key` when the name cannot be a key's
 */
export function createKey(name: string): { skey: string; vkey: string } {
  if (!isKeyName(name)) {
    throw bad(`${JSON.stringify(name)} cannot be the name of a key: it must not be empty, nor hold "+" or white space`);
  }
  return generateKey(name);
}

/**
 * @param skey `PRIVATE+KEY+…`
 * @returns the verifier key that belongs to a signing key
 * @throws LogServerError `bad_key`
 */
export function vkeyOf(skey: string): string {
  const key = parseSignerKey(skey);
  // The message must not repeat what may be a secret.
  if (key === undefined) throw bad("this is not a signing key: expected PRIVATE+KEY+<name>+<key id>+<base64>");
  return key.vkey;
}

/**
 * Reads a signing key file: one line, readable by its owner only.
 * @throws LogServerError `bad_key`
 */
export async function readKey(path: string): Promise<SignerKey> {
  let text: string;
  try {
    const { mode } = await stat(path);
    if (mode % 0o100 !== 0) {
      throw bad(
        `the key file ${path} has the mode ${(mode % 0o1000).toString(8).padStart(4, "0")}: others can use it; run chmod 600 on it`,
      );
    }
    text = await readFile(path, "utf8");
  } catch (error) {
    if (error instanceof LogServerError) throw error;
    throw bad(`the key file ${path} cannot be read: ${reason(error)}; restore the key`, { cause: error });
  }
  const key = parseSignerKey(text.endsWith("\n") ? text.slice(0, -1) : text);
  if (key === undefined) {
    throw bad(`the key file ${path} does not hold one line PRIVATE+KEY+<name>+<key id>+<base64>; restore the key`);
  }
  return key;
}
