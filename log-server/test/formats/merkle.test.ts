import { createHash } from "node:crypto";
import t from "tap";
import {
  consistencySpans,
  EMPTY_ROOT,
  foldPerfect,
  foldSubtrees,
  inclusionSpans,
  leafHash,
  nodeHash,
  RightEdge,
  type Span,
  subtreesOf,
} from "../../src/formats/merkle.ts";
import { type Bytes, bytesOf, vectors } from "../support/vectors.ts";

// The second way: RFC 6962 section 2.1 and RFC 9162 sections 2.1.3.2 and 2.1.4.2 as they are written, with BigInt.

const sha256 = (...parts: Uint8Array[]): Buffer => {
  const digest = createHash("sha256");
  for (const part of parts) digest.update(part);
  return digest.digest();
};
const leaf = (entry: Uint8Array): Buffer => sha256(Buffer.of(0), entry);
const node = (left: Uint8Array, right: Uint8Array): Buffer => sha256(Buffer.of(1), left, right);

function mth(leaves: readonly Buffer[]): Buffer {
  if (leaves.length === 0) return sha256();
  if (leaves.length === 1) return leaves[0]!;
  let k = 1;
  while (k * 2 < leaves.length) k *= 2;
  return node(mth(leaves.slice(0, k)), mth(leaves.slice(k)));
}

function includes(index: number, size: number, hash: Buffer, proof: readonly Buffer[], root: Buffer): boolean {
  if (index >= size) return false;
  let fn = BigInt(index);
  let sn = BigInt(size) - 1n;
  let r = hash;
  for (const p of proof) {
    if (sn === 0n) return false;
    if (fn % 2n === 1n || fn === sn) {
      r = node(p, r);
      while (fn % 2n === 0n && fn !== 0n) {
        fn /= 2n;
        sn /= 2n;
      }
    } else r = node(r, p);
    fn /= 2n;
    sn /= 2n;
  }
  return sn === 0n && r.equals(root);
}

function consistent(size1: number, size2: number, proof: readonly Buffer[], root1: Buffer, root2: Buffer): boolean {
  if (size1 === 0) return proof.length === 0;
  if (size1 === size2) return proof.length === 0 && root1.equals(root2);
  const path = Number.isInteger(Math.log2(size1)) ? [root1, ...proof] : [...proof];
  let fn = BigInt(size1) - 1n;
  let sn = BigInt(size2) - 1n;
  while (fn % 2n === 1n) {
    fn /= 2n;
    sn /= 2n;
  }
  let fr = path.shift();
  if (fr === undefined) return false;
  let sr = fr;
  for (const c of path) {
    if (sn === 0n) return false;
    if (fn % 2n === 1n || fn === sn) {
      fr = node(c, fr);
      sr = node(c, sr);
      while (fn % 2n === 0n && fn !== 0n) {
        fn /= 2n;
        sn /= 2n;
      }
    } else sr = node(sr, c);
    fn /= 2n;
    sn /= 2n;
  }
  return fr.equals(root1) && sr.equals(root2) && sn === 0n;
}

const LEAVES = Array.from({ length: 300 }, (_, i) => leaf(Buffer.from(`entry ${i}`)));
const ROOTS = Array.from({ length: 301 }, (_, size) => mth(LEAVES.slice(0, size)));
const spanRoots = new Map<string, Buffer>();
function spanRoot({ start, end }: Span): Buffer {
  const key = `${start}-${end}`;
  const root = spanRoots.get(key) ?? mth(LEAVES.slice(start, end));
  spanRoots.set(key, root);
  return root;
}

t.test("the golden roots of eight entries", async (t) => {
  const entries = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
  const roots = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
  ];
  t.equal(EMPTY_ROOT.toString("hex"), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  const edge = new RightEdge(0, []);
  t.same(edge.root(), EMPTY_ROOT);
  for (const [i, entry] of entries.entries()) {
    edge.append(leafHash(Buffer.from(entry, "hex")), () => {});
    t.equal(edge.root().toString("hex"), roots[i]);
  }
});

t.test("the right edge agrees with the recursive definition, and can be taken up at any size", async (t) => {
  const edge = new RightEdge(0, []);
  let bad = 0;
  for (let size = 0; size < 300; size += 1) {
    const roots = subtreesOf({ start: 0, end: size }).map(({ height, index }) =>
      spanRoot({ start: index * 2 ** height, end: (index + 1) * 2 ** height }),
    );
    const resumed = new RightEdge(size, roots);
    for (const each of [edge, resumed]) {
      if (!each.root().equals(ROOTS[size]!) || each.size !== size) bad += 1;
      each.append(LEAVES[size]!, (height, root) => {
        const end = size + 1;
        if (!root.equals(spanRoot({ start: end - 2 ** height, end }))) bad += 1;
      });
      if (!each.root().equals(ROOTS[size + 1]!)) bad += 1;
    }
    if (!foldSubtrees(roots).equals(ROOTS[size]!)) bad += 1;
  }
  t.equal(bad, 0);
});

