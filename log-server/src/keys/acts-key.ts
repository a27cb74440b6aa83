import { lstat, open, rename } from "node:fs/promises";
import { basename, dirname } from "node:path";
import { LogServerError, reason } from "../errors.ts";
import type { SignerKey } from "../formats/note.ts";
import { createKey, readKey } from "./keys.ts";

/** @returns the name of the source that a log records its own acts as (spec/entry.md, "Acts of the log"). */
export function actsName(origin: string): string {
  return `${origin}/acts`;
}

async function isThere(path: string): Promise<boolean> {
  try {
    await lstat(path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return false;
    throw error;
  }
}

async function create(path: string, name: string): Promise<void> {
  const temporary = `${path}.new`;
  const file = await open(temporary, "w", 0o600);
  try {
    // The mode of a file that was left there would stay.
    await file.chmod(0o600);
    await file.writeFile(`${createKey(name).skey}\n`);
    await file.sync();
  } finally {
    await file.close();
  }
  // CRASH: there is no key yet, and the next start makes another; nothing was signed with this one.
  await rename(temporary, path);
  const directory = await open(dirname(path), "r");
  await directory.sync().finally(() => directory.close());
}

/**
 * Reads the key that the log signs its own entries with, and makes it for a log that has none yet.
 * @param vkey the key that its entries so far name, if it has any: it must be this one
 * @throws LogServerError `bad_key`
 */
export async function readActsKey(path: string, origin: string, vkey: string | undefined): Promise<SignerKey> {
  const name = actsName(origin);
  if (vkey === undefined) {
    try {
      if (!(await isThere(path))) await create(path, name);
    } catch (error) {
      const message = `acts_key: ${basename(path)} cannot be made at ${path}: ${reason(error)}`;
      throw new LogServerError("bad_key", message, {}, { cause: error });
    }
  }
  const key = await readKey(path);
  if (key.name !== name) {
    throw new LogServerError("bad_key", `acts_key: the key ${path} is ${key.name}'s, and must be ${name}'s`);
  }
  if (vkey !== undefined && key.vkey !== vkey) {
    const message = `acts_key: the key ${path} is ${key.vkey}, and the log's own entries are by ${vkey}: put that key back`;
    throw new LogServerError("bad_key", message);
  }
  return key;
}
