import { httpStatus, LogServerError, reason } from "../errors.ts";
import { HASH_BYTES, type RightEdge } from "../formats/merkle.ts";
import { TILE_WIDTH } from "../formats/tile.ts";
import type { Hooks } from "../hooks.ts";
import type { SourcePosition, Store, TreeHead } from "../store/store.ts";
import { TreeReader } from "../tree/log.ts";
import { type CheckedSubmission, retired } from "./check.ts";
import { placeSubmission, sequenceConflict } from "./position.ts";
import { positionOf, type Sources } from "./sources.ts";
import { Turn } from "./turn.ts";

/** Entries of a submission that stand together in the log. */
export interface ReceiptRange {
  readonly seq: number;
  readonly index: number;
  readonly count: number;
}

/** The answer to a submission, once everything in it is durable (spec/submission.md). */
export interface Receipt {
  readonly source: string;
  /** Where the log now stands with the source: epoch, and the sequence that it expects. */
  readonly epoch: number;
  readonly next: number;
  readonly ranges: readonly ReceiptRange[];
}

/** What one append did, for the metrics. */
export interface TurnReport {
  readonly entries: number;
  readonly submissions: number;
  /** Duration of the synced write. */
  readonly seconds: number;
  /** How long each submission and entry in it waited for that write to begin, in seconds. */
  readonly queued: readonly number[];
}

interface Queued {
  /** When it came, by `performance.now()`. */
  readonly at: number;
}

interface WaitingSubmission extends Queued {
  readonly submission: CheckedSubmission;
  readonly resolve: (receipt: Receipt) => void;
  readonly reject: (error: LogServerError) => void;
}

/** An entry that belongs to no source. */
interface WaitingEntry extends Queued {
  readonly entry: Buffer;
  readonly resolve: (index: number) => void;
  readonly reject: (error: LogServerError) => void;
}

type Waiting = WaitingSubmission | WaitingEntry;

// One turn takes what waits, up to these; a single submission may be larger. They bound how long a turn keeps others
// waiting.
const TURN_ENTRIES = 8192;
const TURN_BYTES = 8 * 2 ** 20;

/** Joins ranges that continue one another. */
function joined(ranges: readonly ReceiptRange[]): ReceiptRange[] {
  const result: ReceiptRange[] = [];
  for (const { seq, index, count } of ranges) {
    const last = result.at(-1);
    if (last !== undefined && last.index + last.count === index) {
      result[result.length - 1] = { ...last, count: last.count + count };
    } else {
      result.push({ seq, index, count });
    }
  }
  return result;
}

/** A submission that was not taken: for what it says itself, or because what it says could not be looked up. */
function refusal(error: unknown): LogServerError {
  if (error instanceof LogServerError && error.code in httpStatus) return error;
  return new LogServerError("internal", `the log cannot read what it has: ${reason(error)}`, {}, { cause: error });
}

/**
 * What was checked when the submission came may have changed since, by entries that were on their way.
 * @throws LogServerError `source_retired`, `bad_signature`
 */
function checkInForce({ source, vkey }: CheckedSubmission, position: SourcePosition, turn: Turn): void {
  if (turn.source(source)?.retired === true) throw retired(source);
  if (vkey === position.vkey) return;
  const message = `new entries of ${source} must be signed by ${position.vkey}, which is in force by now`;
  throw new LogServerError("bad_signature", message);
}

/**
 * The one writer of the log. Everything that waits becomes one append, durable at once, and only then is it
 * acknowledged; what arrives meanwhile goes into the next. After a failed append nothing is written any more: only
 * opening the store again can tell what it holds.
 */
export class Sequencer {
  readonly #store: Store;
  readonly #reader: TreeReader;
  readonly #edge: RightEdge;
  readonly #hooks: Hooks;
  readonly #report: (turn: TurnReport) => void;
  readonly #onFatal: (error: LogServerError) => void;
  readonly #positions: Map<string, SourcePosition>;
  readonly #sources: Sources | undefined;
  #head: TreeHead;
  #queue: Waiting[] = [];
  #running = false;
  #failed: LogServerError | undefined;

