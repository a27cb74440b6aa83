import { LogServerError, reason } from "../errors.ts";
import { TILE_WIDTH } from "../formats/tile.ts";
import type { Hooks } from "../hooks.ts";
import {
  destroyIndex,
  type IndexDatabase,
  type IndexFolder,
  isCorruption,
  isLocked,
  openIndex,
} from "../store/index-folder.ts";
import { readU64, writeU64 } from "../store/level-keys.ts";
import type { TreeReader } from "../tree/log.ts";
import { GROUP_PREFIX, SearchChunk, SPANS_PREFIX } from "./chunk.ts";
import { CHUNK_ENTRIES, numbered, numberOf, openRecord, sealRecord } from "./postings.ts";
import { decodeSpans, emptySpan, encodeSpans, GROUP_CHUNKS, type Span, widen } from "./zones.ts";

const POSITION_KEY = Buffer.from("position");
/** After an error it tries again by itself; a log that takes in nothing would not ask it to. */
const RETRY_MS = 5000;
/** When so many entries are missing, it says how far it is, every so often. */
const WORTH_TELLING = 200_000;
const TELL_MS = 10_000;

/** The index as a search finds it. */
export interface SearchView {
  /** Has the chunks before `tail`. */
  readonly db: IndexDatabase;
  /** Goes on growing; full, it goes into the database as it is. */
  readonly tail: SearchChunk;
  /** Entries indexed. */
  readonly position: number;
}

/**
 * From what entries say to where they are. A follower of the tree, in a LevelDB folder of its own: it can be deleted at
 * any time and is then built again, and whatever happens to it does not stop the log. Of the entries behind the last
 * full chunk it keeps nothing on disk: at a start it reads them again. Its writes are not synced: after a crash it is
 * an earlier state of itself, and goes on from there.
 */
export class SearchIndex {
  readonly #folder: IndexFolder;
  readonly #reader: TreeReader;
  readonly #hooks: Hooks;
  #db: IndexDatabase | undefined;
  #tail = new SearchChunk(0);
  /** Of the chunks in the database that are in the tail's group. */
  #group: Span = emptySpan();
  #target = 0;
  #running: Promise<void> | undefined;
  #closed = false;
  /** Why what is in the folder must go. */
  #fault: string | undefined;
  #retry: NodeJS.Timeout | undefined;
  #said: string | undefined;
  /** Since something was last written, or added to what is in memory. */
  #failures = 0;
  #waiting: { readonly size: number; readonly resolve: () => void }[] = [];

  constructor(path: string, origin: string, reader: TreeReader, hooks: Hooks) {
    const meta = Buffer.from(JSON.stringify({ index: "search", layout: 2, chunk: CHUNK_ENTRIES, origin }));
    this.#folder = { path, what: "search index", meta, warn: (message) => hooks.log("warn", message) };
    this.#reader = reader;
    this.#hooks = hooks;
  }

  /** Entries indexed. */
  get position(): number {
    return this.#db === undefined || this.#fault !== undefined ? 0 : this.#tail.first + this.#tail.count;
  }

  /** Indexes the tree up to this size, in the background. */
  follow(size: number): void {
    this.#target = Math.max(this.#target, size);
    if (this.#running !== undefined || this.#closed) return;
    clearTimeout(this.#retry);
    this.#running = this.#run().finally(() => {
      this.#running = undefined;
    });
  }

  /** Waits until the index has reached what it was asked for, or given up for now. */
  async settled(): Promise<void> {
    await this.#running;
  }

