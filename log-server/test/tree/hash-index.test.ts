import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Level } from "level";
import t, { type Test } from "tap";
import { leafHash } from "../../src/formats/merkle.ts";
import { MemoryStore } from "../../src/store/memory-store.ts";
import { HashIndex } from "../../src/tree/hash-index.ts";
import { TreeReader } from "../../src/tree/log.ts";
import { entryBytes, grow, newEdge } from "../support/tree.ts";

const SIZE = 5000;
const store = new MemoryStore();
await grow(store, newEdge(), SIZE, [300]);
const hashOf = (index: number): Buffer => leafHash(entryBytes(index));

interface ChainedBatch {
  write(options?: { readonly sync?: boolean }): Promise<void>;
  clear(): void;
}

interface Bench {
  path: string;
  warnings: string[];
  open(origin?: string, from?: MemoryStore, repeats?: boolean): HashIndex;
}

async function bench(t: Test): Promise<Bench> {
  const path = join(await mkdtemp(join(tmpdir(), "vitrine-index-")), "index");
  const warnings: string[] = [];
  t.after(() => rm(path, { recursive: true, force: true }));
  return {
    path,
    warnings,
    open: (origin = "o", from = store, repeats = false) =>
      new HashIndex(path, origin, new TreeReader(from), (line) => warnings.push(line), repeats),
  };
}

t.test("it follows the tree, finds every entry, and goes on where it was", async (t) => {
  const { open, warnings } = await bench(t);
  let index = open();
  t.equal(await index.lookup(hashOf(0), 1), "behind");
  index.follow(1000);
  await index.settled();
  t.equal(index.position, 1000);
  t.same(await index.lookup(hashOf(999), 1000), { index: 999 });
  t.equal(await index.lookup(hashOf(999), 999), "unknown", "it is not in the smaller tree");
  t.equal(await index.lookup(hashOf(1000), 1000), "unknown");
  t.equal(await index.lookup(hashOf(1000), 1001), "behind");
  await index.close();
  index = open();
  index.follow(SIZE);
  await index.settled();
  for (const each of [0, 255, 256, 999, 1000, 4095, 4096, SIZE - 1]) {
    t.same(await index.lookup(hashOf(each), SIZE), { index: each });
  }
  t.equal(await index.lookup(Buffer.alloc(32), SIZE), "unknown");
  await index.close();
  t.same(warnings, []);
});

t.test("it goes on after it was asked for nothing new", async (t) => {
  const { open } = await bench(t);
  const index = open();
  index.follow(100);
  await index.settled();
  // As when a checkpoint of the same size is signed again, by other keys.
  index.follow(100);
  await index.settled();
  index.follow(200);
  await index.settled();
  t.equal(index.position, 200);
  await index.close();
});

t.test("the loss of power leaves no entry out of the middle", async (t) => {
  const { open, warnings } = await bench(t);
  // A disk that has lost the second of three writes, as it may as long as that was not synced.
  const { batch } = Level.prototype;
  t.after(() => {
    Level.prototype.batch = batch;
  });
  let writes = 0;
  Level.prototype.batch = function (this: Level, ...operations: unknown[]) {
    const made = Reflect.apply(batch, this, operations) as unknown as ChainedBatch;
    if (operations.length > 0) return made;
    const write = made.write.bind(made);
    made.write = async (options): Promise<void> => {
      writes += 1;
      if (writes === 2 && options?.sync !== true) made.clear();
      await write(options);
    };
    return made;
  } as unknown as typeof batch;
  const index = open();
  for (const size of [1000, 2000, 3000]) {
    index.follow(size);
    await index.settled();
  }
  t.equal(writes, 3);
  await index.close();
  const again = open();
  again.follow(3000);
  await again.settled();
  for (const each of [0, 999, 1000, 1500, 1999, 2000, 2999]) {
    t.same(await again.lookup(hashOf(each), 3000), { index: each });
  }
  await again.close();
  t.same(warnings, []);
});

