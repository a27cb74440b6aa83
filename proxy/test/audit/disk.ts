import fs from "node:fs";
import { copyFile, mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";
import { join } from "node:path";
import { type Disk, openDisk, type SpoolFile } from "../../src/audit/disk.ts";

export type Act = "list" | "create" | "open" | "truncate" | "rename" | "remove" | "syncNames" | "write" | "read";

/** The real folder, watched: what is written can be seen, and anything can be made to fail. */
export class WatchedDisk {
  /** The batches and heads written, in order. */
  readonly writes: { readonly bytes: Buffer; readonly position: number }[] = [];
  /** Called before each act; what it throws is how the act fails. */
  fault: ((act: Act) => void) | undefined;
  /** Held back while it is not resolved. */
  hold: Promise<void> | undefined;

  /** For `RecorderOptions.disk`. */
  readonly open: (dir: string) => Promise<Disk> = async (dir) => {
    const real = await openDisk(dir);
    const before =
      <A extends unknown[], R>(act: Act, run: (...args: A) => Promise<R>) =>
      async (...args: A): Promise<R> => {
        this.fault?.(act);
        return run(...args);
      };
    return {
      dir,
      list: before("list", () => real.list()),
      create: before("create", (name, size) => real.create(name, size)),
      open: before("open", async (name) => this.#watch(await real.open(name))),
      truncate: before("truncate", (name, size) => real.truncate(name, size)),
      rename: before("rename", (from, to) => real.rename(from, to)),
      remove: before("remove", (name) => real.remove(name)),
      syncNames: before("syncNames", () => real.syncNames()),
    };
  };

  #watch(file: SpoolFile): SpoolFile {
    return {
      size: file.size,
      write: async (bytes, position) => {
        await this.hold;
        this.fault?.("write");
        await file.write(bytes, position);
        this.writes.push({ bytes: Buffer.from(bytes), position });
      },
      read: async (into, position) => {
        this.fault?.("read");
        return file.read(into, position);
      },
      close: () => file.close(),
    };
  }
}

export function systemError(code: string): Error {
  return Object.assign(new Error(`${code}: injected`), { code });
}

/** For what opens its own disk: no spool of this process takes what has this text in it, and the write fails with EIO. */
export function refuseToWrite(t: { teardown(f: () => unknown): unknown }, text: string): void {
  const { write } = fs;
  const put = (write: unknown): void => {
    Object.assign(fs, { write });
    syncBuiltinESMExports();
  };
  put((fd: number, bytes: Buffer, ...more: unknown[]) => {
    if (Buffer.isBuffer(bytes) && bytes.includes(text)) {
      const told = more.at(-1) as (error: Error) => void;
      setImmediate(() => told(systemError("EIO")));
    } else Reflect.apply(write, fs, [fd, bytes, ...more]);
  });
  t.teardown(() => put(write));
}

/** The names of a folder's segments, oldest first. */
export async function segments(dir: string): Promise<string[]> {
  return (await readdir(dir)).filter((name) => name.startsWith("segment-")).sort();
}

/** What a crash at this moment would leave. */
export async function copySpool(from: string, to: string): Promise<void> {
  await mkdir(to, { recursive: true });
  // Not the file that is about to become a spare: it may be gone before it is copied, and its content does not matter.
  for (const name of await readdir(from))
    if (/^(segment-\d+|spare)$/.test(name)) await copyFile(join(from, name), join(to, name));
}

/** Changes a file's bytes in place. */
export async function alter(path: string, change: (bytes: Buffer) => Buffer | undefined): Promise<void> {
  const bytes = await readFile(path);
  await writeFile(path, change(bytes) ?? bytes);
}
