import { randomBytes } from "node:crypto";
import { type FileHandle, mkdir, open, rename, stat, unlink } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { VerifierError } from "../src/errors.ts";
import { printable, printableShort } from "./printable.ts";

/** @returns the code of an error of the system, such as `ENOENT`. */
export function systemCode(error: unknown): string | undefined {
  const code = error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined;
  return typeof code === "string" && (error as NodeJS.ErrnoException).syscall !== undefined ? code : undefined;
}

const reasons: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file or folder",
  EACCES: "this user may not",
  EPERM: "this user may not",
  EISDIR: "it is a folder",
  EEXIST: "there is a file of this name",
  ENOTDIR: "a part of the path is not a folder",
  ENOSPC: "the disk is full",
  EROFS: "the file system is read-only",
};

/**
 * Makes what the file system refused a `usage` error: a path that was given to the command is wrong.
 * @returns what to throw; anything that is not an error of the system is given back as it is
 */
export function pathError(error: unknown, what: string): unknown {
  const code = systemCode(error);
  if (code === undefined) return error;
  return new VerifierError("usage", `${what}: ${reasons[code] ?? printable((error as Error).message)} (${code})`);
}

/**
 * Reads a file without ever holding more than it may have.
 * @param path of the file; `-` is standard input
 * @param limit in bytes
 * @returns its bytes, at most `limit` + 1 of them: more than `limit` means that the file is longer
 * @throws VerifierError `usage` when it cannot be read
 */
export async function readBounded(path: string, limit: number, what: string): Promise<Buffer> {
  let handle: FileHandle | undefined;
  try {
    if (path !== "-") handle = await open(path, "r");
    const stream = handle === undefined ? process.stdin : handle.createReadStream({ autoClose: false, end: limit });
    const chunks: Buffer[] = [];
    let length = 0;
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      chunks.push(chunk);
      length += chunk.length;
      if (length > limit) break;
    }
    return Buffer.concat(chunks).subarray(0, limit + 1);
  } catch (error) {
    throw pathError(error, `${what}: ${printableShort(path)} cannot be read`);
  } finally {
    await handle?.close();
  }
}

/**
 * Writes a file so that at every moment either the old one or the whole new one is there, also after a power failure.
 * @param path is replaced; readable by the owner only
 * @throws an error of the system
 */
export async function writeDurably(path: string, content: string): Promise<void> {
  const folder = dirname(path);
  const temporary = join(folder, `.${basename(path)}.${randomBytes(6).toString("hex")}.tmp`);
  const handle = await open(temporary, "wx", 0o600);
  try {
    try {
      await handle.writeFile(content);
      await handle.sync();
    } finally {
      await handle.close();
    }
    // CRASH: a temporary file is left over, which nothing reads.
    await rename(temporary, path);
  } catch (error) {
    await unlink(temporary).catch(() => undefined); // the first error is the one to tell; it may be gone already
    throw error;
  }
  // CRASH: after a power failure the old file may be there again.
  await syncFolder(folder);
}

/** Makes durable which files a folder has, by which names. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/**
 * Creates a folder, for this user only, with those above it. Node's own `recursive` never returns where the file system
 * takes no folders though the one above is there, such as /proc (seen with Node 20.20).
 */
export async function makeFolder(folder: string): Promise<void> {
  const above = dirname(resolve(folder));
  if (above !== resolve(folder) && !(await isThere(above))) await makeFolder(above);
  try {
    await mkdir(folder, { mode: 0o700 });
  } catch (error) {
    // Another process may have made it in between.
    if (systemCode(error) !== "EEXIST" || !(await stat(folder)).isDirectory()) throw error;
  }
}

async function isThere(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if (systemCode(error) === "ENOENT") return false;
    throw error;
  }
}
