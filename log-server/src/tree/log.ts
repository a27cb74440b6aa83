import { LogServerError } from "../errors.ts";
import {
  consistencySpans,
  foldPairs,
  foldSubtrees,
  HASH_BYTES,
  inclusionSpans,
  type Span,
  type Subtree,
  subtreesOf,
} from "../formats/merkle.ts";
import { bundleEntries, countAt, TILE_WIDTH, type TileLevel } from "../formats/tile.ts";
import type { Store } from "../store/store.ts";

/** A tile's hashes, and above them, as far as they were needed, the roots of 2, 4, … of them, by height. */
type Pyramid = Buffer[];

/** One question to the tree of a size: each tile is read once for it. */
type Reading = { readonly size: number; readonly tiles: Map<string, Promise<Pyramid>> };

/** Hash tiles kept in memory: 1,024 of them are at most 16 MiB, level 0 of 262,144 entries. */
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
  /** Hashes never change: a partial tile is good for all smaller widths. Kept in the order of their last use. */
  readonly #cached = new Map<string, Pyramid>();
  readonly #capacity: number;

  /** @param cached number of hash tiles to keep in memory; 0 reads everything from the store each time */
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
    const hashes = (await this.#pyramid(level, number, width))[0]!;
    if (hashes.length < width * HASH_BYTES) {
      const index = (number * TILE_WIDTH + Math.floor(hashes.length / HASH_BYTES)) * TILE_WIDTH ** level;
      throw damaged(`level ${level} has no whole hash for the entries from ${index} on`, index);
    }
    return hashes.subarray(0, width * HASH_BYTES);
  }

  /** @param width hashes that are needed; there may be fewer, or more */
  async #pyramid(level: number, number: number, width: number): Promise<Pyramid> {
    const key = `${level}/${number}`;
    const cached = this.#cached.get(key);
    if (cached !== undefined && cached[0]!.length >= width * HASH_BYTES) {
      this.#cached.delete(key);
      this.#cached.set(key, cached);
      return cached;
    }
    const pyramid = [await this.#store.tile(level, number)];
    if (this.#capacity > 0) {
      this.#cached.delete(key);
      this.#cached.set(key, pyramid);
      if (this.#cached.size > this.#capacity) this.#cached.delete(this.#cached.keys().next().value!);
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
  async #subtree({ height, index }: Subtree, { size, tiles }: Reading): Promise<Buffer> {
    const level = Math.floor(height / 8);
    const rise = height % 8;
    const count = 2 ** rise;
    const first = index * count;
    const number = Math.floor(first / TILE_WIDTH);
    const offset = first % TILE_WIDTH;
    const key = `${level}/${number}`;
    const width = Math.min(TILE_WIDTH, countAt(level, size) - number * TILE_WIDTH);
    const promise = tiles.get(key) ?? this.#pyramid(level, number, width);
    tiles.set(key, promise);
    const pyramid = await promise;
    if (pyramid[0]!.length < (offset + count) * HASH_BYTES) {
      throw damaged(`level ${level} ends before hash ${first + count}`, first * TILE_WIDTH ** level);
    }
    while (pyramid.length <= rise) pyramid.push(foldPairs(pyramid.at(-1)!));
    return pyramid[rise]!.subarray((offset / count) * HASH_BYTES, (offset / count + 1) * HASH_BYTES);
  }

  async #roots(span: Span, reading: Reading): Promise<Buffer[]> {
    return Promise.all(subtreesOf(span).map((subtree) => this.#subtree(subtree, reading)));
  }

  async #proof(spans: readonly Span[], size: number): Promise<Buffer[]> {
    const reading = { size, tiles: new Map() };
    return Promise.all(spans.map(async (span) => foldSubtrees(await this.#roots(span, reading))));
  }

  /** @returns the roots of the perfect subtrees that make up the tree of this size, from left to right. */
  async edge(size: number): Promise<Buffer[]> {
    return this.#roots({ start: 0, end: size }, { size, tiles: new Map() });
  }

  async root(size: number): Promise<Buffer> {
    return foldSubtrees(await this.edge(size));
  }

  /** @returns the inclusion proof of the entry, from the leaf up; `index` is below `size`. */
  async inclusionProof(index: number, size: number): Promise<Buffer[]> {
    return this.#proof(inclusionSpans(index, size), size);
  }

  /** @returns the consistency proof; `first` is at most `second`. */
  async consistencyProof(first: number, second: number): Promise<Buffer[]> {
    return this.#proof(consistencySpans(first, second), second);
  }
}
