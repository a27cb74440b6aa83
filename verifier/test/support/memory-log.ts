import { type TileLevel, tilePath } from "../../src/formats/tile.ts";
import type { LogReader } from "../../src/reading/log-reader.ts";
import { type TestKey, testKey } from "./keys.ts";
import { naiveLeaf, naiveRoot } from "./naive-tree.ts";

/** A log in memory that serves what it is told to, the truth unless something else is set. */
export class MemoryLog implements LogReader {
  readonly key: TestKey;
  /** What is served under a path in place of the truth; `checkpoint` is a path as well. */
  readonly served: Map<string, Uint8Array | "missing"> = new Map();
  /** The paths asked for, in order. */
  readonly asked: string[] = [];
  #entries: Uint8Array[] = [];
  #leaves: Uint8Array[] = [];
  /** What entry bundles are made from, when not from the entries of the tree. */
  #shown: Uint8Array[] | undefined;
  readonly #roots = new Map<string, Uint8Array>();

  constructor(entries: readonly (string | Uint8Array)[] = [], key: TestKey = testKey("log.example/vitrine")) {
    this.key = key;
    for (const entry of entries) this.append(entry);
  }

  get size(): number {
    return this.#entries.length;
  }

  get entries(): readonly Uint8Array[] {
    return this.#entries;
  }

  append(...entries: (string | Uint8Array)[]): void {
    for (const entry of entries) {
      const bytes = typeof entry === "string" ? Buffer.from(entry) : entry;
      this.#entries.push(bytes);
      this.#leaves.push(naiveLeaf(bytes));
    }
  }

  /** The bundles hold these entries; tiles and checkpoint stay. */
  showInBundles(entries: readonly Uint8Array[]): void {
    this.#shown = [...entries];
  }

  root(size: number = this.size): Uint8Array {
    return this.#subtree(0, size);
  }

  /** A checkpoint of the first `size` entries. */
  note(size: number = this.size, root: Uint8Array = this.root(size)): Uint8Array {
    const text = `${this.key.name}\n${size}\n${Buffer.from(root).toString("base64")}\n`;
    return Buffer.from(this.key.note(text));
  }

  leaves(size: number = this.size): Uint8Array[] {
    return this.#leaves.slice(0, size);
  }

  #subtree(start: number, end: number): Uint8Array {
    const name = `${start}-${end}`;
    let root = this.#roots.get(name);
    if (root === undefined || end - start < 256) {
      root = naiveRoot(this.#leaves.slice(start, end));
      this.#roots.set(name, root);
    }
    return root;
  }

  /** The true bytes of a tile or bundle; "missing" where the tree does not fill it to this width. */
  make(level: TileLevel, n: number, width: number): Uint8Array | "missing" {
    const first = n * 256;
    if (level === "entries") {
      const entries = (this.#shown ?? this.#entries).slice(first, first + width);
      if (entries.length < width) return "missing";
      return Buffer.concat(entries.flatMap((e) => [Uint8Array.of(Math.floor(e.length / 256), e.length % 256), e]));
    }
    const span = 256 ** level;
    if ((first + width) * span > this.size) return "missing";
    const hashes = Array.from({ length: width }, (_, i) => this.#subtree((first + i) * span, (first + i + 1) * span));
    return Buffer.concat(hashes);
  }

  async checkpoint(): Promise<Uint8Array | "missing"> {
    this.asked.push("checkpoint");
    return this.served.get("checkpoint") ?? this.note();
  }

  async tile(level: TileLevel, n: number, width: number): Promise<Uint8Array | "missing"> {
    const path = tilePath(level, n, width);
    this.asked.push(path);
    return this.served.get(path) ?? this.make(level, n, width);
  }
}
