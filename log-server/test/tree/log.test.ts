import t from "tap";
import { EMPTY_ROOT, foldPerfect, leafHash, nodeHash } from "../../src/formats/merkle.ts";
import { bundleEntries, countAt, TILE_WIDTH } from "../../src/formats/tile.ts";
import { MemoryStore } from "../../src/store/memory-store.ts";
import { TreeReader } from "../../src/tree/log.ts";
import { entryBytes, grow, newEdge } from "../support/tree.ts";

/** The root by the recursive definition, over leaf hashes. */
function mth(leaves: readonly Buffer[], start: number, end: number): Buffer {
  if (end === start) return EMPTY_ROOT;
  if (end - start === 1) return leaves[start]!;
  let k = 1;
  while (k * 2 < end - start) k *= 2;
  return nodeHash(mth(leaves, start, start + k), mth(leaves, start + k, end));
}

const SIZES = [0, 1, 255, 256, 257, 511, 512, 513, 65_535, 65_536, 65_537];
const LEAVES = Array.from({ length: 65_537 }, (_, i) => leafHash(entryBytes(i)));

t.test("every tile, bundle and root, as the tree passes the sizes where tiles fill", async (t) => {
  const store = new MemoryStore();
  const edge = newEdge();
  for (const size of SIZES) {
    await grow(store, edge, size, [1, 7, 256, 300, 1000]);
    const reader = new TreeReader(store);
    t.same((await store.head()).size, size);
    t.same((await store.head()).root, mth(LEAVES, 0, size), `head of size ${size}`);
    t.same(await reader.root(size), mth(LEAVES, 0, size), `root of size ${size} from tiles`);
    let below = LEAVES.slice(0, size);
    for (let level = 0; countAt(level, size) > 0; level += 1) {
      const count = countAt(level, size);
      const tiles: Buffer[] = [];
      for (let first = 0; first < count; first += TILE_WIDTH) {
        tiles.push(await reader.tile(level, first / TILE_WIDTH, Math.min(TILE_WIDTH, count - first)));
      }
      const expected = level === 0 ? below : groups(below);
      t.same(Buffer.concat(tiles), Buffer.concat(expected), `level ${level} of size ${size}`);
      below = expected;
    }
    if (size === 0) continue;
    const last = Math.floor((size - 1) / TILE_WIDTH);
    const width = size - last * TILE_WIDTH;
    const bundle = await reader.tile("entries", last, width);
    const expected = Array.from({ length: width }, (_, i) => entryBytes(last * TILE_WIDTH + i));
    t.same(bundleEntries(bundle, 300), expected, `the last bundle of size ${size}`);
    t.same(await reader.entries(size - 1, size), [entryBytes(size - 1)]);
  }
});

function groups(hashes: readonly Buffer[]): Buffer[] {
  const result: Buffer[] = [];
  for (let i = 0; i + TILE_WIDTH <= hashes.length; i += TILE_WIDTH) {
    result.push(foldPerfect(Buffer.concat(hashes.slice(i, i + TILE_WIDTH))));
  }
  return result;
}

t.test(
  "earlier tiles, roots and proofs are the same whatever was appended later, and however it was cut",
  async (t) => {
    const [ones, mixed] = [new MemoryStore(), new MemoryStore()];
    await grow(ones, newEdge(), 700, [1]);
    await grow(mixed, newEdge(), 900, [256, 3, 511]);
    const readers = [new TreeReader(ones), new TreeReader(mixed, 0)];
    for (const size of [1, 2, 255, 256, 257, 300, 512, 700]) {
      const [a, b] = await Promise.all(readers.map((reader) => reader.root(size)));
      t.same(a, b);
      t.same(a, mth(LEAVES, 0, size));
      for (const index of [0, size - 1, Math.floor(size / 2)]) {
        const [p, q] = await Promise.all(readers.map((reader) => reader.inclusionProof(index, size)));
        t.same(p, q);
        t.same(p, path(index, 0, size), `inclusion of ${index} in ${size}`);
      }
      const [c, d] = await Promise.all(readers.map((reader) => reader.consistencyProof(size - 1, size)));
      t.same(c, d);
    }
  },
);

/** RFC 6962 section 2.1.1, PATH, as it is written. */
function path(m: number, start: number, end: number): Buffer[] {
  if (end - start <= 1) return [];
  let k = 1;
  while (k * 2 < end - start) k *= 2;
  if (m < k) return [...path(m, start, start + k), mth(LEAVES, start + k, end)];
  return [...path(m - k, start + k, end), mth(LEAVES, start, start + k)];
}

t.test("what the store lacks is named as damage, with its index", async (t) => {
  const store = new MemoryStore();
  await grow(store, newEdge(), 300, [300]);
  const reader = new TreeReader(store);
  await t.rejects(reader.entries(299, 301), { code: "store_corrupt", details: { index: 300 } });
  await t.rejects(reader.tile(0, 1, 45), { code: "store_corrupt", details: { index: 300 } });
  await t.rejects(reader.root(600), { code: "store_corrupt" });
});

t.test("a partial tile is good for the trees up to its width, and read again for a larger one", async (t) => {
  const store = new MemoryStore();
  const edge = newEdge();
  await grow(store, edge, 700, [256]);
  let reads = 0;
  const tile = store.tile.bind(store);
  store.tile = (level, number) => {
    reads += 1;
    return tile(level, number);
  };
  const reader = new TreeReader(store);
  t.same(await reader.root(700), mth(LEAVES, 0, 700));
  t.equal(reads, 2, "the ends of levels 0 and 1");
  for (const size of [700, 699, 600, 513]) t.same(await reader.root(size), mth(LEAVES, 0, size), `root of ${size}`);
  t.equal(reads, 2);
  await grow(store, edge, 1000, [100]);
  for (const size of [750, 700, 1000]) t.same(await reader.root(size), mth(LEAVES, 0, size), `root of ${size}`);
  t.same(await reader.inclusionProof(690, 1000), path(690, 0, 1000));
  t.equal(reads, 5, "tile 2 of level 0 whole, its tile 3, and the end of level 1");
});

t.test("no more full tiles are kept in memory than were asked for", async (t) => {
  const store = new MemoryStore();
  await grow(store, newEdge(), 256 * 5, [256]);
  let reads = 0;
  const tile = store.tile.bind(store);
  store.tile = (level, number) => {
    reads += 1;
    return tile(level, number);
  };
  const reader = new TreeReader(store, 2);
  for (const number of [0, 1, 0, 1]) await reader.leafHashes(number * 256, number * 256 + 1);
  t.equal(reads, 2);
  await reader.leafHashes(512, 513);
  await reader.leafHashes(256, 257);
  t.equal(reads, 3, "the one used last but one was kept");
  await reader.leafHashes(0, 1);
  t.equal(reads, 4, "the one not used for longest was not");
});
