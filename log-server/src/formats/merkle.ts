import { hash } from "node:crypto";

// RFC 6962 section 2.1 over SHA-256 (spec/merkle.md). Sizes and indexes are safe integers: every power of two and
// every halving is done in floating point, which is exact up to 2^53.

/** Bytes of a hash. */
export const HASH_BYTES = 32;

/** The root of the tree of size 0: SHA-256 of nothing. */
export const EMPTY_ROOT: Buffer = hash("sha256", "", "buffer");

// hash() into a string and from there into place costs a third of what making a Buffer for each hash does.
function sha256Into(target: Buffer, offset: number, data: Uint8Array): void {
  target.write(hash("sha256", data, "binary"), offset, HASH_BYTES, "latin1");
}

const leafScratch = Buffer.alloc(1 + 65_535);
const nodeScratch = Buffer.alloc(1 + 2 * HASH_BYTES);
nodeScratch[0] = 1;

/**
 * Writes SHA-256(0x00 || entry) into `target` at `offset`.
 * @param entry at most 65,535 bytes
 */
export function leafHashInto(target: Buffer, offset: number, entry: Uint8Array): void {
  leafScratch.set(entry, 1);
  sha256Into(target, offset, leafScratch.subarray(0, 1 + entry.length));
}

/** @returns SHA-256(0x00 || entry), 32 bytes of its own. */
export function leafHash(entry: Uint8Array): Buffer {
  const target = Buffer.allocUnsafe(HASH_BYTES);
  leafHashInto(target, 0, entry);
  return target;
}

/** @returns SHA-256(0x01 || left || right), 32 bytes of its own. */
export function nodeHash(left: Uint8Array, right: Uint8Array): Buffer {
  nodeScratch.set(left, 1);
  nodeScratch.set(right, 1 + HASH_BYTES);
  const target = Buffer.allocUnsafe(HASH_BYTES);
  sha256Into(target, 0, nodeScratch);
  return target;
}

/** The root of a perfect subtree: of the entries from index·2^height to (index + 1)·2^height. */
export interface Subtree {
  readonly height: number;
  readonly index: number;
}

/** Entries from `start` up to, not including, `end`. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

/** @returns the largest power of two that is strictly smaller than `n`; `n` is at least 2. */
function splitPoint(n: number): number {
  let k = 1;
  while (k * 2 < n) k *= 2;
  return k;
}

/**
 * Cuts a span of the tree into perfect subtrees, from left to right, each smaller than the one before. The span is
 * one that RFC 6962 hashes as a unit: its start is a multiple of the largest power of two that fits into it.
 */
export function subtreesOf(span: Span): Subtree[] {
  const subtrees: Subtree[] = [];
  let start = span.start;
  while (start < span.end) {
    let size = 1;
    let height = 0;
    while (size * 2 <= span.end - start) {
      size *= 2;
      height += 1;
    }
    subtrees.push({ height, index: start / size });
    start += size;
  }
  return subtrees;
}

/** @returns the root over perfect subtrees that stand side by side, as `subtreesOf` lists them; none: the empty root. */
export function foldSubtrees(hashes: readonly Uint8Array[]): Buffer {
  const last = hashes.at(-1);
  if (last === undefined) return EMPTY_ROOT;
  let root: Buffer = Buffer.from(last);
  for (let i = hashes.length - 2; i >= 0; i -= 1) root = nodeHash(hashes[i]!, root);
  return root;
}

/** @returns the hashes one height above hashes that stand side by side; the last of an odd number has none. */
export function foldPairs(hashes: Buffer): Buffer {
  const above = Buffer.allocUnsafe(Math.floor(hashes.length / 2 / HASH_BYTES) * HASH_BYTES);
  for (let offset = 0; offset < above.length; offset += HASH_BYTES) {
    nodeScratch.set(hashes.subarray(offset * 2, offset * 2 + 2 * HASH_BYTES), 1);
    sha256Into(above, offset, nodeScratch);
  }
  return above;
}

