import t from "tap";
import { checkpointText } from "../../src/formats/checkpoint.ts";
import { formatProof } from "../../src/formats/evidence.ts";
import { parseSignerKey, parseVerifierKey, signNote } from "../../src/formats/note.ts";
import { Turn } from "../../src/intake/turn.ts";
import { MemoryStore } from "../../src/store/memory-store.ts";
import { TreeReader } from "../../src/tree/log.ts";
import { checked, newEdge } from "../support/tree.ts";
import { type Bytes, bytesOf, vectors } from "../support/vectors.ts";

t.test("a tlog-proof is written as the vectors have it", async (t) => {
  interface Case {
    desc: string;
    proof: Bytes;
    index?: number;
    hashes?: string[];
    checkpoint?: string;
    wantErr?: string;
  }
  let compared = 0;
  for (const { desc, proof, index, hashes, checkpoint, wantErr } of vectors<{ cases: Case[] }>("tlog-proofs.json")
    .cases) {
    // A log writes no extra line.
    if (wantErr !== undefined || bytesOf(proof).includes("\nextra ")) continue;
    const parts = hashes!.map((each) => Buffer.from(each, "hex"));
    t.equal(formatProof(index!, parts, checkpoint!), bytesOf(proof).toString(), desc);
    compared += 1;
  }
  t.ok(compared > 1);
});

t.test("the log of the vectors, entry by entry: every root and every signed note is the same", async (t) => {
  interface File {
    origin: string;
    vkey: string;
    seed: string;
    entries: string[];
    checkpoints: { size: number; root: string; note: string }[];
  }
  const { origin, vkey, seed, entries, checkpoints } = vectors<File>("log.json");
  const id = parseVerifierKey(vkey)!.id.toString("hex");
  const typed = Buffer.concat([Buffer.of(1), Buffer.from(seed, "hex")]).toString("base64");
  const key = parseSignerKey(`PRIVATE+KEY+${origin}+${id}+${typed}`)!;
  const store = new MemoryStore();
  const edge = newEdge();
  for (const { size, root, note } of checkpoints.toSorted((a, b) => a.size - b.size)) {
    const turn = new Turn(edge);
    const added = entries.slice(edge.size, size).map((entry) => ({ bytes: Buffer.from(entry), disclosures: [] }));
    const position = { epoch: 1, next: 1, chain: Buffer.alloc(32), vkey: "" };
    turn.add(checked("s", 1, 1, added), 0, position);
    await store.append(turn.finish());
    const head = await store.head();
    t.equal(head.root.toString("hex"), root, `size ${size}`);
    t.same(await new TreeReader(store).root(size), head.root);
    t.equal(signNote(checkpointText({ origin, ...head }), key), note, `the note of size ${size}`);
  }
});
