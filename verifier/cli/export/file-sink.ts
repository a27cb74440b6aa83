import { type FileHandle, open, rename, stat } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { VerifierError } from "../../src/index.ts";
import { pathError, syncFolder, systemCode } from "../files.ts";
import { printable, printableShort } from "../printable.ts";
import type { ExportHooks } from "./hooks.ts";
import { type LineOptions, ocsfLines } from "./ocsf/lines.ts";
import type { Row } from "./row.ts";
import type { Sink } from "./sink.ts";

export type FileOptions = LineOptions & {
  /** Bytes: a file that has as many is put away before more is written. */
  rotate: number;
  hooks: ExportHooks;
};

const lineEnd = 0x0a;
/** Every row begins with it. Only what does is taken for a torn one: the file might be somebody else's. */
const rowStart = Buffer.from('{"time":');
const step = 65_536;

/**
 * JSON lines in a file that is put away under another name when it is large enough, and never overwritten. Others may
 * move it away as well, as logrotate does: what is written behind that would be packed, or deleted, with it.
 */
export class FileSink implements Sink {
  readonly #path: string;
  readonly #options: FileOptions;
  #handle: FileHandle;
  #length: number;

  private constructor(path: string, options: FileOptions, handle: FileHandle, length: number) {
    this.#path = path;
    this.#options = options;
    this.#handle = handle;
    this.#length = length;
  }

  /**
   * @param path is created, readable by its owner only, or written on
   * @throws VerifierError `usage` when it cannot be used
   */
  static async open(path: string, options: FileOptions): Promise<FileSink> {
    let handle: FileHandle | undefined;
    try {
      handle = await openToAppend(path);
      const length = await cutTorn(handle, options.hooks);
      return new FileSink(path, options, handle, length);
    } catch (error) {
      await handle?.close();
      throw pathError(error, `--output ${printableShort(path)} cannot be written`);
    }
  }

  async write(rows: readonly Row[], next: number): Promise<number> {
    const bytes = Buffer.from(ocsfLines(rows, this.#options));
    try {
      do {
        if (!(await this.#isInPlace())) await this.#beginAnew();
        if (this.#length >= this.#options.rotate) await this.#rotate(next - rows.length);
        await this.#handle.appendFile(bytes);
        // CRASH: rows are there, the last of them perhaps in part, and the position is before them: they come again.
        this.#options.hooks.at("file:written");
        await this.#handle.datasync();
        // CRASH: as above.
        this.#options.hooks.at("file:durable");
        this.#length += bytes.length;
        // Moved away in between, it may have been packed without these rows: they go into the next one too.
      } while (!(await this.#isInPlace()));
    } catch (error) {
      throw writeFailed(error, this.#path);
    }
    return 0;
  }

  async #isInPlace(): Promise<boolean> {
    const ours = await this.#handle.stat({ bigint: true });
    try {
      const there = await stat(this.#path, { bigint: true });
      return there.ino === ours.ino && there.dev === ours.dev;
    } catch (error) {
      if (systemCode(error) === "ENOENT") return false;
      throw error;
    }
  }

  async #beginAnew(): Promise<void> {
    this.#options.hooks.log("the output has been moved away or deleted; it is begun anew");
    await this.#handle.close();
    this.#handle = await openToAppend(this.#path);
    this.#length = await cutTorn(this.#handle, this.#options.hooks);
  }

  /** @param next the index of the first row of the new file, by which the old one is named */
  async #rotate(next: number): Promise<void> {
    await this.#handle.close();
    await rename(this.#path, await freeName(`${this.#path}.${String(next).padStart(16, "0")}`));
    // CRASH: there is no file under its own name; the next run creates it.
    this.#options.hooks.at("rotate:renamed");
    this.#handle = await openToAppend(this.#path);
    this.#length = 0;
    // CRASH: the file is there and empty.
    this.#options.hooks.at("rotate:created");
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }
}

async function openToAppend(path: string): Promise<FileHandle> {
  const handle = await open(path, "a+", 0o600);
  try {
    // What is appended to a pipe or a device cannot be made durable, nor mended.
    if (!(await handle.stat()).isFile()) {
      throw new VerifierError(
        "usage",
        `--output ${printableShort(path)} is not a file; leave it out for standard output`,
      );
    }
    await syncFolder(dirname(resolve(path)));
    return handle;
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/**
 * Cuts off what a run that died left behind the last line end: its row comes again, whole.
 * @returns the file's length
 */
async function cutTorn(handle: FileHandle, hooks: ExportHooks): Promise<number> {
  const { size } = await handle.stat();
  const chunk = Buffer.alloc(step);
  let end = size;
  while (end > 0) {
    const from = Math.max(0, end - step);
    const { bytesRead } = await handle.read(chunk, 0, end - from, from);
    if (bytesRead < end - from) throw new Error("the file became shorter while it was read");
    const at = chunk.subarray(0, bytesRead).lastIndexOf(lineEnd);
    if (at >= 0) {
      end = from + at + 1;
      break;
    }
    end = from;
  }
  await demandRow(handle, end === size ? await lineBefore(handle, size) : end, size);
  if (end === size) return size;
  hooks.log(`the last ${size - end} bytes of the output are not a whole row and are cut off; the row comes again`);
  await handle.truncate(end);
  // CRASH: the file may have its torn row again, and is cut again.
  hooks.at("file:torn");
  await handle.datasync();
  return end;
}

/** @returns where the last whole line begins, in a file that ends with a line's end; 0 in one that is empty */
async function lineBefore(handle: FileHandle, size: number): Promise<number> {
  const chunk = Buffer.alloc(step);
  for (let end = size - 1; end > 0; ) {
    const from = Math.max(0, end - step);
    const { bytesRead } = await handle.read(chunk, 0, end - from, from);
    const at = chunk.subarray(0, bytesRead).lastIndexOf(lineEnd);
    if (at >= 0) return from + at + 1;
    end = from;
  }
  return 0;
}

/** @throws VerifierError `usage` when what begins there is no row, nor the beginning of one */
async function demandRow(handle: FileHandle, at: number, size: number): Promise<void> {
  const start = Buffer.alloc(Math.min(rowStart.length, size - at));
  const { bytesRead } = await handle.read(start, 0, start.length, at);
  if (!rowStart.subarray(0, start.length).equals(start.subarray(0, bytesRead)))
    throw new VerifierError("usage", "--output is a file that ends in something else than a row; name another");
}

/** A file that a run put away before it died, under the same name, is kept. */
async function freeName(path: string): Promise<string> {
  for (let n = 0; ; n++) {
    const name = n === 0 ? path : `${path}.${n}`;
    try {
      await stat(name);
    } catch (error) {
      if (systemCode(error) === "ENOENT") return name;
      throw error;
    }
  }
}

function writeFailed(error: unknown, path: string): unknown {
  if (systemCode(error) === undefined) return error;
  const message = `${printableShort(path)}: ${printable((error as Error).message)}; the rows since the last position come again`;
  return new VerifierError("write_failed", message);
}