/** @returns the root of a perfect subtree from the 2^n hashes one level of it holds. */
export function foldPerfect(hashes: Buffer): Buffer {
  let level = hashes;
  while (level.length > HASH_BYTES) level = foldPairs(level);
  return Buffer.from(level);
}

/**
 * RFC 6962 section 2.1.1, PATH(index, D[size]): the spans whose roots are the inclusion proof, from the leaf up.
 * @param index below `size`
 */
export function inclusionSpans(index: number, size: number): Span[] {
  const spans: Span[] = [];
  let start = 0;
  let end = size;
  while (end - start > 1) {
    const middle = start + splitPoint(end - start);
    if (index < middle) {
      spans.push({ start: middle, end });
      end = middle;
    } else {
      spans.push({ start, end: middle });
      start = middle;
    }
  }
  return spans.reverse();
}

/**
 * RFC 6962 section 2.1.2, PROOF(first, D[second]): the spans whose roots are the consistency proof.
 * @param first at most `second`; from 0 and between equal sizes the proof is empty
 */
export function consistencySpans(first: number, second: number): Span[] {
  if (first === 0 || first === second) return [];
  const spans: Span[] = [];
  let start = 0;
  let end = second;
  // SUBPROOF's flag: the old tree is a whole subtree of the new one, whose root the verifier has already.
  let known = true;
  while (end !== first) {
    const middle = start + splitPoint(end - start);
    if (first <= middle) {
      spans.push({ start: middle, end });
      end = middle;
    } else {
      spans.push({ start, end: middle });
      start = middle;
      known = false;
    }
  }
  if (!known) spans.push({ start, end });
  return spans.reverse();
}

/**
 * The right edge of a growing tree: the roots of the perfect subtrees that make up its size, one for each one bit.
 * Appending costs one node hash on average, the root at most 52.
 */
export class RightEdge {
  size: number;
  /** By height; undefined where the size has a zero bit. */
  readonly #roots: (Buffer | undefined)[] = [];

  /** @param roots of `subtreesOf({start: 0, end: size})`, in that order */
  constructor(size: number, roots: readonly Buffer[]) {
    this.size = size;
    for (const [i, { height }] of subtreesOf({ start: 0, end: size }).entries()) this.#roots[height] = roots[i];
  }

  /**
   * @param leaf the next leaf hash; must not change later
   * @param completed called with height and root of each perfect subtree above the leaf that it completes, upwards
   */
  append(leaf: Buffer, completed: (height: number, root: Buffer) => void): void {
    this.#add(leaf, 0, completed);
  }

  /**
   * Appends leaf hashes that stand one after the other.
   * @param leaves not kept
   * @param completed as of `append`, for heights that are multiples of 8: the levels that tiles have
   */
  appendAll(leaves: Buffer, completed: (height: number, root: Buffer) => void): void {
    for (let offset = 0; offset < leaves.length; ) {
      const left = (leaves.length - offset) / HASH_BYTES;
      let width = 1;
      let height = 0;
      // The largest perfect subtree that begins here and is no higher than a tile.
      while (height < 8 && width * 2 <= left && this.size % (width * 2) === 0) {
        width *= 2;
        height += 1;
      }
      const end = offset + width * HASH_BYTES;
      const root = foldPerfect(leaves.subarray(offset, end));
      if (height === 8) completed(height, root);
      this.#add(root, height, (above, hash) => {
        if (above % 8 === 0) completed(above, hash);
      });
      offset = end;
    }
  }

  /** Adds a perfect subtree, which is no higher than the last one. */
  #add(subtree: Buffer, at: number, completed: (height: number, root: Buffer) => void): void {
    let root = subtree;
    let height = at;
    for (let left = this.#roots[height]; left !== undefined; left = this.#roots[height]) {
      root = nodeHash(left, root);
      this.#roots[height] = undefined;
      height += 1;
      completed(height, root);
    }
    this.#roots[height] = root;
    this.size += 2 ** at;
  }

  root(): Buffer {
    return foldSubtrees(this.#roots.filter((root) => root !== undefined).reverse());
  }
}
