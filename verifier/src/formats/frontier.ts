import { emptyRoot, nodeHash } from "./merkle.ts";

/** Called for each perfect subtree that an append completes: its height in levels of two, and its position there. */
export type NodeSink = (height: number, position: number, hash: Uint8Array) => void;

/**
 * The right edge of a tree: the roots of the perfect subtrees that make up its entries, the largest first. It is all
 * one must keep to append further entries and to compute the root, at most 53 hashes.
 */
export class Frontier {
  #size = 0;
  /** #nodes[h] is the root of the perfect subtree of 2^h entries, where the size has the bit 2^h. */
  readonly #nodes: (Uint8Array | undefined)[] = [];

  get size(): number {
    return this.#size;
  }

  /** Appends one leaf hash, which is kept as it is: the caller must not change it afterwards. */
  append(leaf: Uint8Array, sink?: NodeSink): void {
    this.appendSubtree(0, leaf, sink);
  }

  /**
   * Appends 2^height entries at once; the size must be a multiple of that. The sink is called from that height on.
   * @param root of the perfect subtree over them, kept as it is
   */
  appendSubtree(height: number, root: Uint8Array, sink?: NodeSink): void {
    const count = 2 ** height;
    if (this.#size % count !== 0) throw new Error(`no subtree of ${count} entries begins at ${this.#size}`);
    let hash = root;
    let at = height;
    let position = this.#size / count;
    sink?.(at, position, hash);
    while (position % 2 === 1) {
      hash = nodeHash(this.#nodes[at]!, hash);
      this.#nodes[at] = undefined;
      at++;
      position = (position - 1) / 2;
      sink?.(at, position, hash);
    }
    this.#nodes[at] = hash;
    this.#size += count;
  }

  root(): Uint8Array {
    let root: Uint8Array | undefined;
    for (const node of this.#nodes) if (node !== undefined) root = root === undefined ? node : nodeHash(node, root);
    return root ?? emptyRoot();
  }

  /** @returns the subtree roots with their heights and the index of their first entry, from left to right. */
  nodes(): { height: number; start: number; hash: Uint8Array }[] {
    const list: { height: number; start: number; hash: Uint8Array }[] = [];
    let start = 0;
    for (let height = this.#nodes.length - 1; height >= 0; height--) {
      const hash = this.#nodes[height];
      if (hash === undefined) continue;
      list.push({ height, start, hash });
      start += 2 ** height;
    }
    return list;
  }

  /**
   * @param size the number of entries
   * @param hashes as {@link nodes} gave them, left to right
   * @returns undefined when the number of hashes is not the one that the size needs
   */
  static from(size: number, hashes: readonly Uint8Array[]): Frontier | undefined {
    const frontier = new Frontier();
    frontier.#size = size;
    let left = size;
    let next = 0;
    for (let height = 52; height >= 0; height--) {
      if (left < 2 ** height) continue;
      left -= 2 ** height;
      frontier.#nodes[height] = hashes[next++];
    }
    return next === hashes.length ? frontier : undefined;
  }

  copy(): Frontier {
    return Frontier.from(
      this.#size,
      this.nodes().map((node) => node.hash),
    )!;
  }
}
