import { VerifierError } from "../src/errors.ts";
import { parseVerifierKey, type VerifierKey } from "../src/formats/key.ts";
import { readBounded } from "./files.ts";
import { printableShort } from "./printable.ts";

/** A key's name has no limit of its own; a file beyond this is none that holds one key. */
const maxKeyFileLength = 16384;

/**
 * @param given a verifier key, or the path of a file that holds one on its only line
 * @param option how the caller gave it
 * @throws VerifierError `usage`
 */
export async function readKey(given: string, option: string): Promise<VerifierKey> {
  // A path with two plus signs around eight hex digits would be an odd one; ./ before it tells it from a key.
  if (/^[^+/.][^+]*\+[0-9a-f]{8}\+/u.test(given)) return parse(given, option);
  const bytes = await readBounded(given, maxKeyFileLength, option);
  if (bytes.length > maxKeyFileLength)
    throw new VerifierError("usage", `${option}: ${printableShort(given)} is too long for a key file`);
  const text = bytes.toString("utf8").replace(/\r?\n$/, "");
  if (text.startsWith("PRIVATE+KEY+")) {
    throw new VerifierError(
      "usage",
      `${option}: ${printableShort(given)} holds a signing key; keep it secret, and give the verifier key`,
    );
  }
  return parse(text, `${option} ${printableShort(given)}`);
}

function parse(text: string, from: string): VerifierKey {
  try {
    return parseVerifierKey(text);
  } catch (error) {
    if (!(error instanceof VerifierError)) throw error;
    throw new VerifierError(error.code, `${from}: ${error.message}`, error.place);
  }
}

/**
 * @param given each a verifier key or a file
 * @returns the keys of sources, by the source's name
 * @throws VerifierError `usage`, also for two keys of one source
 */
export async function readPins(given: readonly string[]): Promise<Map<string, VerifierKey>> {
  const pins = new Map<string, VerifierKey>();
  for (const one of given) {
    const key = await readKey(one, "--source");
    const other = pins.get(key.name);
    if (other !== undefined && other.text !== key.text) {
      throw new VerifierError("usage", `--source names two keys for ${key.name}: ${other.id} and ${key.id}`);
    }
    pins.set(key.name, key);
  }
  return pins;
}
