/** Reads a spool from its first segment to its last: what recovery knows afterwards. */
import { join } from "node:path";
import { ProxyError } from "../errors.ts";
import { Chain, leafHash } from "./chain.ts";
import type { Disk } from "./disk.ts";
import { batchIsWhole, batchLength, type EntryRecord, formEntryLength, type IntentRecord, records } from "./parse.ts";
import { TYPE_ACKNOWLEDGED, TYPE_DROP, TYPE_ENTRY, TYPE_INTENT } from "./record.ts";
import type { ChainPlace } from "./record-file.ts";
import { decodeSegmentHead, SEGMENT_HEAD, type SegmentHead, segmentName, segmentNumber } from "./segment.ts";
import type { Handover } from "./source-keys.ts";
import {
  comparePlaces,
  KIND_KEY,
  KIND_REFUSED,
  KIND_SESSION,
  KIND_START,
  KIND_STATEMENT,
  KIND_STOP,
  type Place,
  type SpoolHead,
} from "./state.ts";

export interface ScannedSegment {
  readonly number: number;
  /** Of the file. */
  readonly size: number;
  /** Where its last whole batch ends. */
  readonly end: number;
  readonly nonce: Buffer;
}

/** A batch that holds entries which the log has not acknowledged. */
export interface UnacknowledgedBatch {
  readonly segment: number;
  readonly offset: number;
  readonly end: number;
  /** When its first entry was written, µs since the Unix epoch. */
  readonly micros: number;
  /** In front of its first entry. */
  readonly before: ChainPlace;
}

export interface Scan {
  readonly segments: readonly ScannedSegment[];
  readonly state: SpoolHead;
  /** Intents without an outcome, in the order in which they were made. */
  readonly intents: readonly IntentRecord[];
  readonly unacknowledged: readonly UnacknowledgedBatch[];
  readonly unacknowledgedEntries: number;
  /** A change of the source's key that the log has not acknowledged. */
  readonly handover: Handover | undefined;
}

/**
 * @param source the name of the source
 * @returns undefined when there is no segment
 * @throws ProxyError `spool_corrupt`, `spool_version`
 */
export async function scanSpool(disk: Disk, source: string): Promise<Scan | undefined> {
  const numbers = (await disk.list())
    .map(({ name }) => segmentNumber(name))
    .filter((n) => n !== undefined)
    .sort((a, b) => a - b);
  if (numbers.length === 0) return undefined;
  const history = new History();
  const segments: ScannedSegment[] = [];
  for (const number of numbers) {
    const path = join(disk.dir, segmentName(number));
    const before = segments.at(-1);
    if (before !== undefined && number !== before.number + 1)
      throw corrupt(path, 0, `the segments ${before.number + 1} to ${number - 1} before it are missing`);
    const file = await disk.open(segmentName(number));
    try {
      const bytes = Buffer.allocUnsafeSlow(file.size);
      const length = await file.read(bytes, 0);
      const head = decodeSegmentHead(bytes.subarray(0, Math.min(length, SEGMENT_HEAD)), path, source);
      if (head.number !== number) throw corrupt(path, 0, `its head says that it is segment ${head.number}`);
      if (before !== undefined && head.previousEnd !== before.end)
        throw corrupt(join(disk.dir, segmentName(before.number)), before.end, "what follows there is damaged");
      history.enter(head, path, before === undefined);
      const end = scanSegment(bytes.subarray(0, length), head, path, history);
      segments.push({ number, size: file.size, end, nonce: head.nonce });
    } finally {
      await file.close();
    }
  }
  return history.result(segments);
}

/** @returns where the last whole batch ends */
function scanSegment(bytes: Buffer, head: SegmentHead, path: string, history: History): number {
  let at = SEGMENT_HEAD;
  for (;;) {
    const length = batchLength(bytes, at, head.nonce);
    if (length === undefined || at + length > bytes.length) break;
    const batch = bytes.subarray(at, at + length);
    if (!batchIsWhole(batch)) break;
    history.batch(batch, head.number, at, path);
    at += length;
  }
  // A batch is written only when the one before it is durable. So what does not count at the end of the last segment is
  // the torn tail of a crash, which nobody was told about, but only if no other batch was begun behind it.
  const later = bytes.indexOf(head.nonce, at + 1);
  if (later !== -1) throw corrupt(path, at, `the batch there is damaged, and another follows at byte ${later}`);
  return at;
}

function corrupt(path: string, at: number, what: string): ProxyError {
  return new ProxyError("spool_corrupt", `${path}, byte ${at}: ${what}; keep the spool as evidence and see the manual`);
}

interface EntryBatch extends UnacknowledgedBatch {
  /** Behind its last entry. */
  readonly last: Place;
  readonly entries: number;
}

