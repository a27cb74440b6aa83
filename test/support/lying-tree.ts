/** RFC 6962 section 2.1, written for the tests from spec/merkle.md: neither the log's code nor the verifier's. */
import { createHash } from "node:crypto";

export function sha256(...parts: readonly Uint8Array[]): Buffer {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return hash.digest();
}

const LEAF = Buffer.from([0]);
const NODE = Buffer.from([1]);

export function leafHash(entry: Uint8Array): Buffer {
  return sha256(LEAF, entry);
}

/** The largest power of two below `n`, for `n` above 1. */
function split(n: number): number {
  let k = 1;
  while (k * 2 < n) k *= 2;
  return k;
}

/** The tree over a list of entries, and of its beginnings. */
export class Tree {
  readonly size: number;
  /** `#rows[k][i]` is the root of the entries from i·2^k to (i + 1)·2^k. */
  readonly #rows: Buffer[][];

  constructor(entries: readonly Uint8Array[]) {
    this.size = entries.length;
    this.#rows = [entries.map(leafHash)];
    for (let row = this.#rows[0]!; row.length > 1; row = this.#rows.at(-1)!) {
      const above: Buffer[] = [];
      for (let i = 0; i + 1 < row.length; i += 2) above.push(sha256(NODE, row[i]!, row[i + 1]!));
      this.#rows.push(above);
    }
  }

  root(size: number = this.size): Buffer {
    return size === 0 ? sha256() : this.#range(0, size);
  }

  /** The hashes `first` to `first + count` of a tile level; undefined when the tree does not have them all. */
  hashes(level: number, first: number, count: number): Buffer | undefined {
    const row = this.#rows[8 * level] ?? [];
    return first + count > row.length ? undefined : Buffer.concat(row.slice(first, first + count));
  }

  /** RFC 6962 section 2.1.1, from the leaf up. */
  inclusion(index: number, size: number = this.size): Buffer[] {
    const path = (m: number, from: number, to: number): Buffer[] => {
      if (to - from === 1) return [];
      const k = split(to - from);
      return m < from + k
        ? [...path(m, from, from + k), this.#range(from + k, to)]
        : [...path(m, from + k, to), this.#range(from, from + k)];
    };
    return path(index, 0, size);
  }

  #range(from: number, to: number): Buffer {
    const n = to - from;
    const height = Math.log2(n);
    if (Number.isInteger(height)) return this.#rows[height]![from / n]!;
    const k = split(n);
    return sha256(NODE, this.#range(from, from + k), this.#range(from + k, to));
  }
}
