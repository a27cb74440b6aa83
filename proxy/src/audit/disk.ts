import { close, constants, fdatasync, fstat, fsync, open, read, write } from "node:fs";
import { mkdir, readdir, rename, stat, truncate, unlink } from "node:fs/promises";
import { constants as osConstants } from "node:os";
import { dirname, join, resolve } from "node:path";
import { promisify } from "node:util";

const openFd = promisify(open);
const closeFd = promisify(close);
const statFd = promisify(fstat);
const syncFd = promisify(fsync);
const ZEROS = Buffer.alloc(1024 * 1024);

/** Whether an error says that there is no room: on the disk, or within what this user may take of it. */
export function isFull(error: unknown): boolean {
  const { code, errno } = error as NodeJS.ErrnoException;
  // Node has no name for EDQUOT.
  return code === "ENOSPC" || errno === -osConstants.errno.EDQUOT;
}

/** An open file of the spool. */
export interface SpoolFile {
  readonly size: number;
  /**
   * Writes all bytes at `position`. When it resolves they are durable, together with nothing else. When it rejects,
   * any part of them may be on disk, and the file must not be written again: after a failed sync the kernel may
   * already have forgotten what it could not write, so a second sync that succeeds proves nothing.
   */
  write(bytes: Uint8Array, position: number): Promise<void>;
  /** Fills `into` from `position`; resolves with the number of bytes read, less at the end of the file. */
  read(into: Uint8Array, position: number): Promise<number>;
  close(): Promise<void>;
}

/** The folder of a spool. Names are plain file names in it. One process uses it at a time (lock.ts). */
export interface Disk {
  readonly dir: string;
  list(): Promise<{ readonly name: string; readonly size: number }[]>;
  /** Makes a file of zeros whose size and blocks are durable, so that later writes change no metadata. */
  create(name: string, size: number): Promise<void>;
  open(name: string): Promise<SpoolFile>;
  truncate(name: string, size: number): Promise<void>;
  /** Atomic, replaces; durable only after {@link Disk.syncNames}. */
  rename(from: string, to: string): Promise<void>;
  /** Durable only after {@link Disk.syncNames}. */
  remove(name: string): Promise<void>;
  /** All renames and removals so far are durable. */
  syncNames(): Promise<void>;
}

class NodeFile implements SpoolFile {
  readonly size: number;
  readonly #fd: number;

  constructor(fd: number, size: number) {
    this.#fd = fd;
    this.size = size;
  }

  write(bytes: Uint8Array, position: number): Promise<void> {
    return new Promise((resolve, reject) => {
      let done = 0;
      const step = (error: Error | null, written: number): void => {
        done += written;
        if (error !== null) reject(error);
        else if (done < bytes.length) write(this.#fd, bytes, done, bytes.length - done, position + done, step);
        else if (constants.O_DSYNC !== undefined) resolve();
        else fdatasync(this.#fd, (failed) => (failed === null ? resolve() : reject(failed)));
      };
      step(null, 0);
    });
  }

  read(into: Uint8Array, position: number): Promise<number> {
    return new Promise((resolve, reject) => {
      let done = 0;
      const step = (error: Error | null, got: number): void => {
        done += got;
        if (error !== null) reject(error);
        else if (got === 0 || done === into.length) resolve(done);
        else read(this.#fd, into, done, into.length - done, position + done, step);
      };
      read(this.#fd, into, 0, into.length, position, step);
    });
  }

  close(): Promise<void> {
    return closeFd(this.#fd);
  }
}

/**
 * As mkdir of Node with `recursive`, which never returns where the file system takes no folders though the one above is
 * there, such as /proc (seen with Node 20.20).
 */
async function makeFolder(dir: string): Promise<void> {
  const found = await stat(dir).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw error;
  });
  if (found?.isDirectory()) return;
  if (found === undefined) await makeFolder(dirname(dir));
  await mkdir(dir, { mode: 0o700 }).catch(async (error: NodeJS.ErrnoException) => {
    // Another process may have made it in between.
    if (error.code !== "EEXIST" || !(await stat(dir)).isDirectory()) throw error;
  });
}

/** The real folder; makes it, for its owner only, if it is not there. */
export async function openDisk(dir: string): Promise<Disk> {
  await makeFolder(resolve(dir));
  const path = (name: string): string => join(dir, name);
  const syncPath = async (target: string): Promise<void> => {
    const fd = await openFd(target, constants.O_RDONLY);
    try {
      await syncFd(fd);
    } finally {
      await closeFd(fd);
    }
  };
  return {
    dir,
    async list() {
      const names = await readdir(dir);
      return Promise.all(names.map(async (name) => ({ name, size: (await stat(path(name))).size })));
    },
    async create(name, size) {
      const fd = await openFd(path(name), constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC, 0o600);
      const file = new NodeFile(fd, size);
      try {
        for (let at = 0; at < size; at += ZEROS.length)
          await file.write(ZEROS.subarray(0, Math.min(ZEROS.length, size - at)), at);
        await syncFd(fd);
      } finally {
        await file.close();
      }
    },
    async open(name) {
      // O_DSYNC makes each write the write and its fdatasync in one system call: half the trips to the thread pool.
      const fd = await openFd(path(name), constants.O_RDWR | (constants.O_DSYNC ?? 0));
      return new NodeFile(fd, (await statFd(fd)).size);
    },
    truncate: async (name, size) => {
      await truncate(path(name), size);
      await syncPath(path(name));
    },
    rename: (from, to) => rename(path(from), path(to)),
    remove: (name) => unlink(path(name)),
    syncNames: () => syncPath(dir),
  };
}
