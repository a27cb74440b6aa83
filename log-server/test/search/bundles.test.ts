import t from "tap";
import type { TileLevel } from "../../src/formats/tile.ts";
import { BundleCache } from "../../src/search/bundles.ts";
import { MemoryStore } from "../../src/store/memory-store.ts";
import { TreeReader } from "../../src/tree/log.ts";
import { entryBytes, grow, newEdge } from "../support/tree.ts";

const SIZE = 4 * 256 + 10;
const WIDE = (index: number): Buffer => Buffer.alloc(1000, `${index} `);

class CountingStore extends MemoryStore {
  reads = 0;

  override async tile(level: TileLevel, number: number): Promise<Buffer> {
    this.reads += 1;
    return super.tile(level, number);
  }
}

async function makeStore(bytesOf: (index: number) => Buffer): Promise<CountingStore> {
  const store = new CountingStore();
  await grow(store, newEdge(), SIZE, [100], bytesOf);
  return store;
}

t.test("a full bundle is read once, the last one each time, as it grows", async (t) => {
  const store = await makeStore(entryBytes);
  const cache = new BundleCache(new TreeReader(store));
  for (let round = 0; round < 3; round += 1) {
    const entries = await cache.entries(256, 300, SIZE);
    t.same(
      entries.slice(0, 44).map(String),
      Array.from({ length: 44 }, (_, i) => `entry ${256 + i}`),
    );
  }
  t.equal(store.reads, 1);
  t.equal((await cache.entries(1024, 1026, 1026)).length, 2);
  t.equal((await cache.entries(1024, 1030, 1030)).length, 6);
  // Full in the store, and not in the tree that is searched: what stands behind its end is nobody's business.
  t.equal((await cache.entries(0, 200, 200)).length, 200);
  t.equal(store.reads, 4);
});

t.test("what was used least lately goes, by bytes; what is very large is not kept", async (t) => {
  const store = await makeStore(WIDE);
  const cache = new BundleCache(new TreeReader(store), 600_000);
  await cache.entries(0, 256, SIZE);
  await cache.entries(256, 512, SIZE);
  await cache.entries(0, 256, SIZE);
  t.equal(store.reads, 2);
  await cache.entries(512, 768, SIZE);
  t.ok(cache.bytes > 500_000 && cache.bytes <= 600_000, `${cache.bytes}`);
  await cache.entries(0, 256, SIZE);
  t.equal(store.reads, 3, "it was used since");
  await cache.entries(256, 512, SIZE);
  t.equal(store.reads, 4, "it went");

  const large = await makeStore((index) => Buffer.alloc(10_000, `${index} `));
  const other = new BundleCache(new TreeReader(large));
  await Promise.all([other.entries(0, 256, SIZE), other.entries(0, 256, SIZE)]);
  t.equal(other.bytes, 0);
});

t.test("two that read the same bundle at a time count it once", async (t) => {
  const store = await makeStore(WIDE);
  const cache = new BundleCache(new TreeReader(store));
  const [one, two] = await Promise.all([cache.entries(0, 256, SIZE), cache.entries(0, 256, SIZE)]);
  t.same(one, two);
  t.ok(cache.bytes < 300_000, `${cache.bytes}`);
});
