/**
 * The record of what the log acknowledged, kept for whoever has to show it later (spec/record.md): lines of JSON in a
 * file of its own, which is put away when it is long enough, or when what comes next does not follow what is in it.
 */
import { basename, dirname } from "node:path";
import { ProxyError } from "../errors.ts";
import type { Hooks } from "./crash-points.ts";
import { type Disk, isFull, openDisk, type SpoolFile } from "./disk.ts";
import { decodeBase64 } from "./keys.ts";
import type { Place } from "./state.ts";

/** A place in a source's history, and the chain there: base64 of 32 bytes. */
export interface ChainPlace extends Place {
  readonly chain: string;
}

/** Entries that stand side by side in sequence and in the log. */
export interface SubmittedRange {
  readonly epoch: number;
  readonly seq: number;
  readonly count: number;
  readonly index: number;
  /** The chain in front of the first and behind the last, base64. */
  readonly before: string;
  readonly after: string;
}

export interface RecordHeader {
  readonly origin: string;
  readonly source: string;
  /** Of the source: the key in force when the file was begun. */
  readonly vkey: string;
}

const DEFAULT_MAX_BYTES = 64 * 1024 * 1024;
/** More than a header or a line has, names of some thousand characters included. */
const LINE_BYTES = 64 * 1024;
const NEWLINE = 10;

export class RecordFile {
  readonly path: string;
  readonly #disk: Disk;
  readonly #name: string;
  readonly #header: RecordHeader;
  /** In the file at hand. */
  #vkey: string;
  readonly #maxBytes: number;
  readonly #hooks: Hooks;
  #file: SpoolFile | undefined;
  /** Bytes that count. */
  #size = 0;
  #end: ChainPlace | undefined;
  /** The highest number of a file that was put away. */
  #putAwayUpTo = 0;

  private constructor(disk: Disk, path: string, header: RecordHeader, maxBytes: number, hooks: Hooks) {
    this.path = path;
    this.#disk = disk;
    this.#name = basename(path);
    this.#header = header;
    this.#vkey = header.vkey;
    this.#maxBytes = maxBytes;
    this.#hooks = hooks;
  }

