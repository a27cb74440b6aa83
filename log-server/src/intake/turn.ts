import { hash } from "node:crypto";
import { HASH_BYTES, leafHash, type RightEdge } from "../formats/merkle.ts";
import { countAt, TILE_WIDTH, type TileLevel } from "../formats/tile.ts";
import type { AcceptedRange, Append, ErasureRecord, Run, SourcePosition, SourceRecord } from "../store/store.ts";
import type { CheckedSubmission } from "./check.ts";
import { CHAIN_START, recordOf, type Sources } from "./sources.ts";

/** Cuts the items that a turn adds to one level into runs that end where tiles end. */
class RunWriter {
  readonly #level: TileLevel;
  #next: number;
  #parts: Buffer[] = [];
  /** Items in the parts. */
  #count = 0;
  readonly #runs: Run[] = [];

  constructor(level: TileLevel, next: number) {
    this.#level = level;
    this.#next = next;
  }

  /** How many items the tile still takes that is being filled. */
  get room(): number {
    return TILE_WIDTH - (this.#next % TILE_WIDTH);
  }

  /** @param count items in the bytes, no more than there is room for */
  push(bytes: Buffer, count: number): void {
    this.#parts.push(bytes);
    this.#count += count;
    this.#next += count;
    if (this.#next % TILE_WIDTH === 0) this.#cut();
  }

  #cut(): void {
    if (this.#count === 0) return;
    const first = this.#next - this.#count;
    // Bytes of a submission need no copy: it stays as it is until the run is stored.
    const bytes = this.#parts.length === 1 ? this.#parts[0]! : Buffer.concat(this.#parts);
    this.#runs.push({ level: this.#level, first, bytes });
    this.#parts = [];
    this.#count = 0;
  }

  finish(): Run[] {
    this.#cut();
    return this.#runs;
  }
}

/** One turn of the sequencer: gathers what becomes one append. */
export class Turn {
  readonly #edge: RightEdge;
  readonly #start: number;
  readonly #entries: RunWriter;
  readonly #levels: RunWriter[] = [];
  readonly #disclosures: { index: number; block: Buffer }[] = [];
  /** By digest, in base64url: a session's address comes with many of its entries. */
  readonly #shared = new Map<string, Buffer>();
  readonly #accepted: AcceptedRange[] = [];
  readonly #sources: Sources | undefined;
  readonly #records = new Map<string, SourceRecord>();
  readonly #erasures = new Map<number, ErasureRecord>();
  /** The positions after this turn, of the sources in it. */
  readonly positions: Map<string, SourcePosition> = new Map();

  /**
   * @param edge of the tree so far; grows with each entry added
   * @param sources as they are before this turn; without them a change of key is not kept
   */
  constructor(edge: RightEdge, sources?: Sources) {
    this.#edge = edge;
    this.#sources = sources;
    this.#start = edge.size;
    this.#entries = new RunWriter("entries", edge.size);
  }

  /** Entries added so far. */
  get added(): number {
    return this.#edge.size - this.#start;
  }

  /** @returns what is known of a source, this turn's entries included. */
  source(name: string): SourceRecord | undefined {
    const source = this.#sources?.get(name);
    return this.#records.get(name) ?? (source && recordOf(source));
  }

  #level(level: number): RunWriter {
    this.#levels[level] ??= new RunWriter(level, countAt(level, this.#start));
    return this.#levels[level];
  }

  /** Adds leaf hashes that stand one after the other to the hash levels, and the hashes above them that they complete. */
  #hash(leaves: Buffer): void {
    const level = this.#level(0);
    for (let from = 0; from < leaves.length; ) {
      const to = Math.min(leaves.length, from + level.room * HASH_BYTES);
      level.push(leaves.subarray(from, to), (to - from) / HASH_BYTES);
      from = to;
    }
    this.#edge.appendAll(leaves, this.#completed);
  }

  readonly #completed = (height: number, root: Buffer): void => {
    this.#level(height / 8).push(root, 1);
  };

  /**
   * Adds an entry that belongs to no source to the end of the tree.
   * @param entry at most 65,535 bytes
   * @returns its index
   */
  addEntry(entry: Buffer): number {
    const index = this.#edge.size;
    const framed = Buffer.allocUnsafe(2 + entry.length);
    framed.writeUInt16BE(entry.length);
    entry.copy(framed, 2);
    this.#entries.push(framed, 1);
    this.#hash(leafHash(entry));
    return index;
  }

  /**
   * Adds the entries of a submission to the end of the tree.
   * @param known how many of its entries, from the first, the log has already
   * @param position of the source before
   */
  add(submission: CheckedSubmission, known: number, position: SourcePosition): AcceptedRange {
    const { source, epoch, seq, count, payload, starts, ends, leaves } = submission;
    const index = this.#edge.size;
    // chain || leaf hash, hashed over and over into its own first half.
    const chain = Buffer.allocUnsafe(2 * HASH_BYTES);
    chain.set(epoch === position.epoch ? position.chain : CHAIN_START);
    for (let i = known; i < count; i += 1) {
      this.#entries.push(payload.subarray(starts[i]! - 2, ends[i]), 1);
      leaves.copy(chain, HASH_BYTES, i * HASH_BYTES, (i + 1) * HASH_BYTES);
      chain.write(hash("sha256", chain, "binary"), 0, HASH_BYTES, "latin1");
    }
    this.#hash(leaves.subarray(known * HASH_BYTES));
    for (const { position: place, block } of submission.blocks) {
      if (place >= known) this.#disclosures.push({ index: index + place - known, block });
    }
    for (const { position: place, digest, disclosure } of submission.shared) {
      if (place >= known) this.#shared.set(digest, disclosure);
    }
    const next = seq + count;
    const { newKey, effect } = submission;
    const vkey = newKey ?? submission.vkey;
    const before = newKey === undefined ? undefined : this.source(source);
    if (before !== undefined) {
      const former = [...before.former, { vkey: before.vkey, epoch, seq: next - 1 }];
      this.#records.set(source, { ...before, vkey, former });
    }
    const change = effect?.(index, (name) => this.source(name));
    if (change?.source !== undefined) this.#records.set(change.source.name, change.source);
    if (change?.erasure !== undefined) this.#erasures.set(change.erasure.order, change.erasure.record);
    this.positions.set(source, { epoch, next, chain: Buffer.from(chain.subarray(0, HASH_BYTES)), vkey });
    const range = { source, epoch, seq: seq + known, index, count: count - known };
    this.#accepted.push(range);
    return range;
  }

  /** @returns everything added, as one append. */
  finish(): Append {
    const runs = this.#entries.finish();
    for (const writer of this.#levels) runs.push(...writer.finish());
    const head = { size: this.#edge.size, root: this.#edge.root() };
    const shared = [...this.#shared].map(([digest, disclosure]) => ({
      digest: Buffer.from(digest, "base64url"),
      disclosure,
    }));
    return {
      runs,
      disclosures: this.#disclosures,
      shared,
      positions: this.positions,
      accepted: this.#accepted,
      head,
      sources: [...this.#records.values()],
      erasures: this.#erasures,
    };
  }
}
