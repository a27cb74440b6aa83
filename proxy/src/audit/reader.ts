/**
 * Reads durable entries back from the segments, in order, for the submitter. There is no queue in memory beside the
 * files: what was just written is in the system's cache, and a backlog of hours costs no more memory than none.
 */
import { ProxyError } from "../errors.ts";
import type { SpoolFile } from "./disk.ts";
import { batchIsWhole, batchLength, type EntryRecord, entries } from "./parse.ts";
import { BATCH_HEAD, NONCE_BYTES } from "./record.ts";
import { SEGMENT_HEAD, segmentName } from "./segment.ts";
import type { Segment, Segments } from "./segments.ts";

const CHUNK_BYTES = 1024 * 1024;

export interface SpooledEntry {
  readonly record: EntryRecord;
  /** Once it and all before it are acknowledged, everything in front of this address has been dealt with. */
  readonly through: number;
}

export class SpoolReader {
  readonly #segments: Segments;
  readonly #chunk: Buffer = Buffer.allocUnsafeSlow(CHUNK_BYTES);
  /** Kept although it may have been removed by now: that happens once it was read to its end. */
  #segment: Segment;
  #offset: number;
  #file: { readonly number: number; readonly file: SpoolFile } | undefined;
  #queue: SpooledEntry[] = [];
  #taken = 0;

  /** @param start a segment, and where in it a batch begins or the last one ends */
  constructor(segments: Segments, start: { readonly segment: number; readonly offset: number }) {
    this.#segments = segments;
    this.#segment = segments.get(start.segment)!;
    this.#offset = start.offset;
  }

  /** Everything in front of this address was read. */
  get address(): number {
    return this.#segment.base + this.#offset - SEGMENT_HEAD;
  }

  /** Bytes that are durable and not read yet. */
  get behind(): number {
    return this.#segments.address - this.address;
  }

  /** The next entry, valid until the next call of {@link fill}; undefined when fill has to be called first. */
  peek(): SpooledEntry | undefined {
    return this.#queue[this.#taken];
  }

  /** Passes over what peek gave. */
  skip(): void {
    this.#taken++;
  }

  /**
   * Reads on, once all that was read is taken.
   * @returns whether there is an entry now; if not, everything durable has been read
   * @throws ProxyError `spool_corrupt` when the disk gives back something else than was written
   */
  async fill(): Promise<boolean> {
    if (this.peek() !== undefined) return true;
    this.#queue = [];
    this.#taken = 0;
    while (this.#queue.length === 0) {
      const segment = this.#segment;
      if (this.#offset === segment.end) {
        if (segment === this.#segments.current) return false;
        this.#segment = this.#segments.get(segment.number + 1)!;
        this.#offset = SEGMENT_HEAD;
      } else this.#parse(await this.#read(segment), segment);
    }
    return true;
  }

  async close(): Promise<void> {
    await this.#file?.file.close();
    this.#file = undefined;
  }

  /** One batch at least, whole. */
  async #read(segment: Segment): Promise<Buffer> {
    if (this.#file?.number !== segment.number) {
      await this.close();
      this.#file = { number: segment.number, file: await this.#segments.openForReading(segment.number) };
    }
    const left = segment.end - this.#offset;
    const chunk = this.#chunk.subarray(0, Math.min(left, CHUNK_BYTES));
    await this.#file!.file.read(chunk, this.#offset);
    const first = batchLength(chunk, 0, segment.nonce);
    if (first === undefined || first > left) throw this.#corrupt(segment);
    if (first <= chunk.length) return chunk;
    const large = Buffer.allocUnsafeSlow(first);
    await this.#file!.file.read(large, this.#offset);
    return large;
  }

  #parse(bytes: Buffer, segment: Segment): void {
    for (let at = 0; ; ) {
      const length = batchLength(bytes, at, segment.nonce);
      if (length === undefined || at + length > bytes.length) {
        // The chunk may end anywhere in a batch, but a batch must begin here.
        const mark = bytes.subarray(at, at + NONCE_BYTES);
        if (bytes.length - at >= BATCH_HEAD && !mark.equals(segment.nonce)) throw this.#corrupt(segment);
        return;
      }
      const batch = bytes.subarray(at, at + length);
      if (!batchIsWhole(batch)) throw this.#corrupt(segment);
      const before = this.address;
      this.#offset += length;
      at += length;
      const first = this.#queue.length;
      for (const record of entries(batch)) this.#queue.push({ record, through: before });
      const last = this.#queue.at(-1);
      if (this.#queue.length > first && last !== undefined)
        this.#queue[this.#queue.length - 1] = { record: last.record, through: this.address };
    }
  }

  #corrupt(segment: Segment): ProxyError {
    const where = `${segmentName(segment.number)}, byte ${this.#offset}`;
    return new ProxyError(
      "spool_corrupt",
      `${where}: what was written there reads back differently; keep the spool as evidence and see the manual`,
    );
  }
}
