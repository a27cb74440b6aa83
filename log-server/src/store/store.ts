import type { TileLevel } from "../formats/tile.ts";

/** Consecutive items of one tile level: hashes of 32 bytes, or entries each behind its u16 length. */
export interface Run {
  readonly level: TileLevel;
  /** Index of the first item within its level. */
  readonly first: number;
  readonly bytes: Buffer;
}

/** The tree as far as it is durable. */
export interface TreeHead {
  readonly size: number;
  /** 32 bytes. */
  readonly root: Buffer;
}

/** How far the log has a source's entries (spec/submission.md). */
export interface SourcePosition {
  /** 0 for a source that never submitted. */
  readonly epoch: number;
  /** Sequence of the next entry. */
  readonly next: number;
  /** c(next), 32 bytes. */
  readonly chain: Buffer;
  /** The key that the epochs so far were submitted with. */
  readonly vkey: string;
}

/** A key that a source had, and the entry `source.key` that ended it. */
export interface FormerKey {
  readonly vkey: string;
  readonly epoch: number;
  readonly seq: number;
}

/** What the log was told of a source other than by its configuration. */
export interface SourceRecord {
  readonly name: string;
  /** The key in force. */
  readonly vkey: string;
  /** The keys before, the first one first. */
  readonly former: readonly FormerKey[];
  readonly retired: boolean;
  /** Registered by an entry `source.registered`, and not by the configuration alone. */
  readonly registered: boolean;
}

/** Which entries an erasure is about (spec/entry.md, "erasure.ordered"); exactly one member is there. */
export interface ErasureScope {
  readonly index?: number;
  readonly login?: string;
  /** A timestamp in the form of spec/README.md. */
  readonly before?: string;
}

/** What was deleted, as far as it tells which of the store's files have it. */
export interface Erased {
  /** The first and the last entry whose own disclosures were deleted; absent when none were. */
  readonly indexes?: readonly [number, number];
  /** Digests of the shared disclosures that were deleted, in hex; `many` when they are too many to be named. */
  readonly digests: readonly string[] | "many";
}

/** An erasure that was ordered, and how far it is. */
export interface ErasureRecord {
  readonly scope: ErasureScope;
  readonly by: string;
  readonly done: boolean;
  /** Entries were looked at up to this index. */
  readonly scanned: number;
  /** How many of them matched, and how many disclosures were deleted. */
  readonly entries: number;
  readonly values: number;
  /** Absent as long as nothing was deleted. (Earlier versions left it out.) */
  readonly erased?: Erased;
}

/** Entries of a source that stand together in the log. */
export interface AcceptedRange {
  readonly source: string;
  readonly epoch: number;
  readonly seq: number;
  readonly index: number;
  readonly count: number;
}

/** A disclosure that belongs to every entry with its digest. */
export interface SharedDisclosure {
  /** 32 bytes. */
  readonly digest: Buffer;
  readonly disclosure: Buffer;
}

/** One turn of the sequencer: everything that the tree of size `head.size` has and the one before had not. */
export interface Append {
  readonly runs: readonly Run[];
  /** Disclosure blocks by entry; entries without disclosures of their own are not named. */
  readonly disclosures: readonly { readonly index: number; readonly block: Buffer }[];
  /**
   * Disclosures that belong to every entry with their digest. One that is there already is written again; one that was
   * erased is not.
   */
  readonly shared: readonly SharedDisclosure[];
  /** The new positions of the sources that submitted. */
  readonly positions: ReadonlyMap<string, SourcePosition>;
  readonly accepted: readonly AcceptedRange[];
  readonly head: TreeHead;
  /** What entries of this turn changed about sources. */
  readonly sources?: readonly SourceRecord[];
  /** Erasures that entries of this turn ordered or ended, by the index of their order. */
  readonly erasures?: ReadonlyMap<number, ErasureRecord>;
}

/** Disclosures to delete, and what is then known of the erasure that asks for it. */
export interface Erase {
  /** Entries whose own disclosures are deleted. */
  readonly indexes: readonly number[];
  /** Of shared disclosures, 32 bytes each; they are never stored again. */
  readonly digests: readonly Buffer[];
  readonly order: number;
  readonly record: ErasureRecord;
}

/** The last signed checkpoint. */
export interface RecordedCheckpoint {
  readonly note: string;
  /** When it was signed, in milliseconds since 1970. */
  readonly time: number;
}

/**
 * What the log keeps, apart from the guard file. Nothing above this interface knows how.
 *
 * Laws:
 * - **Durable when.** When the promise of `append`, `recordCheckpoint` or `erase` is fulfilled, what was written survives the
 *   loss of power.
 * - **Atomic how.** After a crash, an append or an erase is there as a whole or not at all. A rejected promise says nothing about
 *   which: the caller must stop writing, and find out by opening the store again.
 * - **After a failure.** Once an append, a recorded checkpoint or an erase was rejected, so is every later one, until the
 *   store is opened again: nothing is acknowledged behind a write of which nobody knows what it left.
 * - **Who may call.** One process has the store open at a time. In it, one caller appends, and waits for each append
 *   before the next; anyone reads, at any time.
 * - **What a reader sees.** Everything up to the last fulfilled append, and perhaps the one under way, as a whole.
 *   Items are never changed once they are there: bytes of a tile are a prefix of the same tile's bytes later.
 * - **Runs.** The caller appends the runs of a level without gaps and in order, none across a multiple of 256. A tile
 *   reads back as the concatenation of its runs.
 * - **Errors.** Every method rejects when the store is closed. Reading what was never written is not an error.
 */
export interface Store {
  /** @returns the head of the last append; size 0 and the empty root before the first. */
  head(): Promise<TreeHead>;
  /**
   * @returns all items of the tile `number` of the level: possibly more than the caller's tree size has, so it cuts;
   * no bytes when there are none
   */
  tile(level: TileLevel, number: number): Promise<Buffer>;
  /** @returns the disclosure block of an entry; undefined when it has none or they were erased. */
  disclosures(index: number): Promise<Buffer | undefined>;
  /** @returns the shared disclosure with this digest (32 bytes); undefined when it never came or was erased. */
  sharedDisclosure(digest: Buffer): Promise<Buffer | undefined>;
  /** @returns the position of every source that ever submitted. */
  positions(): Promise<Map<string, SourcePosition>>;
  /** @returns the accepted ranges of the epoch that touch the sequences from `seq` up to `end`, in order. */
  accepted(source: string, epoch: number, seq: number, end: number): Promise<AcceptedRange[]>;
  /** @returns what `recordCheckpoint` was last given. */
  checkpoint(): Promise<RecordedCheckpoint | undefined>;
  /** @returns every source that an append said something of, by name. */
  sources(): Promise<Map<string, SourceRecord>>;
  /** @returns every erasure that was ordered, by the index of its order, in that order. */
  erasures(): Promise<Map<number, ErasureRecord>>;
  append(append: Append): Promise<void>;
  /** May be called while an append is under way. What is deleted can no longer be read, and `purge` removes its bytes. */
  erase(erase: Erase): Promise<void>;
  /**
   * When this returns, the bytes of what was erased before are in none of the store's files.
   * @param erased what that was; undefined: it may be anything
   */
  purge(erased?: Erased): Promise<void>;
  recordCheckpoint(checkpoint: RecordedCheckpoint): Promise<void>;
  /** Waits for the calls under way. Closing twice is the same as once. */
  close(): Promise<void>;
}