  /**
   * Takes up the record where it ends, without what a crash tore; one of another source or log is put away.
   * @throws an error of the file system
   */
  static async open(
    path: string,
    header: RecordHeader,
    options: {
      readonly disk?: (dir: string) => Promise<Disk>;
      readonly maxBytes?: number;
      readonly hooks?: Hooks;
    } = {},
  ): Promise<RecordFile> {
    const disk = await (options.disk ?? openDisk)(dirname(path));
    const record = new RecordFile(disk, path, header, options.maxBytes ?? DEFAULT_MAX_BYTES, options.hooks ?? {});
    const names = (await disk.list()).map(({ name }) => name);
    for (const name of names) record.#putAwayUpTo = Math.max(record.#putAwayUpTo, record.#numberOf(name));
    if (names.includes(record.#name)) {
      if (!(await record.#takeUp())) await record.#putAway();
      else if (record.#end === undefined) await record.#goOn();
    } else await record.#goOn();
    return record;
  }

  /** A crash came between putting one away and the first line of the next, which goes on where that one ends. */
  async #goOn(): Promise<void> {
    if (this.#putAwayUpTo === 0) return;
    const { file, fits, place } = await this.#look(this.#awayName(this.#putAwayUpTo));
    await file.close();
    if (fits) this.#end = place;
  }

  /** Behind the last range; undefined when there is none yet. */
  get end(): ChainPlace | undefined {
    return this.#end;
  }

  /** @returns whether a file is one to go on with, where it ends, and the key in its header */
  async #look(
    name: string,
  ): Promise<{ file: SpoolFile; fits: boolean; end: number; place: ChainPlace | undefined; vkey: string }> {
    const file = await this.#disk.open(name);
    const head = Buffer.alloc(Math.min(file.size, LINE_BYTES));
    const tail = Buffer.alloc(Math.min(file.size, LINE_BYTES));
    await file.read(head, 0);
    await file.read(tail, file.size - tail.length);
    const end = file.size - tail.length + tail.lastIndexOf(NEWLINE) + 1;
    const lastLine = tail.subarray(0, tail.lastIndexOf(NEWLINE) + 1);
    // The header may name an earlier key of the source: what was recorded under it was recorded.
    const vkey = vkeyIn(head.subarray(0, head.indexOf(NEWLINE) + 1), this.#header) ?? "";
    const header = headerLine({ ...this.#header, vkey });
    const place = end > header.length ? parseEnd(lastLine) : undefined;
    const headed = vkey !== "" && end >= header.length;
    return { file, fits: headed && (place !== undefined || end === header.length), end, place, vkey };
  }

  /** @returns false when this is not a file to go on with */
  async #takeUp(): Promise<boolean> {
    const { file, fits, end, place, vkey } = await this.#look(this.#name);
    if (!fits) {
      await file.close();
      return false;
    }
    if (end < file.size) {
      // CRASH: the torn line is there or gone; a reader ignores it, and so does the next start.
      await this.#disk.truncate(this.#name, end);
    }
    this.#file = file;
    this.#size = end;
    this.#end = place;
    this.#vkey = vkey;
    return true;
  }

  /**
   * Adds ranges that follow what is there. When it resolves they are durable.
   * @param vkey the source's key in force for them; another than that of the file begins a new file
   * @throws ProxyError `spool_failed`, `disk_full`; the record must not be written again then
   */
  async append(ranges: readonly SubmittedRange[], vkey: string = this.#header.vkey): Promise<void> {
    const last = ranges.at(-1);
    if (last === undefined) return;
    try {
      const bytes = Buffer.from(ranges.map(lineOf).join(""));
      const isFull = this.#size + bytes.length > this.#maxBytes;
      if (this.#file !== undefined && (isFull || vkey !== this.#vkey)) await this.#putAway();
      if (this.#file === undefined) await this.#begin(vkey);
      await this.#file!.write(bytes, this.#size);
      this.#size += bytes.length;
    } catch (error) {
      throw this.#failure(error);
    }
    this.#end = { epoch: last.epoch, next: last.seq + last.count, chain: last.after };
  }

  /**
   * What comes next does not follow what is there: it goes into a file of its own.
   * @throws ProxyError as {@link append}
   */
  async breakOff(): Promise<void> {
    try {
      if (this.#file !== undefined) await this.#putAway();
    } catch (error) {
      throw this.#failure(error);
    }
    this.#end = undefined;
  }

  async #putAway(): Promise<void> {
    await this.close();
    this.#putAwayUpTo += 1;
    await this.#disk.rename(this.#name, this.#awayName(this.#putAwayUpTo));
    await this.#disk.syncNames();
    this.#size = 0;
    // CRASH: there is no record under its own name: the next start begins one that goes on where this one ends.
    this.#hooks.at?.("record.away");
  }

  #awayName(number: number): string {
    return `${this.#name}.${String(number).padStart(6, "0")}`;
  }

  #numberOf(name: string): number {
    const number = name.startsWith(`${this.#name}.`) ? name.slice(this.#name.length + 1) : "";
    return /^\d{6,15}$/.test(number) ? Number(number) : 0;
  }

  async #begin(vkey: string): Promise<void> {
    const fresh = `${this.#name}-new`;
    await this.#disk.create(fresh, 0);
    const file = await this.#disk.open(fresh);
    this.#file = file;
    const header = headerLine({ ...this.#header, vkey });
    await file.write(header, 0);
    // CRASH: what is not called the record yet is written anew.
    this.#hooks.at?.("record.headed");
    await this.#disk.rename(fresh, this.#name);
    await this.#disk.syncNames();
    this.#size = header.length;
    this.#vkey = vkey;
  }

  #failure(error: unknown): ProxyError {
    const what = `the record ${this.path} of what was submitted could not be written: ${(error as Error).message}`;
    return new ProxyError(isFull(error) ? "disk_full" : "spool_failed", what, { cause: error });
  }

  async close(): Promise<void> {
    await this.#file?.close();
    this.#file = undefined;
  }
}

function headerLine({ origin, source, vkey }: RecordHeader): Buffer {
  return Buffer.from(`${JSON.stringify({ format: "vitrine/submitted/v1", origin, source, vkey })}\n`);
}

/** @returns the key in a header like this one; undefined when it is of another source or log, or no header */
function vkeyIn(line: Buffer, header: RecordHeader): string | undefined {
  try {
    const { vkey } = JSON.parse(line.toString("utf8")) as { vkey?: unknown };
    if (typeof vkey !== "string" || !vkey.startsWith(`${header.source}+`)) return undefined;
    return headerLine({ ...header, vkey }).equals(line) ? vkey : undefined;
  } catch {
    return undefined; // not JSON, or no object: not written by us
  }
}

function lineOf({ epoch, seq, count, index, before, after }: SubmittedRange): string {
  return `{"epoch":${epoch},"seq":${seq},"count":${count},"index":${index},"before":"${before}","after":"${after}"}\n`;
}

/** @returns where the last of the lines ends; undefined when it is none of ours */
function parseEnd(lines: Buffer): ChainPlace | undefined {
  const text = lines.subarray(lines.lastIndexOf(NEWLINE, lines.length - 2) + 1).toString("utf8");
  try {
    const range = JSON.parse(text) as SubmittedRange;
    if (lineOf(range) !== text || decodeBase64(range.after)?.length !== 32) return undefined;
    const next = range.seq + range.count;
    return Number.isSafeInteger(range.epoch) && Number.isSafeInteger(next)
      ? { epoch: range.epoch, next, chain: range.after }
      : undefined;
  } catch {
    return undefined; // not JSON, or another value than an object: not written by us
  }
}
