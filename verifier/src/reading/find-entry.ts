import { readEntry } from "../entries/entry.ts";
import type { Shapes } from "../entries/entry-shape.ts";
import { VerifierError } from "../errors.ts";
import { hashLength } from "../formats/merkle.ts";
import { tileWidth } from "../formats/tile.ts";
import type { SignedBundle, SignedTree } from "./signed-tree.ts";

/** One entry of a source. */
export type EntryPlace = { source: string; epoch: number; seq: number };

/** Where an entry was found, and what it is. */
export type FoundEntry = {
  index: number;
  /** Its leaf hash, 32 bytes. */
  leaf: Uint8Array;
};

type Seen = FoundEntry & Omit<EntryPlace, "source">;

/**
 * Finds an entry in a signed tree by its place, reading as little as may be: the entries of a source stand in the order
 * of their places, so half of what is left falls away each time. Every bundle that is read is shown to be signed.
 */
export class EntryFinder {
  readonly #tree: SignedTree;
  readonly #size: number;
  readonly #shapes: Shapes;

  constructor(tree: SignedTree, size: number, shapes: Shapes) {
    this.#tree = tree;
    this.#size = size;
    this.#shapes = shapes;
  }

  /** @returns the entry at the index, if it is the one sought */
  async at(index: number, place: EntryPlace): Promise<FoundEntry | undefined> {
    if (index >= this.#size) return undefined;
    const seen = await this.#seen(Math.floor(index / tileWidth), place.source);
    return seen.find((one) => one.index === index && compare(one, place) === 0);
  }

  /**
   * @returns the entry; `"passed"` when it is not there and later ones of its source are; undefined when the tree does
   * not reach to it
   * @throws VerifierError for what cannot be had, or is not what was signed
   */
  async find(place: EntryPlace): Promise<FoundEntry | "passed" | undefined> {
    let from = 0;
    let to = Math.ceil(this.#size / tileWidth);
    let passed = false;
    while (from < to) {
      const middle = Math.floor((from + to) / 2);
      let at = middle;
      let seen: Seen[] = [];
      for (; at < to; at++) {
        seen = await this.#seen(at, place.source);
        if (seen.length > 0) break;
      }
      const [first, last] = [seen[0], seen.at(-1)];
      if (first === undefined || last === undefined) {
        to = middle;
      } else if (compare(first, place) > 0) {
        passed = true;
        to = middle;
      } else if (compare(last, place) < 0) {
        from = at + 1;
      } else {
        return seen.find((one) => compare(one, place) === 0) ?? "passed";
      }
    }
    return passed ? "passed" : undefined;
  }

  /** @returns the entries of the source in a bundle */
  async #seen(n: number, source: string): Promise<Seen[]> {
    const { entries, leaves }: SignedBundle = await this.#tree.bundle(n);
    const seen: Seen[] = [];
    for (const [i, bytes] of entries.entries()) {
      const entry = this.#read(bytes);
      if (entry?.source !== source) continue;
      const leaf = leaves.slice(i * hashLength, (i + 1) * hashLength);
      seen.push({ index: n * tileWidth + i, leaf, epoch: entry.epoch, seq: entry.seq });
    }
    return seen;
  }

  /** @returns undefined for what is no entry of a source: a log may take such */
  #read(bytes: Uint8Array): EntryPlace | undefined {
    try {
      return readEntry(bytes, this.#shapes).entry;
    } catch (error) {
      if (!(error instanceof VerifierError)) throw error;
      return undefined;
    }
  }
}

function compare(one: Omit<EntryPlace, "source">, other: Omit<EntryPlace, "source">): number {
  return one.epoch === other.epoch ? one.seq - other.seq : one.epoch - other.epoch;
}
