import { VerifierError } from "../errors.ts";
import { equalBytes, hashLength, nodeHash } from "../formats/merkle.ts";
import { levelLength, tilePath, tileWidth, widthOf } from "../formats/tile.ts";
import { type HashedEntries, hashEntries } from "./hash-entries.ts";
import { type LogReader, readEntries, readHashes } from "./log-reader.ts";
import { foldHashes } from "./tree.ts";

/** The entries of a bundle, shown to be those that were signed. */
export type SignedBundle = { entries: Uint8Array[] } & HashedEntries;

/** Tiles kept in memory, 8 KiB each: whoever reads bundles in order needs two or three again. */
const keptTiles = 64;

/**
 * Reads single bundles of a signed tree, each shown to be in it. The right edge of the tiles gives the root; from there
 * down a tile is the signed one if its hashes give the hash above it. Of a bundle the leaf hashes are compared with what
 * stands above them, so the level 0 tile need not be believed. Nothing is read twice, for it might be another the second
 * time.
 */
export class SignedTree {
  readonly #reader: LogReader;
  readonly #size: number;
  readonly #root: Uint8Array;
  readonly #tiles = new Map<string, Promise<Uint8Array>>();
  #edge: Promise<Map<number, Uint8Array>> | undefined;

  /** @param root signed */
  constructor(reader: LogReader, size: number, root: Uint8Array) {
    this.#reader = reader;
    this.#size = size;
    this.#root = root;
  }

  /**
   * @param n the bundle's number; its first entry is in the tree
   * @throws VerifierError `data_missing`, `tile_malformed`, `leaf_mismatch`, `root_mismatch`, `log_unreachable`
   */
  async bundle(n: number): Promise<SignedBundle> {
    const width = widthOf(this.#size, n);
    const entries = await readEntries(this.#reader, n, width);
    const hashed = hashEntries(entries);
    const good =
      hashed.root === undefined
        ? equalBytes(hashed.leaves, (await this.#edgeTiles()).get(0)!)
        : equalBytes(hashed.root, await this.#hash(1, n));
    if (!good) throw await this.#locate(n, width, hashed);
    return { entries, ...hashed };
  }

  /** @returns what is wrong with the entries of a bundle, and where, if the level 0 tile tells */
  async #locate(n: number, width: number, { leaves }: HashedEntries): Promise<VerifierError> {
    const first = n * tileWidth;
    const where = tilePath("entries", n, width);
    const tile = await readHashes(this.#reader, 0, n, width);
    for (let i = 0; i < width; i++) {
      const at = i * hashLength;
      if (equalBytes(leaves.subarray(at, at + hashLength), tile.subarray(at, at + hashLength))) continue;
      const message =
        "the entry's leaf hash is not the one that the tile has for it, and the entries are not the signed";
      return new VerifierError("leaf_mismatch", message, { index: first + i, where });
    }
    const message = `the entries ${first} to ${first + width - 1} are not those that were signed, and the level 0 tile was changed along with them`;
    return new VerifierError("root_mismatch", message, { index: first, where });
  }

  /** @returns a hash of a tile level from 1, which is the signed one */
  async #hash(level: number, position: number): Promise<Uint8Array> {
    const n = Math.floor(position / tileWidth);
    const isEdge = widthOf(levelLength(this.#size, level), n) < tileWidth;
    const tile = isEdge ? (await this.#edgeTiles()).get(level)! : await this.#full(level, n);
    const at = (position % tileWidth) * hashLength;
    return tile.subarray(at, at + hashLength);
  }

  #full(level: number, n: number): Promise<Uint8Array> {
    const key = `${level}/${n}`;
    const known = this.#tiles.get(key);
    if (known !== undefined) return known;
    const tile = this.#readFull(level, n);
    tile.catch(() => undefined); // it is thrown where it is awaited
    if (this.#tiles.size === keptTiles) this.#tiles.delete(this.#tiles.keys().next().value!);
    this.#tiles.set(key, tile);
    return tile;
  }

  async #readFull(level: number, n: number): Promise<Uint8Array> {
    const tile = await readHashes(this.#reader, level, n, tileWidth);
    if (equalBytes(foldHashes(tile), await this.#hash(level + 1, n))) return tile;
    const where = tilePath(level, n, tileWidth);
    throw new VerifierError("tile_malformed", `${where} is not the tile that was signed`, { where });
  }

  /** The partial tiles, by level. They and nothing else make up the root. */
  #edgeTiles(): Promise<Map<number, Uint8Array>> {
    this.#edge ??= this.#readEdge();
    return this.#edge;
  }

  async #readEdge(): Promise<Map<number, Uint8Array>> {
    const tiles = new Map<number, Uint8Array>();
    const nodes: Uint8Array[] = [];
    for (let level = 0; levelLength(this.#size, level) > 0; level++) {
      const length = levelLength(this.#size, level);
      const n = Math.floor(length / tileWidth);
      const width = widthOf(length, n);
      if (width === 0) continue;
      const tile = await readHashes(this.#reader, level, n, width);
      tiles.set(level, tile);
      nodes.unshift(...perfectSubtrees(tile));
    }
    const root = nodes.reduceRight((right, left) => nodeHash(left, right));
    if (equalBytes(root, this.#root)) return tiles;
    const message = `the tiles at the right edge do not give the root that was signed for ${this.#size} entries`;
    throw new VerifierError("root_mismatch", message);
  }
}

/** @returns the roots of the perfect subtrees that a partial tile's hashes make up, the largest first */
function perfectSubtrees(tile: Uint8Array): Uint8Array[] {
  const roots: Uint8Array[] = [];
  const width = tile.length / hashLength;
  for (let at = 0, span = tileWidth / 2; at < width; span /= 2) {
    if (at + span > width) continue;
    roots.push(foldHashes(tile.subarray(at * hashLength, (at + span) * hashLength)));
    at += span;
  }
  return roots;
}