  /** Waits until so many entries are indexed, but no longer than `ms`. */
  async reach(size: number, ms: number): Promise<void> {
    if (this.position >= size || this.#closed) return;
    await new Promise<void>((resolve) => {
      const waiting = { size, resolve: (): void => done() };
      const timer = setTimeout(() => done(), ms);
      const done = (): void => {
        clearTimeout(timer);
        this.#waiting = this.#waiting.filter((each) => each !== waiting);
        resolve();
      };
      this.#waiting.push(waiting);
    });
  }

  /** @throws LogServerError `index_behind` while there is nothing to search in */
  view(): SearchView {
    if (this.#db === undefined || this.#fault !== undefined) throw this.#behind();
    return { db: this.#db, tail: this.#tail, position: this.position };
  }

  /**
   * Throws away what a search found unusable, and builds it again in the background.
   * @returns the error to answer with
   */
  fault(db: IndexDatabase, error: unknown): LogServerError {
    // Another search may have come first, and the index be a new one since.
    if (db === this.#db && !this.#closed) {
      this.#fault ??= reason(error);
      this.follow(this.#target);
    }
    return this.#behind();
  }

  #behind(): LogServerError {
    const message = `the search index is being built, and has ${this.position} of ${this.#target} entries; retry`;
    return new LogServerError("index_behind", message);
  }

  async #run(): Promise<void> {
    try {
      await this.#discard();
      this.#db ??= await this.#open();
      const began = this.position;
      let told = Date.now();
      const far = this.#target - began > WORTH_TELLING;
      while (this.position < this.#target && !this.#closed) {
        await this.#discard();
        this.#db ??= await this.#open();
        await this.#advance(this.#db);
        this.#said = undefined;
        this.#failures = 0;
        if (far && (Date.now() - told > TELL_MS || this.position === this.#target)) {
          told = Date.now();
          this.#hooks.log("info", `the search index has ${this.position} of ${this.#target} entries`);
        }
      }
    } catch (error) {
      await this.#giveUp(error);
    }
  }

  /** The log goes on without it; what is in memory is forgotten. */
  async #giveUp(error: unknown): Promise<void> {
    const message = `the search index ${this.#folder.path} is not being written: ${reason(error)}`;
    if (message !== this.#said) this.#hooks.log("warn", message);
    this.#said = message;
    // A tree that cannot be read, a folder in use or of somebody else: nothing that a new index would mend.
    if (!(error instanceof LogServerError) && !isLocked(error)) {
      this.#failures += 1;
      if (isCorruption(error) || this.#failures > 1) this.#fault ??= reason(error);
    }
    if (this.#fault === undefined) {
      await this.#db?.close().catch(() => undefined); // already reported
      this.#db = undefined;
    }
    if (this.#closed) return;
    this.#retry = setTimeout(() => this.follow(this.#target), RETRY_MS);
    this.#retry.unref();
  }

  async #discard(): Promise<void> {
    if (this.#fault === undefined) return;
    const why = this.#fault;
    await this.#db?.close();
    this.#db = undefined;
    this.#fault = undefined;
    await destroyIndex(this.#folder, why);
  }

  /** Adds what stands in the bundle at the end; when that fills the chunk, writes it. */
  async #advance(db: IndexDatabase): Promise<void> {
    const start = this.position;
    const end = Math.min(this.#target, (Math.floor(start / TILE_WIDTH) + 1) * TILE_WIDTH);
    const entries = await this.#reader.entries(start, end);
    const tail = this.#tail;
    for (const entry of entries) tail.add(entry);
    if (tail.isFull) await this.#flush(db, tail, end);
    for (const { size, resolve } of this.#waiting) if (size <= this.position) resolve();
    // A bundle is a millisecond or two: whoever asks the log something waits no longer than that.
    await new Promise((resolve) => setImmediate(resolve));
  }

  async #flush(db: IndexDatabase, tail: SearchChunk, end: number): Promise<void> {
    const group = tail.number % GROUP_CHUNKS === 0 ? emptySpan() : { ...this.#group };
    for (const span of tail.spans) widen(group, span);
    const batch = db.batch();
    for (const { key, value } of tail.records()) batch.put(key, value);
    const groupKey = numbered(GROUP_PREFIX, Math.floor(tail.number / GROUP_CHUNKS));
    batch.put(groupKey, sealRecord(groupKey, encodeSpans([group])));
    batch.put(POSITION_KEY, sealRecord(POSITION_KEY, await this.#stamp(end)));
    // CRASH: the index ends at the chunk before; this one is read from the tree again.
    await this.#hooks.atSearch("search:chunk-full");
    await batch.write();
    // CRASH: with the process, the index has the chunk as a whole; with the machine, perhaps not at all.
    await this.#hooks.atSearch("search:chunk-written");
    this.#group = group;
    this.#tail = new SearchChunk(tail.number + 1);
  }

  /** How far the index is, and the leaf hash of the last entry in it: `u64 || 32 bytes`. */
  async #stamp(end: number): Promise<Buffer> {
    const stamp = Buffer.alloc(8);
    writeU64(stamp, end, 0);
    return Buffer.concat([stamp, await this.#reader.leafHashes(end - 1, end)]);
  }

  async #open(): Promise<IndexDatabase> {
    let end = 0;
    const db = await openIndex(this.#folder, async (found) => {
      const position = await this.#stored(found);
      end = position ?? 0;
      return position !== undefined;
    });
    this.#tail = new SearchChunk(end / CHUNK_ENTRIES);
    return db;
  }

  /** @returns how far the index is, undefined when that does not fit the tree. */
  async #stored(db: IndexDatabase): Promise<number | undefined> {
    const value = await db.get(POSITION_KEY);
    if (value === undefined) return 0;
    const stamp = openRecord(POSITION_KEY, value);
    if (stamp === undefined || stamp.length < 8) return undefined;
    const end = readU64(stamp, 0);
    if (end === 0 || end > this.#target || end % CHUNK_ENTRIES !== 0) return undefined;
    if (!stamp.equals(await this.#stamp(end))) return undefined;
    const last = end / CHUNK_ENTRIES - 1;
    const key = numbered(GROUP_PREFIX, Math.floor(last / GROUP_CHUNKS));
    const payload = openRecord(key, (await db.get(key)) ?? Buffer.alloc(0));
    const group = payload && decodeSpans(payload)?.[0];
    if (group === undefined || !(await this.#isWhole(db, last + 1))) return undefined;
    this.#group = group;
    return end;
  }

  /**
   * A chunk is written as a whole, its spans with it. LevelDB passes over what is damaged in its own log and takes what
   * comes behind, so that one in the middle may be missing.
   */
  async #isWhole(db: IndexDatabase, chunks: number): Promise<boolean> {
    let next = 0;
    const range = { gte: numbered(SPANS_PREFIX, 0), lt: numbered(SPANS_PREFIX, chunks) };
    for await (const key of db.keys(range)) {
      if (numberOf(key) !== next) return false;
      next += 1;
    }
    return next === chunks;
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#retry);
    await this.#running;
    await this.#db?.close();
    this.#db = undefined;
  }
}
