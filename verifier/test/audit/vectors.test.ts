import { auditLog } from "../../src/audit/audit.ts";
import { verifyCheckpoint } from "../../src/formats/checkpoint.ts";
import { parseVerifierKey } from "../../src/formats/key.ts";
import { testKey } from "../support/keys.ts";
import { MemoryLog } from "../support/memory-log.ts";
import { checkCases, fromHex, readVectors } from "../support/vectors.ts";

type Op = { op: string; index: number; offset: number; mask: number; entry: string; with: number; size: number };
type Outcome = { desc: string; now: string; verdict: string };
const vectors = readVectors<{
  origin: string;
  vkey: string;
  seed: string;
  entries: string[];
  checkpoints: { size: number; note: string }[];
  audits: (Outcome & { size: number; findings: { code: string; index: number }[] })[];
  mutations: (Outcome & {
    ops: Op[];
    remake: "bundles" | "tiles" | "checkpoint";
    kept: number | null;
    wantErr?: string;
    index?: number;
  })[];
}>("log.json");

const key = parseVerifierKey(vectors.vkey);
const logKey = testKey(vectors.origin, fromHex(vectors.seed));

function noteOf(size: number): Uint8Array {
  return Buffer.from(vectors.checkpoints.find((checkpoint) => checkpoint.size === size)!.note);
}

checkCases("checkpoints of the log", vectors.checkpoints as { size: number; note: string; desc?: string }[], (one) => ({
  size: verifyCheckpoint(noteOf(one.size), key).size,
  note: Buffer.from(new MemoryLog(vectors.entries.slice(0, one.size), logKey).note()).toString(),
}));

checkCases("audits", vectors.audits, async ({ size, now }) => {
  const log = new MemoryLog(vectors.entries, logKey);
  log.served.set("checkpoint", noteOf(size));
  const { verdict, findings } = await auditLog(log, { key, now: () => Date.parse(now) });
  return { verdict, findings: findings.map(({ code, index }) => ({ code, index })) };
});

function apply(entries: Buffer[], { op, index, offset, mask, entry, size, ...rest }: Op): void {
  if (op === "flip") entries[index]![offset] = entries[index]![offset]! ^ mask;
  else if (op === "replace") entries[index] = Buffer.from(entry);
  else if (op === "delete") entries.splice(index, 1);
  else if (op === "insert") entries.splice(index, 0, Buffer.from(entry));
  else if (op === "swap") [entries[index], entries[rest.with]] = [entries[rest.with]!, entries[index]!];
  else if (op === "truncate") entries.length = size;
  else throw new Error(`an operation that spec/vectors/README.md does not have: ${op}`);
}

const mutations = vectors.mutations.map(({ wantErr, index, ...mutation }) => {
  return { ...mutation, first: wantErr === undefined ? undefined : { code: wantErr, index } };
});

checkCases("mutations", mutations, async ({ ops, remake, kept, now, first }) => {
  const entries = vectors.entries.map((entry) => Buffer.from(entry));
  for (const op of ops) apply(entries, op);
  const log = new MemoryLog(remake === "bundles" ? vectors.entries : entries, logKey);
  if (remake === "bundles") log.showInBundles(entries);
  if (remake === "tiles") log.served.set("checkpoint", noteOf(vectors.entries.length));
  const { verdict, findings } = await auditLog(log, {
    key,
    now: () => Date.parse(now),
    kept: kept === null ? undefined : { checkpoint: verifyCheckpoint(noteOf(kept), key), audit: null },
  });
  const found = findings[0];
  // Where a mutation names no index, whether one can be told is left to the verifier.
  const index = first?.index === undefined ? undefined : found?.index;
  return { verdict, first: found === undefined ? undefined : { code: found.code, index } };
});
