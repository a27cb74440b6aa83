import { type FileHandle, open, rename } from "node:fs/promises";
import { dirname } from "node:path";
import { VerifierError } from "../../src/errors.ts";
import { pathError, syncFolder, systemCode } from "../files.ts";
import { printable } from "../printable.ts";
import { encodeRecord, noCheck, scanRecords } from "./frame.ts";
import type { WitnessHooks } from "./hooks.ts";

/** A payload, and who is told once it is durable. */
type Waiting = { payload: Buffer; durable: () => void };

/** What may be given to a write at once when the file is made anew. */
const chunkLength = 256 * 1024;

export type JournalOptions = {
  path: string;
  hooks: WitnessHooks;
  /** The payloads that a new file needs: all that is durable and not superseded, the first one of the file first. */
  snapshot(): Iterable<Buffer>;
  /** The file is made anew once it is longer than this many bytes, and than four times what it then was. */
  compactAt: number;
};

/**
 * A file that records are appended to, and that is made anew when most of them are superseded. All that wait at the same
 * time share one write and one sync. A write that fails is the end: what the file holds then is not known, and only
 * reading it again, by the next process, tells.
 */
export class Journal {
  readonly #options: JournalOptions;
  #handle: FileHandle;
  #length: number;
  #check: Buffer;
  /** The length right after the file was made, or read. */
  #compactBeyond: number;
  #waiting: Waiting[] = [];
  #running: Promise<void> | undefined;
  #failed: (error: unknown) => void = () => undefined;
  /** Rejects when a write failed. Nothing that waits is told anything then. */
  readonly failure: Promise<never>;
  syncs = 0;
  compactions = 0;

  private constructor(options: JournalOptions, handle: FileHandle, length: number, check: Buffer) {
    this.#options = options;
    this.#handle = handle;
    this.#length = length;
    this.#check = check;
    this.#compactBeyond = Math.max(options.compactAt, 0);
    this.failure = new Promise<never>((_, reject) => {
      this.#failed = reject;
    });
    this.failure.catch(() => undefined); // whoever runs the witness waits for it
  }

  /** @returns the file's length in bytes. */
  get length(): number {
    return this.#length;
  }

  /** How many records wait to be written. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /**
   * @returns the journal and the payloads of its records, in order; undefined when there is no file
   * @throws VerifierError `state_corrupt`, `usage`
   */
  static async open(options: JournalOptions): Promise<{ journal: Journal; payloads: Buffer[] } | undefined> {
    const where = printable(options.path);
    let handle: FileHandle;
    try {
      handle = await open(options.path, "r+");
    } catch (error) {
      if (systemCode(error) === "ENOENT") return undefined;
      throw pathError(error, `the state ${where} cannot be opened`);
    }
    try {
      const file = await handle.readFile();
      const { payloads, end, check, tail } = scanRecords(file);
      if (tail === "damaged" || (tail === "torn" && payloads.length === 0)) {
        const advice = "keep it; restore a copy only if it is certain that nothing was cosigned since it was made";
        throw new VerifierError("state_corrupt", `the state ${where} is damaged at byte ${end}; ${advice}`);
      }
      if (tail === "torn") {
        options.hooks.log(`the last ${file.length - end} bytes of the state were not written whole and are dropped`);
        await handle.truncate(end);
        // CRASH: only what was told of to nobody is gone; a start after this one finds the same.
        options.hooks.at("open:truncated");
      }
      // Who was killed may have written records, or put a new file in place, and not synced: what is read here is told
      // of from now on, so it must outlast a power failure.
      await handle.sync();
      await syncFolder(dirname(options.path));
      return { journal: new Journal(options, handle, end, check), payloads };
    } catch (error) {
      await handle.close();
      throw pathError(error, `the state ${where} cannot be read`);
    }
  }

  /**
   * Makes the file, with what the snapshot has.
   * @throws an error of the system
   */
  static async create(options: JournalOptions): Promise<Journal> {
    const { handle, length, check } = await writeWhole(options);
    return new Journal(options, handle, length, check);
  }