  /**
   * @param state `edge` is the right edge of the tree whose head is `head`, and the sequencer keeps it; `sources` are told
   * what entries make of them
   * @param onFatal called once, with `write_failed`
   */
  constructor(
    store: Store,
    state: { head: TreeHead; edge: RightEdge; positions: Map<string, SourcePosition>; sources?: Sources },
    hooks: Hooks,
    report: (turn: TurnReport) => void,
    onFatal: (error: LogServerError) => void,
  ) {
    this.#store = store;
    this.#reader = new TreeReader(store, 0);
    this.#head = state.head;
    this.#edge = state.edge;
    this.#positions = state.positions;
    this.#sources = state.sources;
    this.#hooks = hooks;
    this.#report = report;
    this.#onFatal = onFatal;
  }

  /** The tree as far as it is durable. */
  get head(): TreeHead {
    return this.#head;
  }

  /** Where the log stands with each source that ever submitted; durable. */
  get positions(): ReadonlyMap<string, SourcePosition> {
    return this.#positions;
  }

  /**
   * @returns the receipt, when the entries are durable
   * @throws LogServerError `sequence_gap`, `sequence_conflict`, `epoch_conflict`: nothing was changed;
   * `internal`: unknown whether it was written
   */
  submit(submission: CheckedSubmission): Promise<Receipt> {
    return new Promise((resolve, reject) => this.#enqueue({ submission, resolve, reject, at: performance.now() }));
  }

  /**
   * Adds an entry that belongs to no source. The same bytes again are another entry.
   * @param entry 1 to 65,535 bytes; kept until the promise settles
   * @returns its index, when it is durable
   * @throws LogServerError `internal`: unknown whether it was written
   */
  add(entry: Buffer): Promise<number> {
    return new Promise((resolve, reject) => this.#enqueue({ entry, resolve, reject, at: performance.now() }));
  }

  #enqueue(waiting: Waiting): void {
    if (this.#failed !== undefined) {
      waiting.reject(this.#internal());
      return;
    }
    this.#queue.push(waiting);
    if (!this.#running) void this.#run();
  }

  /** Writes nothing more from the next turn on: another part of the log has failed. */
  halt(error: LogServerError): void {
    this.#failed ??= error;
    this.#refuseQueue();
  }

  #refuseQueue(): void {
    for (const { reject } of this.#queue.splice(0)) reject(this.#internal());
  }

  #internal(): LogServerError {
    return new LogServerError("internal", "the log could not write, and is ending; retry when it runs again");
  }

  async #run(): Promise<void> {
    this.#running = true;
    while (this.#queue.length > 0 && this.#failed === undefined) {
      const taken = this.#take();
      try {
        await this.#turn(taken);
      } catch (error) {
        this.#fail(error, taken);
      }
    }
    this.#running = false;
    // What a turn put off when the log had failed already.
    if (this.#failed !== undefined) this.#refuseQueue();
  }

  #take(): Waiting[] {
    let entries = 0;
    let bytes = 0;
    let count = 0;
    for (const waiting of this.#queue) {
      entries += "entry" in waiting ? 1 : waiting.submission.count;
      bytes += "entry" in waiting ? waiting.entry.length : waiting.submission.payload.length;
      if (count > 0 && (entries > TURN_ENTRIES || bytes > TURN_BYTES)) break;
      count += 1;
    }
    return this.#queue.splice(0, count);
  }

  async #turn(taken: readonly Waiting[]): Promise<void> {
    const turn = new Turn(this.#edge, this.#sources);
    const answers: (() => void)[] = [];
    const deferred: WaitingSubmission[] = [];
    const queuedAt: number[] = [];
    let submissions = 0;
    for (const waiting of taken) {
      if ("entry" in waiting) {
        const index = turn.addEntry(waiting.entry);
        queuedAt.push(waiting.at);
        answers.push(() => waiting.resolve(index));
        continue;
      }
      const { submission, resolve, reject } = waiting;
      const { source, count } = submission;
      // A submission whose answer depends on entries of this very turn waits until they are durable, and so do the
      // later ones of its source.
      const staged = turn.positions.get(source);
      if (deferred.some((earlier) => earlier.submission.source === source)) {
        deferred.push(waiting);
        continue;
      }
      const position = staged ?? positionOf(this.#positions, source, submission.vkey);
      let known: number;
      let ranges: ReceiptRange[] = [];
      try {
        known = placeSubmission(submission, position);
        if (known < count) checkInForce(submission, position, turn);
        if (known > 0 && staged !== undefined) {
          deferred.push(waiting);
          continue;
        }
        if (known > 0) ranges = await this.#known(submission, known, position);
      } catch (error) {
        if (staged !== undefined) deferred.push(waiting);
        else reject(refusal(error));
        continue;
      }
      if (known < count) ranges.push(turn.add(submission, known, position));
      submissions += 1;
      queuedAt.push(waiting.at);
      answers.push(() => {
        const { epoch, next } = this.#positions.get(source)!;
        resolve({ source, epoch, next, ranges: joined(ranges) });
      });
    }
    this.#queue.unshift(...deferred);
    if (turn.added > 0) await this.#append(turn, submissions, queuedAt);
    for (const answer of answers) answer();
  }

  async #append(turn: Turn, submissions: number, queuedAt: readonly number[]): Promise<void> {
    const append = turn.finish();
    const now = performance.now();
    const queued = queuedAt.map((at) => (now - at) / 1000);
    const start = process.hrtime.bigint();
    // CRASH: nothing of this turn is stored and nobody was told; the sources submit again.
    await this.#hooks.at("append:before");
    await this.#store.append(append);
    const seconds = Number(process.hrtime.bigint() - start) / 1e9;
    // CRASH: the turn is durable and nobody was told; the sources submit again and get the same indexes.
    await this.#hooks.at("append:after");
    this.#head = append.head;
    for (const [source, position] of append.positions) this.#positions.set(source, position);
    for (const record of append.sources ?? []) this.#sources?.apply(record);
    this.#report({ entries: turn.added, submissions, seconds, queued });
  }

  /** Finds the indexes of entries that the log has, after making sure that they are these. */
  async #known(submission: CheckedSubmission, known: number, position: SourcePosition): Promise<ReceiptRange[]> {
    const { source, epoch, seq } = submission;
    const end = seq + known;
    const ranges: ReceiptRange[] = [];
    let next = seq;
    for (const range of await this.#store.accepted(source, epoch, seq, end)) {
      if (range.seq > next) break;
      const from = Math.max(range.seq, seq);
      const to = Math.min(range.seq + range.count, end);
      const index = range.index + from - range.seq;
      await this.#compare(submission, position, from, to, index);
      ranges.push({ seq: from, index, count: to - from });
      next = to;
    }
    if (next === end) return ranges;
    // The epoch was closed without these.
    if (epoch < position.epoch) throw sequenceConflict(submission, position, next);
    throw new Error(`the log has ${source}, epoch ${epoch} up to ${position.next} and cannot find sequence ${next}`);
  }

