import { LogServerError } from "../errors.ts";
import type { SignerKey } from "../formats/note.ts";
import { readKey } from "./keys.ts";

/** A reader takes 100 signature lines, and most of them are the witnesses' to have. */
const MAX_KEYS = 8;

/**
 * Reads the keys that sign each checkpoint: `key`, then `more_keys` in their order.
 * @throws LogServerError `bad_key`
 */
export async function readSigningKeys(
  origin: string,
  key: string,
  moreKeys: readonly string[],
): Promise<readonly SignerKey[]> {
  if (moreKeys.length >= MAX_KEYS) {
    throw new LogServerError(
      "bad_key",
      `more_keys: a checkpoint is signed by at most ${MAX_KEYS} keys; drop the old ones`,
    );
  }
  const keys: SignerKey[] = [];
  for (const path of [key, ...moreKeys]) {
    const read = await readKey(path);
    if (read.name !== origin) {
      const message = `the key ${path} is ${read.name}'s, and the origin is ${origin}: use the log's own key`;
      throw new LogServerError("bad_key", message);
    }
    if (keys.some(({ vkey }) => vkey === read.vkey)) {
      throw new LogServerError("bad_key", `more_keys: ${path} holds a key that is configured already: name it once`);
    }
    keys.push(read);
  }
  return keys;
}
