import { constants, type FileHandle, open, realpath, stat } from "node:fs/promises";
import { isAbsolute, join, relative, resolve } from "node:path";
import {
  type LogReader,
  maxBundleLength,
  maxNoteLength,
  maxTileLength,
  type TileLevel,
  tilePath,
  VerifierError,
} from "../src/index.ts";
import { pathError, systemCode } from "./files.ts";
import { printable, printableShort } from "./printable.ts";

/**
 * Reads a log that was exported as files, laid out as spec/tiles.md says. Whoever made the folder may lie in it, so it
 * must not reach out of itself: a link is followed only to what is in the folder too.
 */
export class FolderReader implements LogReader {
  /** Without a symbolic link in it. */
  readonly #root: string;

  private constructor(root: string) {
    this.#root = root;
  }

  /** @throws VerifierError `usage` when it is no folder that can be read */
  static async open(folder: string): Promise<FolderReader> {
    try {
      const root = await realpath(resolve(folder));
      if ((await stat(root)).isDirectory()) return new FolderReader(root);
    } catch (error) {
      throw pathError(error, `--log ${printableShort(folder)} cannot be read`);
    }
    throw new VerifierError("usage", `--log ${printableShort(folder)} is a file; name the folder of an exported log`);
  }

  checkpoint(): Promise<Uint8Array | "missing"> {
    return this.#read("checkpoint", maxNoteLength);
  }

  tile(level: TileLevel, n: number, width: number): Promise<Uint8Array | "missing"> {
    return this.#read(tilePath(level, n, width), level === "entries" ? maxBundleLength : maxTileLength);
  }

  /** @param path below the folder, one that a log has: nothing that was read is ever part of it */
  async #read(path: string, limit: number): Promise<Uint8Array | "missing"> {
    let handle: FileHandle | undefined;
    try {
      const target = await realpath(join(this.#root, path));
      const inside = relative(this.#root, target);
      if (inside.startsWith("..") || isAbsolute(inside)) {
        throw unreadable(path, `it is a link that leads out of the folder, to ${printableShort(target)}`);
      }
      // Opening a pipe would wait for somebody who writes to it.
      handle = await open(target, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
      if (!(await handle.stat()).isFile()) throw unreadable(path, "it is not a file");
      return await readAtMost(handle, limit + 1);
    } catch (error) {
      const code = systemCode(error);
      if (code === "ENOENT" || code === "ENOTDIR") return "missing";
      if (code !== undefined) throw unreadable(path, printable((error as Error).message));
      throw error;
    } finally {
      await handle?.close();
    }
  }
}

async function readAtMost(handle: FileHandle, length: number): Promise<Uint8Array> {
  const { size } = await handle.stat();
  // Usually the size is the length. A file that grows while it is read is as long as it was.
  const bytes = new Uint8Array(Math.min(size, length));
  let at = 0;
  while (at < bytes.length) {
    const { bytesRead } = await handle.read(bytes, at, bytes.length - at, at);
    if (bytesRead === 0) break;
    at += bytesRead;
  }
  return bytes.subarray(0, at);
}

function unreadable(path: string, why: string): VerifierError {
  return new VerifierError("data_missing", `${path} could not be read: ${why}`, { where: path });
}