  /** Compares the entries with the sequences `from` up to `to` with those in the log from `index` on. */
  async #compare(
    submission: CheckedSubmission,
    position: SourcePosition,
    from: number,
    to: number,
    index: number,
  ): Promise<void> {
    for (let seq = from; seq < to; ) {
      const start = index + seq - from;
      const end = Math.min(index + to - from, (Math.floor(start / TILE_WIDTH) + 1) * TILE_WIDTH);
      const logged = await this.#reader.leafHashes(start, end);
      const offset = (seq - submission.seq) * HASH_BYTES;
      for (let i = 0; i < logged.length; i += HASH_BYTES) {
        const leaf = submission.leaves.subarray(offset + i, offset + i + HASH_BYTES);
        if (leaf.equals(logged.subarray(i, i + HASH_BYTES))) continue;
        throw sequenceConflict(submission, position, seq + i / HASH_BYTES);
      }
      seq += end - start;
    }
  }

  #fail(error: unknown, taken: readonly Waiting[]): void {
    const message = `the log cannot go on writing: ${reason(error)}; free or replace the disk, and start again`;
    const failed = new LogServerError("write_failed", message, {}, { cause: error });
    for (const { reject } of taken) reject(this.#internal());
    this.halt(failed);
    this.#onFatal(failed);
  }
}
