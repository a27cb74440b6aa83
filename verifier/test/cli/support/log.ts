import { readFileSync } from "node:fs";
import { type TestKey, testKey } from "./keys.ts";
import { NaiveTree } from "./tree.ts";

/** What a log is made of; `size` is what its checkpoint covers, and can be moved. */
export class TestLog {
  readonly key: TestKey;
  readonly entries: readonly Buffer[];
  readonly tree: NaiveTree;
  size: number;

  constructor(key: TestKey, entries: readonly (string | Uint8Array)[], size: number = entries.length) {
    this.key = key;
    this.entries = entries.map((entry) => Buffer.from(entry as string));
    this.tree = new NaiveTree(this.entries);
    this.size = size;
  }

  checkpoint(size: number = this.size): string {
    return this.key.sign(`${this.key.name}\n${size}\n${this.tree.root(0, size).toString("base64")}\n`);
  }

  /** What stands under a path of spec/tiles.md, undefined when nothing does. */
  file(path: string): Buffer | undefined {
    if (path === "/checkpoint") return Buffer.from(this.checkpoint());
    const parts = /^\/tile\/(entries|[0-9]+)\/((?:x[0-9]{3}\/)*[0-9]{3})(?:\.p\/([0-9]+))?$/.exec(path);
    if (parts === null) return undefined;
    const n = Number(parts[2]!.replace(/[x/]/g, ""));
    const width = Number(parts[3] ?? 256);
    const span = parts[1] === "entries" ? 1 : 256 ** Number(parts[1]);
    const first = n * 256;
    if ((first + width) * span > this.size) return undefined;
    const items: Buffer[] = [];
    for (let i = first; i < first + width; i++) {
      if (parts[1] === "entries") {
        const entry = this.entries[i]!;
        items.push(Buffer.of(Math.floor(entry.length / 256), entry.length % 256), entry);
      } else items.push(this.tree.root(i * span, (i + 1) * span));
    }
    return Buffer.concat(items);
  }
}

type Vectors = {
  origin: string;
  vkey: string;
  seed: string;
  sources: { name: string; vkey: string; seed: string }[];
  checkpoints: { size: number; root: string; note: string }[];
  entries: string[];
};

export const vectors: Vectors = JSON.parse(
  readFileSync(new URL("../../../../../spec/vectors/log.json", import.meta.url), "utf8"),
) as Vectors;

/** The log of spec/vectors/log.json: two sources that stopped in order, so that its audit passes at any time. */
export function vectorLog(size?: number): TestLog {
  const key = testKey(vectors.origin, Buffer.from(vectors.seed, "hex"));
  return new TestLog(key, vectors.entries, size);
}
