import { createHash } from "node:crypto";

function sha(...parts: Uint8Array[]): Buffer {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return hash.digest();
}

/** The tree of RFC 6962 section 2.1 as its definition reads, over Node's own SHA-256. */
export class NaiveTree {
  readonly leaves: readonly Buffer[];
  readonly #known = new Map<string, Buffer>();

  constructor(entries: readonly Uint8Array[]) {
    this.leaves = entries.map((entry) => sha(Buffer.of(0), entry));
  }

  /** The root over the entries from `start` to, not including, `end`. */
  root(start: number, end: number): Buffer {
    const length = end - start;
    if (length === 0) return sha();
    if (length === 1) return this.leaves[start]!;
    const key = `${start}-${end}`;
    let root = this.#known.get(key);
    if (root === undefined) {
      let k = 1;
      while (k * 2 < length) k *= 2;
      root = sha(Buffer.of(1), this.root(start, start + k), this.root(start + k, end));
      this.#known.set(key, root);
    }
    return root;
  }

  /** PATH of RFC 6962 section 2.1.1, for the entries from `start` to `end`. */
  path(index: number, start: number, end: number): Buffer[] {
    if (end - start === 1) return [];
    let k = 1;
    while (k * 2 < end - start) k *= 2;
    return index < start + k
      ? [...this.path(index, start, start + k), this.root(start + k, end)]
      : [...this.path(index, start + k, end), this.root(start, start + k)];
  }
}