  /** Appends a record. `durable` is called once it and all before it are; never, when the write fails. */
  append(payload: Buffer, durable: () => void): void {
    this.#waiting.push({ payload, durable });
    this.#running ??= this.#run().catch((error: unknown) => this.#failed(writeError(error, this.#options.path)));
  }

  async #run(): Promise<void> {
    while (this.#waiting.length > 0) {
      await this.#write(this.#waiting.splice(0));
      if (this.#length > this.#compactBeyond) await this.#compact();
    }
    this.#running = undefined;
  }

  async #write(batch: readonly Waiting[]): Promise<void> {
    const records: Buffer[] = [];
    let check = this.#check;
    for (const { payload } of batch) {
      const encoded = encodeRecord(check, payload);
      records.push(encoded.record);
      check = encoded.check;
    }
    const bytes = Buffer.concat(records);
    const { size, nlink } = await this.#handle.stat();
    if (size !== this.#length || nlink === 0) {
      throw new Error("somebody else has written to it, or replaced it; two witnesses must not share a state folder");
    }
    // CRASH: nothing of the batch is stored, and nobody was told of it.
    this.#options.hooks.at("append:before");
    await writeAt(this.#handle, bytes, this.#length);
    // CRASH: any part of the batch may be stored; what is whole counts, although nobody was told.
    this.#options.hooks.at("append:written");
    await this.#handle.datasync();
    this.syncs++;
    this.#length += bytes.length;
    this.#check = check;
    // CRASH: the batch counts, and nobody was told; the log learns the size when it asks again.
    this.#options.hooks.at("append:durable");
    for (const { durable } of batch) durable();
  }

  async #compact(): Promise<void> {
    const before = this.#handle;
    const { handle, length, check } = await writeWhole(this.#options);
    this.#handle = handle;
    this.#length = length;
    this.#check = check;
    this.#compactBeyond = Math.max(this.#options.compactAt, 4 * length);
    this.compactions++;
    await before.close();
  }

  /** Waits until all that was appended is durable, and closes the file. */
  async close(): Promise<void> {
    await this.#running;
    await this.#handle.close();
  }
}

/** Writes the snapshot beside the file, and puts it in its place once it is durable. */
async function writeWhole(options: JournalOptions): Promise<{ handle: FileHandle; length: number; check: Buffer }> {
  const temporary = `${options.path}.new`;
  const handle = await open(temporary, "w+", 0o600);
  let length = 0;
  let check = noCheck;
  let chunk: Buffer[] = [];
  let chunkSize = 0;
  const flush = async (): Promise<void> => {
    const bytes = Buffer.concat(chunk);
    await writeAt(handle, bytes, length);
    length += bytes.length;
    chunk = [];
    chunkSize = 0;
  };
  for (const payload of options.snapshot()) {
    const encoded = encodeRecord(check, payload);
    check = encoded.check;
    chunk.push(encoded.record);
    chunkSize += encoded.record.length;
    if (chunkSize >= chunkLength) await flush();
  }
  await flush();
  // CRASH: the file is the old one; the new one is written again from the beginning next time.
  options.hooks.at("compact:written");
  await handle.sync();
  // CRASH: as before.
  options.hooks.at("compact:synced");
  await rename(temporary, options.path);
  // CRASH: the file is the old or the new one. Both hold the latest of each log, for nothing was appended between.
  options.hooks.at("compact:renamed");
  await syncFolder(dirname(options.path));
  // CRASH: the file is the new one.
  options.hooks.at("compact:durable");
  return { handle, length, check };
}

async function writeAt(handle: FileHandle, bytes: Buffer, position: number): Promise<void> {
  for (let at = 0; at < bytes.length; ) {
    const { bytesWritten } = await handle.write(bytes, at, bytes.length - at, position + at);
    at += bytesWritten;
  }
}

function writeError(error: unknown, path: string): VerifierError {
  const why = printable(error instanceof Error ? error.message : String(error));
  const advice = "nothing that waited was answered; mend the cause and start the witness again";
  return new VerifierError("write_failed", `the state ${printable(path)} cannot be written: ${why}; ${advice}`);
}
