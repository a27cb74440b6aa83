import { open } from "node:fs/promises";
import { ProxyError } from "../errors.ts";

const MAX_BYTES = 4096;

/**
 * Reads the file of a source's signing key (spec/checkpoint.md): one line, readable by its owner only.
 * @returns the line, not yet parsed
 * @throws ProxyError `bad_key`
 */
export async function readSourceKey(path: string): Promise<string> {
  const bad = (what: string, cause?: unknown): ProxyError =>
    new ProxyError("bad_key", `the source's key file ${path} ${what}`, { cause });
  const file = await open(path, "r").catch((error: NodeJS.ErrnoException) => {
    throw bad(`cannot be read (${error.code}); restore it`, error);
  });
  try {
    const { mode, size } = await file.stat();
    if (process.platform !== "win32" && (mode & 0o077) !== 0)
      throw bad(`can be read by others than its owner; run chmod 600 on it`);
    if (size > MAX_BYTES) throw bad(`has ${size} bytes; a key is one line`);
    return await file.readFile("utf8");
  } finally {
    await file.close();
  }
}