t.test("of entries with the same bytes, every tree has the first one that it has", async (t) => {
  const { open, warnings } = await bench(t);
  const same = new MemoryStore();
  const edge = newEdge();
  const bytesOf = (index: number): Buffer => entryBytes(index % 300);
  await grow(same, edge, 1000, [300], bytesOf);
  const looked = async (index: HashIndex): Promise<unknown[]> => [
    await index.lookup(hashOf(7), 8),
    await index.lookup(hashOf(7), 1000),
    await index.lookup(hashOf(7), 7),
    await index.lookup(hashOf(99), 1000),
  ];
  const expected = [{ index: 7 }, { index: 7 }, "unknown", { index: 99 }];
  let index = open("o", same, true);
  index.follow(500);
  await index.settled();
  index.follow(1000);
  await index.settled();
  t.same(await looked(index), expected);
  await index.close();
  // The last entry is one that came before.
  index = open("o", same, true);
  index.follow(1000);
  await index.settled();
  t.same(await looked(index), expected);
  await index.close();
  t.same(warnings, [], "it was not built again");

  const rebuilt = (await bench(t)).open("o", same);
  rebuilt.follow(1000);
  await rebuilt.settled();
  t.same(await looked(rebuilt), expected, "also where such entries are not taken any more");
  await rebuilt.close();
});

t.test("one of another log, or ahead of the tree, or of another tree, is built again", async (t) => {
  const { open, warnings } = await bench(t);
  const first = open("another origin");
  first.follow(SIZE);
  await first.settled();
  await first.close();

  const second = open();
  second.follow(SIZE);
  await second.settled();
  t.same(await second.lookup(hashOf(7), SIZE), { index: 7 });
  await second.close();
  t.match(warnings, [/built again: it is not of this tree/]);

  const smaller = open();
  smaller.follow(100);
  await smaller.settled();
  t.equal(smaller.position, 100);
  t.equal(warnings.length, 2);
  await smaller.close();

  const otherTree = new MemoryStore();
  await grow(otherTree, newEdge(), 50, [50]);
  const other = open("o", otherTree);
  other.follow(50);
  await other.settled();
  t.equal(warnings.length, 3);
  await other.close();
});

t.test("a wrong index never gives a wrong answer: it is built again", async (t) => {
  const { path, open, warnings } = await bench(t);
  const index = open();
  index.follow(SIZE);
  await index.settled();
  await index.close();
  const db = new Level<Buffer, Buffer>(path, { keyEncoding: "buffer", valueEncoding: "buffer" });
  const wrong = Buffer.alloc(8);
  wrong.writeBigUInt64BE(8n);
  await db.put(hashOf(7), wrong);
  await db.close();
  const again = open();
  again.follow(SIZE);
  await again.settled();
  t.equal(await again.lookup(hashOf(7), SIZE), "behind");
  t.match(warnings, [/built again: it has a hash at an index where the tree has another/]);
  await again.settled();
  t.same(await again.lookup(hashOf(7), SIZE), { index: 7 });
  await again.close();
});

t.test("files that are damaged are built again; a folder that is in use or not ours stays as it is", async (t) => {
  const { path, open, warnings } = await bench(t);
  const index = open();
  index.follow(SIZE);
  await index.settled();
  const second = open();
  second.follow(SIZE);
  await second.settled();
  t.equal(second.position, 0);
  t.match(warnings, [/is not being written: .*lock/i]);
  await second.close();
  await index.close();

  await writeFile(join(path, "CURRENT"), "nonsense");
  const repaired = open();
  repaired.follow(SIZE);
  await repaired.settled();
  t.same(await repaired.lookup(hashOf(7), SIZE), { index: 7 });
  await repaired.close();
  t.equal(warnings.length, 2);

  const foreign = await bench(t);
  const db = new Level(foreign.path);
  await db.put("somebody's", "data");
  await db.close();
  const refused = foreign.open();
  refused.follow(SIZE);
  await refused.settled();
  t.match(foreign.warnings, [/holds something that is not a hash index/]);
  t.equal(await refused.lookup(hashOf(7), SIZE), "behind");
  await refused.close();
  const kept = new Level(foreign.path);
  t.equal(await kept.get("somebody's"), "data");
  await kept.close();
});

t.test("a folder that is deleted is built again at the next start", async (t) => {
  const { path, open, warnings } = await bench(t);
  for (let round = 0; round < 2; round += 1) {
    const index = open();
    index.follow(SIZE);
    await index.settled();
    t.same(await index.lookup(hashOf(SIZE - 1), SIZE), { index: SIZE - 1 });
    await index.close();
    t.ok((await readdir(path)).length > 0);
    await rm(path, { recursive: true });
  }
  t.same(warnings, []);
});
