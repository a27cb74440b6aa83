import { LogServerError } from "./errors.ts";
import {
  consistencySpans,
  foldPairs,
  foldPerfect,
  foldSubtrees,
  HASH_BYTES,
  inclusionSpans,
  type Span,
  type Subtree,
  subtreesOf,
} from "./merkle.ts";
import type { Store } from "./store.ts";
import { bundleEntries, TILE_WIDTH, type TileLevel } from "./tile.ts";

/** A tile's hashes, and above them, as far as they were needed, the roots of 2, 4, … of them, by height. */
type Pyramid = Buffer[];

type Tiles = Map<string, Promise<Pyramid>>;

/** Full hash tiles kept in memory: 1,024 of them are at most 16 MiB, level 0 of 262,144 entries. */
const CACHED_TILES = 1024;

function damaged(what: string, index: number): LogServerError {
  const advice = "the store lost or changed what the tree holds; restore a copy that is not older than the guard";
  return new LogServerError("store_corrupt", `${what}: ${advice}`, { index });
}

/**
 * The read side of the log: tiles, entries and proofs, from a store. A caller never asks beyond a tree size that the
 * store has reached, so that whatever is missing is damage (`store_corrupt`).
 */
export class TreeReader {
  readonly #store: Store;
  /** Full tiles never change. Kept in the order of their last use. */
  readonly #full = new Map<string, Pyramid>();
  readonly #capacity: number;

  /** @param cached number of full hash tiles to keep in memory; 0 reads everything from the store each time */
  constructor(store: Store, cached: number = CACHED_TILES) {
    this.#store = store;
    this.#capacity = cached;
  }

  /**
   * @returns the first `width` hashes, or entries with their lengths, of a tile
   * @throws LogServerError `store_corrupt` when the store has fewer
   */
  async tile(level: TileLevel, number: number, width: number): Promise<Buffer> {
    if (level === "entries") {
      const entries = await this.entries(number * TILE_WIDTH, number * TILE_WIDTH + width);
      const first = entries[0]!;
      const last = entries.at(-1)!;
      // Views into one bundle: what lies from the first length to the end of the last entry is the answer.
      return Buffer.from(first.buffer, first.byteOffset - 2, last.byteOffset + last.length - first.byteOffset + 2);
    }
    const hashes = (await this.#pyramid(level, number))[0]!;
    if (hashes.length < width * HASH_BYTES) {
      const index = (number * TILE_WIDTH + Math.floor(hashes.length / HASH_BYTES)) * TILE_WIDTH ** level;
      throw damaged(`level ${level} has no whole hash for the entries from ${index} on`, index);
    }
    return hashes.subarray(0, width * HASH_BYTES);
  }

  async #pyramid(level: number, number: number): Promise<Pyramid> {
    const key = `${level}/${number}`;
    const cached = this.#full.get(key);
    if (cached !== undefined) {
      this.#full.delete(key);
      this.#full.set(key, cached);
      return cached;
    }
    const pyramid = [await this.#store.tile(level, number)];
    if (this.#capacity > 0 && pyramid[0]!.length === TILE_WIDTH * HASH_BYTES) {
      this.#full.set(key, pyramid);
      if (this.#full.size > this.#capacity) this.#full.delete(this.#full.keys().next().value!);
    }
    return pyramid;
  }

  /**
   * @param end at most the end of the bundle that `start` stands in, and above `start`
   * @returns the entries from `start` up to `end`, views into one bundle
   */
  async entries(start: number, end: number): Promise<Buffer[]> {
    const first = Math.floor(start / TILE_WIDTH) * TILE_WIDTH;
    const bundle = await this.#store.tile("entries", first / TILE_WIDTH);
    const entries = bundleEntries(bundle, end - first);
    if (entries === undefined) throw damaged(`the bundle of the entries from ${first} on is malformed`, first);
    if (entries.length < end - first) {
      throw damaged(`entry ${first + entries.length} is missing`, first + entries.length);
    }
    return entries.slice(start - first);
  }

  /**
   * @param end at most the end of the tile that `start` stands in, and above `start`
   * @returns the leaf hashes from `start` up to `end`, one after the other
   */
  async leafHashes(start: number, end: number): Promise<Buffer> {
    const number = Math.floor(start / TILE_WIDTH);
    const hashes = await this.tile(0, number, end - number * TILE_WIDTH);
    return hashes.subarray((start - number * TILE_WIDTH) * HASH_BYTES);
  }

  /** @returns the root of a perfect subtree, folded from the level of tiles at or next below its height. */
  async #subtree({ height, index }: Subtree, tiles: Tiles): Promise<Buffer> {
    const level = Math.floor(height / 8);
    const rise = height % 8;
    const count = 2 ** rise;
    const first = index * count;
    const number = Math.floor(first / TILE_WIDTH);
    const offset = first % TILE_WIDTH;
    const key = `${level}/${number}`;
    const promise = tiles.get(key) ?? this.#pyramid(level, number);
    tiles.set(key, promise);
    const pyramid = await promise;
    const hashes = pyramid[0]!;
    if (hashes.length < (offset + count) * HASH_BYTES) {
      throw damaged(`level ${level} ends before hash ${first + count}`, first * TILE_WIDTH ** level);
    }
    // Of a partial tile only what is needed is folded; a full one will be asked again.
    if (hashes.length < TILE_WIDTH * HASH_BYTES) {
      return foldPerfect(hashes.subarray(offset * HASH_BYTES, (offset + count) * HASH_BYTES));
    }
    while (pyramid.length <= rise) pyramid.push(foldPairs(pyramid.at(-1)!));
    return pyramid[rise]!.subarray((offset / count) * HASH_BYTES, (offset / count + 1) * HASH_BYTES);
  }

  async #roots(span: Span, tiles: Tiles): Promise<Buffer[]> {
    return Promise.all(subtreesOf(span).map((subtree) => this.#subtree(subtree, tiles)));
  }

  async #proof(spans: readonly Span[]): Promise<Buffer[]> {
    const tiles: Tiles = new Map();
    return Promise.all(spans.map(async (span) => foldSubtrees(await this.#roots(span, tiles))));
  }

  /** @returns the roots of the perfect subtrees that make up the tree of this size, from left to right. */
  async edge(size: number): Promise<Buffer[]> {
    return this.#roots({ start: 0, end: size }, new Map());
  }

  async root(size: number): Promise<Buffer> {
    return foldSubtrees(await this.edge(size));
  }

  /** @returns the inclusion proof of the entry, from the leaf up; `index` is below `size`. */
  async inclusionProof(index: number, size: number): Promise<Buffer[]> {
    return this.#proof(inclusionSpans(index, size));
  }

  /** @returns the consistency proof; `first` is at most `second`. */
  async consistencyProof(first: number, second: number): Promise<Buffer[]> {
    return this.#proof(consistencySpans(first, second));
  }
}
