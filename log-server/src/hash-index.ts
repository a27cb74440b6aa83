import { reason } from "./errors.ts";
import { destroyIndex, type IndexDatabase, type IndexFolder, openIndex } from "./index-folder.ts";
import { readU64, writeU64 } from "./level-keys.ts";
import type { TreeReader } from "./log.ts";
import { HASH_BYTES } from "./merkle.ts";
import { TILE_WIDTH } from "./tile.ts";

// A leaf hash is a key of 32 bytes; this one is shorter.
const POSITION_KEY = Buffer.from("position");
/** Tiles of level 0 in one write. */
const STRIDE = 16;

export type Lookup = { readonly index: number } | "unknown" | "behind";

/**
 * From leaf hash to index. A follower of the tree, in a LevelDB folder of its own: it can be deleted at any time and
 * is then built again, and whatever happens to it does not stop the log. Its writes are not synced: after a crash it
 * is an earlier state of itself, and goes on from there.
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

  constructor(path: string, origin: string, reader: TreeReader, warn: (message: string) => void) {
    const meta = Buffer.from(JSON.stringify({ index: "leaf hashes", layout: 1, origin }));
    this.#folder = { path, what: "hash index", meta, warn };
    this.#reader = reader;
    this.#warn = warn;
  }

  /** Entries indexed. */
  get position(): number {
    return this.#position;
  }

  /** Indexes the tree up to this size, in the background. */
  follow(size: number): void {
    this.#target = Math.max(this.#target, size);
    this.#running ??= this.#run();
  }

  /** Waits until the index has reached what it was asked for, or given up for now. */
  async settled(): Promise<void> {
    await this.#running;
  }

  /** @param size of the tree to look into */
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
    const batch = db.batch();
    for (let first = start; first < end; ) {
      const next = Math.min(end, (Math.floor(first / TILE_WIDTH) + 1) * TILE_WIDTH);
      const hashes = await this.#reader.leafHashes(first, next);
      for (let i = 0; first + i < next; i += 1) {
        batch.put(hashes.subarray(i * HASH_BYTES, (i + 1) * HASH_BYTES), u64(first + i));
      }
      first = next;
    }
    batch.put(POSITION_KEY, u64(end));
    await batch.write();
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
    return db;
  }

  /** @returns how far the index says it is, undefined when that does not fit the tree. */
  async #stored(db: IndexDatabase): Promise<number | undefined> {
    const value = await db.get(POSITION_KEY);
    if (value === undefined) return 0;
    const position = readU64(value, 0);
    if (position === 0 || position > this.#target) return position === 0 ? 0 : undefined;
    const last = await this.#reader.leafHashes(position - 1, position);
    const index = await db.get(Buffer.from(last));
    return index !== undefined && readU64(index, 0) === position - 1 ? position : undefined;
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

function u64(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(8);
  writeU64(bytes, value, 0);
  return bytes;
}
