/** The files of an open spool: appending batches, a new segment when one is full, removing what was acknowledged. */

import type { Hooks } from "./crash-points.ts";
import type { Disk, SpoolFile } from "./disk.ts";
import type { RecordBuffer } from "./record.ts";
import type { Scan } from "./scan.ts";
import { encodeSegmentHead, newNonce, SEGMENT_HEAD, segmentName } from "./segment.ts";
import type { SpoolHead } from "./state.ts";

const SPARE = "spare";
const NEW_SPARE = "spare-new";

export interface Segment {
  readonly number: number;
  readonly nonce: Buffer;
  readonly size: number;
  /** Address of its first batch. Addresses count the bytes of all batches since the spool was opened. */
  readonly base: number;
  /** Where its durable batches end in the file. */
  end: number;
}

export class Segments {
  readonly #disk: Disk;
  readonly #segmentBytes: number;
  readonly #hooks: Hooks;
  readonly #all: Segment[] = [];
  #file: SpoolFile | undefined;
  #hasSpare = false;
  /** A spare was asked for while the current segment fills. */
  #prepared = false;
  /** One at a time: whatever changes names. */
  #names: Promise<void> = Promise.resolve();

  private constructor(disk: Disk, segmentBytes: number, hooks: Hooks) {
    this.#disk = disk;
    this.#segmentBytes = segmentBytes;
    this.#hooks = hooks;
  }

  /** Takes up a scanned spool. Nothing is ever appended to a segment of an earlier run. */
  static async open(disk: Disk, segmentBytes: number, scan: Scan | undefined, hooks: Hooks): Promise<Segments> {
    const segments = new Segments(disk, segmentBytes, hooks);
    let base = 0;
    const last = scan?.segments.at(-1);
    for (const one of scan?.segments ?? []) {
      const { number, nonce, end } = one;
      segments.#all.push({ number, nonce, size: one === last ? end : one.size, base, end });
      base += end - SEGMENT_HEAD;
    }
    if (last !== undefined && last.end < last.size) {
      // Restart after restart, each with a segment of its own, would otherwise fill the disk with empty segments.
      await disk.truncate(segmentName(last.number), last.end);
      // CRASH: only the torn tail is gone, which no scan counts.
      hooks.at?.("open.truncated");
    }
    for (const { name, size } of await disk.list()) {
      if (name === SPARE && size === segmentBytes) segments.#hasSpare = true;
      else if (name === SPARE || name === NEW_SPARE) await disk.remove(name);
    }
    return segments;
  }

  /** Address behind the last durable batch. */
  get address(): number {
    const last = this.#all.at(-1);
    return last === undefined ? 0 : last.base + last.end - SEGMENT_HEAD;
  }

  /** The segment being written; segments before it are complete. */
  get current(): Segment {
    return this.#all.at(-1)!;
  }

  get count(): number {
    return this.#all.length;
  }

  get oldest(): Segment | undefined {
    return this.#all[0];
  }

  get(number: number): Segment | undefined {
    return this.#all[number - (this.#all[0]?.number ?? 0)];
  }

  openForReading(number: number): Promise<SpoolFile> {
    return this.#disk.open(segmentName(number));
  }

  /** Resolves when the batch is durable. Rejects for good: nothing may be appended after an error. */
  async append(batch: RecordBuffer, before: SpoolHead): Promise<void> {
    // CRASH: the batch is lost as a whole, and nobody was told that anything in it is durable.
    this.#hooks.at?.("batch.before");
    if (this.#file === undefined || this.current.end + batch.length > this.current.size)
      await this.begin(before, batch.length);
    const { current } = this;
    await this.#file!.write(batch.seal(current.nonce), current.end);
    current.end += batch.length;
    // CRASH: the batch counts, although nobody was told: intents become entries, entries are submitted.
    this.#hooks.at?.("batch.durable");
    if (!this.#prepared && current.end > (SEGMENT_HEAD + current.size) / 2) this.#prepare();
  }

  /** Begins the next segment, large enough for a batch of this many bytes. */
  async begin(state: SpoolHead, batchBytes = 0): Promise<void> {
    await this.#alone(() => this.#begin(state, batchBytes));
    this.#prepared = false;
  }

  async #begin(state: SpoolHead, batchBytes: number): Promise<void> {
    const size = Math.max(this.#segmentBytes, SEGMENT_HEAD + batchBytes);
    let from = SPARE;
    if (size > this.#segmentBytes) {
      from = NEW_SPARE;
      await this.#disk.create(from, size);
    } else await this.#createSpare();
    await this.#file?.close();
    const before = this.#all.at(-1);
    const head = {
      number: (before?.number ?? 0) + 1,
      nonce: newNonce(),
      previousEnd: before?.end ?? 0,
      state,
    };
    const file = await this.#disk.open(from);
    this.#file = file;
    await file.write(encodeSegmentHead(head), 0);
    // CRASH: it is still a spare by its name, and what a spare holds does not matter.
    this.#hooks.at?.("segment.headed");
    await this.#disk.rename(from, segmentName(head.number));
    if (from === SPARE) this.#hasSpare = false;
    // CRASH: the name may or may not be there; with it there is one more segment, complete and empty.
    this.#hooks.at?.("segment.named");
    await this.#disk.syncNames();
    // CRASH: as above, and the name is there.
    this.#hooks.at?.("segment.ready");
    const { number, nonce } = head;
    this.#all.push({ number, nonce, size, base: this.address, end: SEGMENT_HEAD });
  }

  /** Removes the oldest segment, which must not be the one being written. */
  removeOldest(): Promise<void> {
    return this.#alone(() => this.#removeOldest());
  }

  async #removeOldest(): Promise<void> {
    const [oldest] = this.#all;
    if (oldest === undefined || oldest === this.current) throw new Error("the segment being written cannot be removed");
    const { size } = oldest;
    const name = segmentName(oldest.number);
    const recycle = size === this.#segmentBytes && !this.#hasSpare;
    if (recycle) await this.#disk.rename(name, SPARE);
    else await this.#disk.remove(name);
    // CRASH: the name may or may not be back; its content is untouched and all acknowledged.
    this.#hooks.at?.("prune.renamed");
    // Before the file may be written as a spare, it must never come back as a segment; and the segments must go in
    // order, or a crash would leave a gap between them.
    await this.#disk.syncNames();
    this.#all.shift();
    this.#hasSpare ||= recycle;
    // CRASH: the oldest segment is now a later one, whose head says how far the log has acknowledged at least.
    this.#hooks.at?.("prune.done");
  }

  async close(): Promise<void> {
    await this.#names;
    await this.#file?.close();
    this.#file = undefined;
  }

  #alone(act: () => Promise<void>): Promise<void> {
    const done = this.#names.then(act);
    this.#names = done.catch(() => undefined);
    return done;
  }

  /**
   * Sees to it that there is a spare when the segment is full, so that no statement waits for one. Only from the middle
   * of the segment on: by then one that was acknowledged has usually become the spare.
   */
  #prepare(): void {
    this.#prepared = true;
    // If that fails, the next segment tries again, and it is then that somebody is told.
    this.#alone(() => this.#createSpare()).catch(() => undefined);
  }

  async #createSpare(): Promise<void> {
    if (this.#hasSpare) return;
    await this.#disk.create(NEW_SPARE, this.#segmentBytes);
    // CRASH: a file that is not called a spare yet is removed at the next start.
    this.#hooks.at?.("spare.created");
    await this.#disk.rename(NEW_SPARE, SPARE);
    this.#hasSpare = true;
  }
}
