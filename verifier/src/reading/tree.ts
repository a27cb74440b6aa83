import { hashLength, nodeHash } from "../formats/merkle.ts";
import { levelLength, tileHeight, tileWidth, widthOf } from "../formats/tile.ts";
import { type LogReader, readHashes } from "./log-reader.ts";

function largestPowerBelow(n: number): number {
  let k = 1;
  while (k * 2 < n) k *= 2;
  return k;
}

/** @returns the root of a power of two of hashes that stand one after the other. */
export function foldHashes(hashes: Uint8Array): Uint8Array {
  let level: Uint8Array[] = [];
  for (let at = 0; at < hashes.length; at += hashLength) level.push(hashes.slice(at, at + hashLength));
  while (level.length > 1) {
    const above: Uint8Array[] = [];
    for (let i = 0; i + 1 < level.length; i += 2) above.push(nodeHash(level[i]!, level[i + 1]!));
    level = above;
  }
  return level[0]!;
}

/**
 * The tree of a given size as the log's tiles show it. Nothing read here is believed: what is built from it is a proof,
 * which is then verified.
 */
export class TileTree {
  readonly #reader: LogReader;
  readonly #size: number;
  readonly #tiles = new Map<string, Promise<Uint8Array>>();

  constructor(reader: LogReader, size: number) {
    this.#reader = reader;
    this.#size = size;
  }

  /**
   * @param height the subtree has 2^height entries
   * @param position its number among those of this height
   * @returns its root
   */
  async subtree(height: number, position: number): Promise<Uint8Array> {
    const level = Math.floor(height / tileHeight);
    const count = 2 ** (height % tileHeight);
    const first = position * count;
    const n = Math.floor(first / tileWidth);
    const offset = first % tileWidth;
    const tile = await this.#tile(level, n);
    return foldHashes(tile.subarray(offset * hashLength, (offset + count) * hashLength));
  }

  #tile(level: number, n: number): Promise<Uint8Array> {
    const key = `${level}/${n}`;
    let tile = this.#tiles.get(key);
    if (tile === undefined) {
      tile = readHashes(this.#reader, level, n, widthOf(levelLength(this.#size, level), n));
      this.#tiles.set(key, tile);
    }
    return tile;
  }

  /** @returns the root over the entries from `start` to `end`, where `start` is a multiple of the power above the length. */
  async #range(start: number, end: number): Promise<Uint8Array> {
    const length = end - start;
    const k = largestPowerBelow(length);
    if (length === 1) return this.subtree(0, start);
    if (k * 2 === length) return this.subtree(Math.round(Math.log2(length)), start / length);
    return nodeHash(await this.#range(start, start + k), await this.#range(start + k, end));
  }

  root(): Promise<Uint8Array> {
    return this.#range(0, this.#size);
  }

  /**
   * Computes two roots from the same hashes. Where `whole` is a root that was signed, `prefix` is the only root that the
   * first `size` entries of that tree can have.
   * @param size above 0, at most that of the tree
   */
  prefix(size: number): Promise<{ prefix: Uint8Array; whole: Uint8Array }> {
    return this.#prefix(0, this.#size, size);
  }

  /** Goes down to where the beginning ends, as SUBPROOF of RFC 6962 section 2.1.2 does, and folds up both. */
  async #prefix(start: number, end: number, size: number): Promise<{ prefix: Uint8Array; whole: Uint8Array }> {
    if (end === size) {
      const whole = await this.#range(start, end);
      return { prefix: whole, whole };
    }
    const k = largestPowerBelow(end - start);
    if (size <= start + k) {
      const left = await this.#prefix(start, start + k, size);
      return { prefix: left.prefix, whole: nodeHash(left.whole, await this.#range(start + k, end)) };
    }
    const left = await this.#range(start, start + k);
    const right = await this.#prefix(start + k, end, size);
    return { prefix: nodeHash(left, right.prefix), whole: nodeHash(left, right.whole) };
  }

  /** PATH of RFC 6962 section 2.1.1: the siblings of entry `index`, from the leaf up. */
  async inclusionProof(index: number): Promise<Uint8Array[]> {
    const proof: Uint8Array[] = [];
    let start = 0;
    let end = this.#size;
    const siblings: [number, number][] = [];
    while (end - start > 1) {
      const k = largestPowerBelow(end - start);
      if (index < start + k) {
        siblings.push([start + k, end]);
        end = start + k;
      } else {
        siblings.push([start, start + k]);
        start += k;
      }
    }
    for (const [from, to] of siblings.reverse()) proof.push(await this.#range(from, to));
    return proof;
  }

  /** PROOF of RFC 6962 section 2.1.2: from the tree of the first `size` entries to this one. */
  async consistencyProof(size: number): Promise<Uint8Array[]> {
    if (size === 0 || size === this.#size) return [];
    const proof: Uint8Array[] = [];
    let start = 0;
    let end = this.#size;
    const siblings: [number, number][] = [];
    // SUBPROOF goes down to where the earlier tree ends; what it passes on either side is the proof.
    while (end !== size) {
      const k = largestPowerBelow(end - start);
      if (size <= start + k) {
        siblings.push([start + k, end]);
        end = start + k;
      } else {
        siblings.push([start, start + k]);
        start += k;
      }
    }
    if (start !== 0) proof.push(await this.#range(start, end));
    for (const [from, to] of siblings.reverse()) proof.push(await this.#range(from, to));
    return proof;
  }
}
