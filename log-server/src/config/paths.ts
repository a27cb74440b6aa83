import { realpath } from "node:fs/promises";
import { basename, dirname, join, relative, sep } from "node:path";
import { LogServerError } from "../errors.ts";
import type { LogServerConfig } from "./config.ts";

/** @returns the path without symbolic links, as far as it exists. */
async function canonical(path: string): Promise<string> {
  try {
    return await realpath(path);
  } catch {
    // It does not exist yet; its parent may.
    return dirname(path) === path ? path : join(await canonical(dirname(path)), basename(path));
  }
}

/** Directories in which nothing else may stand, as messages call them. */
const FOLDERS = {
  // A copy of it that is put back must not bring an older guard, or an older index, with it.
  store: "the store's directory",
  // They may be deleted at any time.
  index: "the hash index's directory",
  searchIndex: "the search index's directory",
} as const;

const OTHERS = [
  "store",
  "index",
  "searchIndex",
  "guard",
  "key",
  "actsKey",
  "tokens",
  "addTokens",
  "witnesses",
] as const;

function nameOf(key: string): string {
  return key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** @throws LogServerError `bad_config` when something stands where it would be put back, or deleted, with a folder */
export async function checkPaths(config: LogServerConfig): Promise<void> {
  const others: [string, string][] = config.moreKeys.map((path) => ["more_keys", path]);
  for (const key of OTHERS) if (config[key] !== undefined) others.push([key, config[key]]);
  for (const folder of ["store", "index", "searchIndex"] as const) {
    const root = await canonical(config[folder]);
    for (const [key, path] of others) {
      if (key === folder) continue;
      const way = relative(root, await canonical(path));
      if (way === ".." || way.startsWith(`..${sep}`)) continue;
      const message = `${nameOf(key)} (${path}) must not stand in ${FOLDERS[folder]}, ${config[folder]}`;
      throw new LogServerError("bad_config", message);
    }
  }
}
