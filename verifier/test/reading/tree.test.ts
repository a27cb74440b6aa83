import t from "tap";
import { Frontier } from "../../src/formats/frontier.ts";
import { leafHash, verifyConsistency, verifyInclusion } from "../../src/formats/merkle.ts";
import { hashEntries } from "../../src/reading/hash-entries.ts";
import { TileTree } from "../../src/reading/tree.ts";
import { MemoryLog } from "../support/memory-log.ts";
import { naivePath, naiveProof } from "../support/naive-tree.ts";
import { toHex } from "../support/vectors.ts";

const log = new MemoryLog(Array.from({ length: 777 }, (_, i) => `entry ${i}`));

/** Around each power of two and each end of a tile, where the shapes change. */
const sizes = [1, 2, 3, 4, 5, 7, 8, 9, 31, 33, 127, 128, 129, 255, 256, 257, 511, 512, 513, 768, 777];

t.test("roots and inclusion proofs from tiles are those of the definition", async (t) => {
  const wrong: unknown[] = [];
  for (const size of sizes) {
    const tree = new TileTree(log, size);
    if (toHex(await tree.root()) !== toHex(log.root(size))) wrong.push({ size });
    for (let index = 0; index < size; index += size < 40 ? 1 : 37) {
      const proof = await tree.inclusionProof(index);
      const naive = naivePath(index, log.leaves(size));
      const same = proof.map(toHex).join() === naive.map(toHex).join();
      if (!same || !verifyInclusion(index, size, log.leaves()[index]!, proof, log.root(size)))
        wrong.push({ size, index });
    }
  }
  t.same(wrong, []);
});

t.test("consistency proofs from tiles are those of the definition", async (t) => {
  const wrong: unknown[] = [];
  for (const second of sizes) {
    const tree = new TileTree(log, second);
    for (const first of [0, ...sizes, 100, 300, 600].filter((first) => first <= second)) {
      const proof = await tree.consistencyProof(first);
      const naive = naiveProof(first, log.leaves(second));
      const same = proof.map(toHex).join() === naive.map(toHex).join();
      const verified = verifyConsistency(first, second, proof, log.root(first), log.root(second));
      if (!same || !verified) wrong.push({ first, second });
    }
  }
  t.same(wrong, []);
});

t.test("a frontier gives the root at each size, and goes on from what was kept of it", async (t) => {
  const wrong: number[] = [];
  let frontier = new Frontier();
  for (let size = 1; size <= 300; size++) {
    frontier.append(leafHash(Buffer.from(`entry ${size - 1}`)));
    if (toHex(frontier.root()) !== toHex(log.root(size))) wrong.push(size);
    frontier = Frontier.from(
      size,
      frontier.nodes().map((node) => node.hash),
    )!;
  }
  t.same(wrong, []);
  t.equal(Frontier.from(5, [new Uint8Array(32)]), undefined, "too few hashes for the size");
  t.equal(Frontier.from(4, [new Uint8Array(32), new Uint8Array(32)]), undefined, "too many");
});

t.test("a frontier takes the entries of a full tile at once", async (t) => {
  const entries = log.entries;
  const single: unknown[] = [];
  const whole: unknown[] = [];
  const sink =
    (list: unknown[]) =>
    (height: number, position: number, hash: Uint8Array): void => {
      if (height >= 8) list.push({ height, position, hash: toHex(hash) });
    };
  const slow = new Frontier();
  const fast = new Frontier();
  for (let first = 0; first < entries.length; first += 256) {
    const { leaves, root } = hashEntries(entries.slice(first, first + 256));
    t.equal(root === undefined, first === 768, "only a full bundle has a root");
    const list = Array.from({ length: leaves.length / 32 }, (_, i) => leaves.slice(i * 32, i * 32 + 32));
    for (const leaf of list) slow.append(leaf, sink(single));
    if (root !== undefined) fast.appendSubtree(8, root, sink(whole));
    else for (const leaf of list) fast.append(leaf, sink(whole));
  }
  t.same(whole, single);
  t.equal(whole.length, 4);
  t.equal(toHex(fast.root()), toHex(log.root(777)));
  t.throws(() => fast.appendSubtree(8, new Uint8Array(32)), /no subtree of 256 entries begins at 777/);
});

t.test("a frontier names each perfect subtree that an entry completes", async (t) => {
  const seen: string[] = [];
  const frontier = new Frontier();
  for (const leaf of log.leaves(6)) frontier.append(leaf, (height, position) => seen.push(`${height}:${position}`));
  t.same(seen, ["0:0", "0:1", "1:0", "0:2", "0:3", "1:1", "2:0", "0:4", "0:5", "1:2"]);
});