t.test("leaves appended many at a time make the same edge as one by one, wherever they are cut", async (t) => {
  const count = 70_000;
  const leaves = Buffer.concat(Array.from({ length: count }, (_, i) => leafHash(Buffer.from(String(i)))));
  const told = (append: (edge: RightEdge, note: (height: number, root: Buffer) => void) => void): unknown[] => {
    const edge = new RightEdge(0, []);
    const heights: string[] = [];
    append(edge, (height, root) => {
      if (height % 8 === 0) heights.push(`${height} ${root.toString("hex")}`);
    });
    return [edge.size, edge.root().toString("hex"), heights];
  };
  const one = told((edge, note) => {
    for (let i = 0; i < count; i += 1) edge.append(leaves.subarray(i * 32, i * 32 + 32), note);
  });
  for (const step of [1, 7, 255, 256, 257, 4096, count]) {
    const many = told((edge, note) => {
      for (let i = 0; i < count; i += step) edge.appendAll(leaves.subarray(i * 32, (i + step) * 32), note);
    });
    t.same(many, one, `${step} at a time`);
  }
});

t.test("every inclusion proof up to 300 entries verifies, and not for another entry", async (t) => {
  let bad = 0;
  for (let size = 1; size <= 300; size += size < 40 ? 1 : 13) {
    for (let index = 0; index < size; index += 1) {
      const proof = inclusionSpans(index, size).map(spanRoot);
      if (!includes(index, size, LEAVES[index]!, proof, ROOTS[size]!)) bad += 1;
      if (includes(index, size, LEAVES[(index + 1) % 300]!, proof, ROOTS[size]!)) bad += 1;
    }
  }
  t.equal(bad, 0);
});

t.test("every consistency proof up to 300 entries verifies, and not for another root", async (t) => {
  let bad = 0;
  for (let second = 1; second <= 300; second += second < 40 ? 1 : 13) {
    for (let first = 0; first <= second; first += 1) {
      const proof = consistencySpans(first, second).map(spanRoot);
      if (!consistent(first, second, proof, ROOTS[first]!, ROOTS[second]!)) bad += 1;
      if (first > 0 && consistent(first, second, proof, ROOTS[first - 1]!, ROOTS[second]!)) bad += 1;
    }
  }
  t.equal(bad, 0);
});

t.test("spans and subtrees of trees beyond 2^32", async (t) => {
  const size = Number.MAX_SAFE_INTEGER;
  t.equal(subtreesOf({ start: 0, end: size }).length, 53);
  t.equal(inclusionSpans(size - 1, size).length, 52);
  t.same(inclusionSpans(0, 2 ** 40 + 1), [
    ...Array.from({ length: 40 }, (_, i) => ({ start: 2 ** i, end: 2 ** (i + 1) })),
    { start: 2 ** 40, end: 2 ** 40 + 1 },
  ]);
  t.same(consistencySpans(2 ** 40, 2 ** 40 + 1), [{ start: 2 ** 40, end: 2 ** 40 + 1 }]);
});

t.test("foldPerfect of 256 hashes is their root", async (t) => {
  t.same(foldPerfect(Buffer.concat(LEAVES.slice(0, 256))), ROOTS[256]);
  t.same(foldPerfect(LEAVES[7]!), LEAVES[7]);
});

t.test("vectors", async (t) => {
  interface File {
    leafHashes: { desc: string; entry: Bytes; leafHash: string }[];
    nodes: { left: string; right: string; node: string }[];
    trees: { desc: string; entries: Bytes[]; root: string }[];
    roots: { size: number; root: string }[];
  }
  const { leafHashes, nodes, trees, roots } = vectors<File>("merkle.json");
  for (const { desc, entry, leafHash: expected } of leafHashes) {
    t.equal(leafHash(bytesOf(entry)).toString("hex"), expected, desc);
  }
  for (const each of nodes) {
    t.equal(nodeHash(Buffer.from(each.left, "hex"), Buffer.from(each.right, "hex")).toString("hex"), each.node);
  }
  for (const { desc, entries, root } of trees) {
    const edge = new RightEdge(0, []);
    for (const entry of entries) edge.append(leafHash(bytesOf(entry)), () => {});
    t.equal(edge.root().toString("hex"), root, desc);
  }
  const largest = Math.max(...roots.map(({ size }) => size));
  const found = new Map<number, string>();
  const edge = new RightEdge(0, []);
  for (let size = 0; size <= largest; size += 1) {
    if (roots.some((each) => each.size === size)) found.set(size, edge.root().toString("hex"));
    edge.append(leafHash(Buffer.from(`entry ${size}`)), () => {});
  }
  t.same(
    roots.map(({ size }) => found.get(size)),
    roots.map(({ root }) => root),
  );
});
