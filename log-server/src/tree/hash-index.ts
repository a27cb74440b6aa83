import { reason } from "../errors.ts";
import { HASH_BYTES } from "../formats/merkle.ts";
import { TILE_WIDTH } from "../formats/tile.ts";
import { destroyIndex, type IndexDatabase, type IndexFolder, openIndex } from "../store/index-folder.ts";
import { readU64, writeU64 } from "../store/level-keys.ts";
import type { TreeReader } from "./log.ts";

// A leaf hash is a key of 32 bytes; this one is shorter.
const POSITION_KEY = Buffer.from("position");
/** Tiles of level 0 in one write. */
const STRIDE = 16;

export type Lookup = { readonly index: number } | "unknown" | "behind";

/**
 * From leaf hash to index. A follower of the tree, in a LevelDB folder of its own: it can be deleted at any time and
 * is then built again, and whatever happens to it does not stop the log. Each write is synced before the next: after a
 * crash it is an earlier state of itself, and goes on from there.
 */
export class HashIndex {
  readonly #folder: IndexFolder;
  readonly #reader: TreeReader;
  readonly #warn: (message: string) => void;
  #db: IndexDatabase | undefined;
  #position = 0;
  #target = 0;
  #running: Promise<void> | undefined;
  #closed = false;
  /** Whether entries that come now may be the same as earlier ones. */
  readonly #repeats: boolean;
  /** Below this index entries may be the same in any case: what the log took when they came is not known. */
  #old = 0;

  /**
   * @param repeats whether the log takes entries without a source, of which the same bytes may come twice; those of
   * sources never do
   */
  constructor(path: string, origin: string, reader: TreeReader, warn: (message: string) => void, repeats: boolean) {
    // Layout 1 had the last of several entries with one leaf hash.
    const meta = Buffer.from(JSON.stringify({ index: "leaf hashes", layout: 2, origin }));
    this.#folder = { path, what: "hash index", meta, warn };
    this.#reader = reader;
    this.#warn = warn;
    this.#repeats = repeats;
  }

  /** Entries indexed. */
  get position(): number {
    return this.#position;
  }

  /** Indexes the tree up to this size, in the background. */
  follow(size: number): void {
    this.#target = Math.max(this.#target, size);
    if (!this.#closed) this.#running ??= this.#run();
  }

  /** Waits until the index has reached what it was asked for, or given up for now. */
  async settled(): Promise<void> {
    await this.#running;
  }

  /**
   * @param size of the tree to look into
   * @returns the index of the first entry with this leaf hash
   */
  async lookup(hash: Buffer, size: number): Promise<Lookup> {
    const value = await this.#read(hash);
    const index = value?.length === 8 ? readU64(value, 0) : undefined;
    if (index === undefined || index >= this.#target) return this.#position < size ? "behind" : "unknown";
    if (!(await this.#reader.leafHashes(index, index + 1)).subarray(0, HASH_BYTES).equals(hash)) {
      await this.#discard("it has a hash at an index where the tree has another");
      return "behind";
    }
    return index < size ? { index } : "unknown";
  }

  async #read(hash: Buffer): Promise<Buffer | undefined> {
    try {
      // As in the store: a thread would take many times as long to come to it.
      return this.#db?.getSync(hash);
    } catch (error) {
      await this.#discard(reason(error));
      return undefined;
    }
  }

  async #run(): Promise<void> {
    // Where there is nothing to do it would end before `follow` has kept its promise, and seem to run ever after.
    await undefined;
    try {
      this.#db ??= await this.#open();
      while (this.#position < this.#target && !this.#closed) await this.#advance(this.#db);
    } catch (error) {
      // The next follow() tries again.
      this.#warn(`the hash index ${this.#folder.path} is not being written: ${reason(error)}`);
      await this.#db?.close().catch(() => undefined); // already reported
      this.#db = undefined;
    }
    this.#running = undefined;
  }

  async #advance(db: IndexDatabase): Promise<void> {
    const start = this.#position;
    const end = Math.min(this.#target, (Math.floor(start / TILE_WIDTH) + STRIDE) * TILE_WIDTH);
    const leaves: Buffer[] = [];
    for (let first = start; first < end; ) {
      const next = Math.min(end, (Math.floor(first / TILE_WIDTH) + 1) * TILE_WIDTH);
      const hashes = await this.#reader.leafHashes(first, next);
      for (let at = 0; at < hashes.length; at += HASH_BYTES) leaves.push(hashes.subarray(at, at + HASH_BYTES));
      first = next;
    }
    const known = this.#repeats || start < this.#old ? await firsts(db, leaves) : undefined;
    const batch = db.batch();
    for (const [i, leaf] of leaves.entries()) if (known?.has(i) !== true) batch.put(leaf, u64(start + i));
    batch.put(POSITION_KEY, u64(end));
    // LevelDB passes over what is damaged in its own log and takes what comes behind: of writes that were not synced one
    // in the middle may be missing after the loss of power, and nobody would know of the entries in it.
    await batch.write({ sync: true });
    this.#position = end;
  }

  async #open(): Promise<IndexDatabase> {
    let position = 0;
    const db = await openIndex(this.#folder, async (found) => {
      const stored = await this.#stored(found);
      position = stored ?? 0;
      return stored !== undefined;
    });
    this.#position = position;
    this.#old = this.#target;
    return db;
  }

  /** @returns how far the index says it is, undefined when that does not fit the tree. */
  async #stored(db: IndexDatabase): Promise<number | undefined> {
    const value = await db.get(POSITION_KEY);
    if (value === undefined) return 0;
    if (value.length !== 8) return undefined;
    const position = readU64(value, 0);
    if (position === 0 || position > this.#target) return position === 0 ? 0 : undefined;
    const last = await this.#reader.leafHashes(position - 1, position);
    const index = await db.get(Buffer.from(last));
    return index?.length === 8 && readU64(index, 0) < position ? position : undefined;
  }

  /** Throws the index away, and builds it again in the background. */
  async #discard(why: string): Promise<void> {
    await this.#running;
    const db = this.#db;
    if (db === undefined || this.#closed) return;
    this.#db = undefined;
    this.#position = 0;
    this.#running = this.#remove(db, why);
    await this.#running;
    this.follow(this.#target);
  }

  async #remove(db: IndexDatabase, why: string): Promise<void> {
    try {
      await db.close();
      await destroyIndex(this.#folder, why);
    } catch (error) {
      this.#warn(`the hash index ${this.#folder.path} cannot be removed: ${reason(error)}; delete the folder`);
    }
    this.#running = undefined;
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#running;
    await this.#db?.close();
    this.#db = undefined;
  }
}

/**
 * @returns the places of the leaf hashes that the index has, or that stand further in front. A tree of any size has the
 * first of several that are the same, if it has one of them.
 */
async function firsts(db: IndexDatabase, leaves: readonly Buffer[]): Promise<Set<number>> {
  const stored = await db.getMany([...leaves]);
  const seen = new Set<string>();
  const repeated = new Set<number>();
  for (const [i, leaf] of leaves.entries()) {
    const text = leaf.toString("latin1");
    if (stored[i] !== undefined || seen.has(text)) repeated.add(i);
    seen.add(text);
  }
  return repeated;
}

function u64(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(8);
  writeU64(bytes, value, 0);
  return bytes;
}
