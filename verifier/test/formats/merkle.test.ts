import t from "tap";
import { Frontier } from "../../src/formats/frontier.ts";
import { chainHash, leafHash, nodeHash, verifyConsistency, verifyInclusion } from "../../src/formats/merkle.ts";
import { naiveLeaf, sha256 } from "../support/naive-tree.ts";
import { type Bytes, bytesOf, checkCases, fromHex, readVectors, toHex } from "../support/vectors.ts";

type Proof = { desc: string; proof: string[]; wantErr?: string };
const merkle = readVectors<{
  leafHashes: { desc: string; entry: Bytes; leafHash: string }[];
  nodes: { desc: string; left: string; right: string; node: string }[];
  trees: { desc: string; entries: Bytes[]; root: string }[];
  roots: { size: number; root: string }[];
}>("merkle.json");

function rootOf(entries: Iterable<Uint8Array>): string {
  const frontier = new Frontier();
  for (const entry of entries) frontier.append(leafHash(entry));
  return toHex(frontier.root());
}

checkCases("leaf hashes", merkle.leafHashes, ({ entry }) => ({ leafHash: toHex(leafHash(bytesOf(entry))) }));
checkCases("nodes", merkle.nodes, ({ left, right }) => ({ node: toHex(nodeHash(fromHex(left), fromHex(right))) }));
checkCases("trees", merkle.trees, ({ entries }) => ({ root: rootOf(entries.map(bytesOf)) }));
checkCases("roots", merkle.roots as { size: number; root: string; desc?: string }[], ({ size }) => ({
  root: rootOf(Array.from({ length: size }, (_, i) => Buffer.from(`entry ${i}`))),
}));

type Inclusion = Proof & { index: number; size: number; leafHash: string; root: string };
checkCases("inclusion", readVectors<{ cases: Inclusion[] }>("inclusion.json").cases, (one) => {
  const proof = one.proof.map(fromHex);
  const verified = verifyInclusion(one.index, one.size, fromHex(one.leafHash), proof, fromHex(one.root));
  return verified ? { desc: one.desc } : { wantErr: "inclusion_invalid" };
});

type Consistency = Proof & { size1: number; root1: string; size2: number; root2: string };
checkCases("consistency", readVectors<{ cases: Consistency[] }>("consistency.json").cases, (one) => {
  const proof = one.proof.map(fromHex);
  const verified = verifyConsistency(one.size1, one.size2, proof, fromHex(one.root1), fromHex(one.root2));
  return verified ? { desc: one.desc } : { wantErr: "inconsistent" };
});

t.test("hashes of every length around the ends of blocks, one after the other in the same memory", async (t) => {
  const lengths = [65535, ...Array.from({ length: 200 }, (_, n) => n), 1023, 4096, 65534, 65535, 65536, 70000, 3];
  const entries = lengths.map((length) => Uint8Array.from({ length }, (_, i) => (i * 31 + length) % 256));
  const wrong = entries.filter((entry) => toHex(leafHash(entry)) !== toHex(naiveLeaf(entry)));
  t.same(
    wrong.map(({ length }) => length),
    [],
  );
});

t.test("the roots of Certificate Transparency's test tree", async (t) => {
  const leaves = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
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
  const found = roots.map((_, i) => rootOf(leaves.slice(0, i + 1).map(fromHex)));
  t.same(found, roots);
});

t.test("leaf and chain hashes are those of Node's SHA-256, and their own copies", async (t) => {
  const entry = Buffer.alloc(65535, 7);
  const leaf = leafHash(entry);
  const other = leafHash(Buffer.from("other"));
  t.same(Buffer.from(leaf), naiveLeaf(entry));
  t.same(Buffer.from(chainHash(leaf, other)), sha256(leaf, other));
  t.same(Buffer.from(leafHash(Buffer.alloc(65536, 7))), naiveLeaf(Buffer.alloc(65536, 7)));
  t.same(Buffer.from(leaf), naiveLeaf(entry));
});
