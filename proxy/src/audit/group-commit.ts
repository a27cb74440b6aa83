/**
 * Group commit: the records of one turn of the event loop go to disk in one write, for all sessions together; while
 * that is on its way the next batch gathers.
 */
import { RecordBuffer } from "./record.ts";
import type { Segments } from "./segments.ts";
import type { SpoolHead } from "./state.ts";

/** Something that wants to know in which segment its record has come to lie. */
export interface Placed {
  segment: number;
}

interface Batch {
  readonly buffer: RecordBuffer;
  /** The state before its first record. */
  before: SpoolHead | undefined;
  /** The position of its last record. */
  last: number;
  placed: Placed[];
  waiting: Waiter[];
}

interface Waiter {
  readonly position: number;
  readonly then: () => void;
}

export class GroupCommit {
  readonly #segments: Segments;
  readonly #head: () => SpoolHead;
  readonly #lingerMs: number;
  readonly #onDurable: (ms: number, records: number) => void;
  readonly #onError: (error: unknown) => void;
  #gathering: Batch = emptyBatch();
  #writing: Batch = emptyBatch();
  #busy = false;
  #failed = false;
  #scheduled = false;
  #timer: NodeJS.Timeout | undefined;
  #position = 0;
  #durable = 0;
  #commits = 0;
  #commitMs = 0;
  #slowestCommitMs = 0;

  /**
   * @param head the state as it is now
   * @param lingerMs how long records for which nobody waits may stay in memory
   * @param onDurable after each batch, with the milliseconds that it took and its number of records; after those who
   * waited for it were called
   */
  constructor(
    segments: Segments,
    head: () => SpoolHead,
    lingerMs: number,
    onDurable: (ms: number, records: number) => void,
    onError: (error: unknown) => void,
  ) {
    this.#segments = segments;
    this.#head = head;
    this.#lingerMs = lingerMs;
    this.#onDurable = onDurable;
    this.#onError = onError;
  }

  /** How many batches became durable, and the milliseconds they took together and at most. */
  get stats(): { readonly commits: number; readonly commitMs: number; readonly slowestCommitMs: number } {
    return { commits: this.#commits, commitMs: this.#commitMs, slowestCommitMs: this.#slowestCommitMs };
  }

  /** The position of the last record. */
  get position(): number {
    return this.#position;
  }

  /** Bytes not yet durable. */
  get pendingBytes(): number {
    return this.#gathering.buffer.length + (this.#busy ? this.#writing.buffer.length : 0);
  }

  /** To be called before each record: where it goes. The record belongs to the state as it was before. */
  begin(): RecordBuffer {
    const batch = this.#gathering;
    if (batch.before === undefined) batch.before = this.#head();
    return batch.buffer;
  }

  /**
   * To be called after each record.
   * @param soon false for a record that can wait for others to bring it along
   * @returns its position
   */
  end(placed?: Placed, soon = true): number {
    const batch = this.#gathering;
    batch.last = ++this.#position;
    if (placed !== undefined) batch.placed.push(placed);
    if (soon && this.#timer === undefined && !this.#scheduled) this.#arm();
    return this.#position;
  }

  isDurable(position: number): boolean {
    return position <= this.#durable && !this.#failed;
  }

  /** Calls back when everything up to `position` is durable: at once if it is, never once the spool has failed. */
  whenDurable(position: number, then: () => void): void {
    if (this.#failed) return;
    if (position <= this.#durable) {
      then();
      return;
    }
    if (position > this.#position)
      throw new Error(`nothing has the position ${position} yet, the last is ${this.#position}`);
    if (this.#busy && position <= this.#writing.last) {
      this.#writing.waiting.push({ position, then });
      return;
    }
    this.#gathering.waiting.push({ position, then });
    this.flushSoon();
  }

  /** Writes what has gathered at the end of this turn, or as soon as the batch on its way is durable. */
  flushSoon(): void {
    if (this.#scheduled || this.#busy || this.#failed) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      void this.#flush();
    });
  }

  /** Nothing is written or reported durable from now on. */
  fail(): void {
    this.#failed = true;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #arm(): void {
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      void this.#flush();
    }, this.#lingerMs);
  }

  async #flush(): Promise<void> {
    if (this.#busy || this.#failed || this.#gathering.buffer.isEmpty) return;
    const batch = this.#gathering;
    this.#gathering = this.#writing;
    this.#writing = batch;
    this.#busy = true;
    const began = performance.now();
    try {
      await this.#segments.append(batch.buffer, batch.before!);
    } catch (error) {
      this.fail();
      this.#onError(error);
      return;
    }
    this.#busy = false;
    if (this.#failed) return;
    const records = batch.last - this.#durable;
    this.#durable = batch.last;
    const { number } = this.#segments.current;
    for (const one of batch.placed) one.segment = number;
    const { waiting } = batch;
    batch.waiting = [];
    batch.placed = [];
    batch.before = undefined;
    batch.buffer.clear();
    callInOrder(waiting);
    const ms = performance.now() - began;
    this.#commits += 1;
    this.#commitMs += ms;
    if (ms > this.#slowestCommitMs) this.#slowestCommitMs = ms;
    this.#onDurable(ms, records);
    if (this.#gathering.waiting.length > 0) this.flushSoon();
    else if (!this.#gathering.buffer.isEmpty && this.#timer === undefined) this.#arm();
  }
}

function emptyBatch(): Batch {
  return { buffer: new RecordBuffer(), before: undefined, last: 0, placed: [], waiting: [] };
}

function callInOrder(waiting: Waiter[]): void {
  for (let i = 1; i < waiting.length; i++) {
    if (waiting[i]!.position < waiting[i - 1]!.position) {
      waiting.sort((a, b) => a.position - b.position);
      break;
    }
  }
  for (const { then } of waiting) {
    try {
      then();
    } catch (error) {
      // A bug in one session. It must surface, but the others wait for their call.
      process.nextTick(() => {
        throw error;
      });
    }
  }
}