/** The running state of a scan. */
class History {
  readonly #open = new Map<number, IntentRecord>();
  readonly #batches: EntryBatch[] = [];
  readonly #chain = new Chain();
  #handover: Handover | undefined;
  #state!: { -readonly [K in keyof SpoolHead]: SpoolHead[K] };

  enter(head: SegmentHead, path: string, first: boolean): void {
    const { acknowledged, ...known } = head.state;
    if (!first) {
      for (const key of [
        "vkey",
        "epoch",
        "next",
        "chain",
        "clean",
        "lost",
        "sessions",
        "statements",
        "refused",
      ] as const) {
        if (this.#here()[key] !== known[key])
          throw corrupt(path, 0, `its head says ${key} ${known[key]}, the segments before it say ${this.#here()[key]}`);
      }
      this.#acknowledge(acknowledged);
      this.#state.nextId = Math.max(this.#state.nextId, known.nextId);
      return;
    }
    this.#state = { ...head.state };
    this.#chain.value = head.state.chain;
    // A segment is removed only when all in it was acknowledged, whether or not the mark of that reached the disk.
    if (head.number > 1) this.#acknowledge({ epoch: known.epoch, next: known.next });
  }

  batch(batch: Buffer, segment: number, offset: number, path: string): void {
    const before = { epoch: this.#state.epoch, next: this.#state.next, chain: this.#chain.value };
    let entries = 0;
    let micros = 0;
    for (const record of records(batch)) {
      switch (record.type) {
        case TYPE_INTENT:
          this.#open.set(record.id, record);
          this.#state.nextId = Math.max(this.#state.nextId, record.id + 1);
          break;
        case TYPE_ENTRY:
          this.#entry(record, () =>
            corrupt(path, offset, `the entry with epoch ${record.epoch} and sequence ${record.seq} does not follow on`),
          );
          if (entries++ === 0) micros = record.micros;
          break;
        case TYPE_DROP:
          this.#open.delete(record.id);
          break;
        case TYPE_ACKNOWLEDGED:
          this.#acknowledge(record);
      }
    }
    if (entries === 0) return;
    const { epoch, next } = this.#state;
    const end = offset + batch.length;
    this.#batches.push({ segment, offset, end, micros, before, last: { epoch, next }, entries });
  }

  result(segments: readonly ScannedSegment[]): Scan {
    const unacknowledged = this.#batches.filter(({ last }) => comparePlaces(last, this.#state.acknowledged) > 0);
    let unacknowledgedEntries = 0;
    for (const { entries } of unacknowledged) unacknowledgedEntries += entries;
    const first = unacknowledged[0];
    // The first of these batches may have been acknowledged in part. Its entries are of one epoch.
    if (first !== undefined && first.last.epoch === this.#state.acknowledged.epoch)
      unacknowledgedEntries -= Math.max(0, this.#state.acknowledged.next - (first.last.next - first.entries));
    const intents = [...this.#open.values()].sort((a, b) => a.id - b.id);
    const handover =
      this.#handover !== undefined && comparePlaces(this.#handover.place, this.#state.acknowledged) > 0
        ? this.#handover
        : undefined;
    return { segments, state: this.#here(), intents, unacknowledged, unacknowledgedEntries, handover };
  }

  #here(): SpoolHead {
    return { ...this.#state, chain: this.#chain.value };
  }

  #acknowledge({ epoch, next }: Place): void {
    if (comparePlaces({ epoch, next }, this.#state.acknowledged) > 0) this.#state.acknowledged = { epoch, next };
  }

  #entry(record: EntryRecord, misplaced: () => ProxyError): void {
    const state = this.#state;
    if (record.kindCode === KIND_START) {
      if (record.epoch !== state.epoch + 1 || record.seq !== 0) throw misplaced();
      Object.assign(state, { epoch: record.epoch, next: 0, lost: false, sessions: 0, statements: 0, refused: 0 });
      this.#chain.reset();
    } else if (record.epoch !== state.epoch || record.seq !== state.next) throw misplaced();
    this.#chain.add(leafHash(record.form, 2, 2 + formEntryLength(record.form)));
    state.next += 1;
    state.clean = record.kindCode === KIND_STOP;
    if (record.kindCode === KIND_SESSION) state.sessions += 1;
    else if (record.kindCode === KIND_STATEMENT) state.statements += 1;
    else if (record.kindCode === KIND_REFUSED) state.refused += 1;
    else if (record.kindCode === KIND_KEY) {
      const { vkey } = JSON.parse(record.form.toString("utf8", 2, 2 + formEntryLength(record.form))) as {
        vkey: string;
      };
      this.#handover = { from: state.vkey, place: { epoch: state.epoch, next: state.next } };
      state.vkey = vkey;
    }
    this.#open.delete(record.intent);
  }
}
