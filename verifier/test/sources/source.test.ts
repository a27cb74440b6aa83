import t from "tap";
import { auditLog } from "../../src/audit/audit.ts";
import { parseVerifierKey, type VerifierKey } from "../../src/formats/key.ts";
import { chainHash, leafHash } from "../../src/formats/merkle.ts";
import { testKey } from "../support/keys.ts";
import { MemoryLog } from "../support/memory-log.ts";
import { TestSource } from "../support/test-source.ts";
import { checkCases, readVectors } from "../support/vectors.ts";

type Case = {
  desc: string;
  source: string;
  vkey: string | null;
  entries: string[];
  now: string;
  chain?: string[];
  verdict: string;
  findings: { code: string; position: number }[];
};

const { cases } = readVectors<{ cases: Case[] }>("chains.json");

checkCases("chains", cases, async ({ desc, source, vkey, entries, now, verdict: wanted }) => {
  const log = new MemoryLog(entries);
  const pins = new Map<string, VerifierKey>(vkey === null ? [] : [[source, parseVerifierKey(vkey)]]);
  const clock = (): number => Date.parse(now);
  const { verdict, findings } = await auditLog(log, { key: parseVerifierKey(log.key.vkey), pins, now: clock });
  const found = findings.map(({ code, index }) => ({ code, position: index! }));
  // Of a FAIL the vectors have the first finding only.
  return { desc, verdict, findings: wanted === "FAIL" ? found.slice(0, 1) : found };
});

checkCases(
  "chain values",
  cases.filter(({ chain }) => chain !== undefined),
  ({ entries }) => {
    let value: Uint8Array = new Uint8Array(32);
    const chain = [Buffer.from(value).toString("base64")];
    for (const entry of entries.filter((entry) => JSON.parse(entry).epoch === 1)) {
      value = chainHash(value, leafHash(Buffer.from(entry)));
      chain.push(Buffer.from(value).toString("base64"));
    }
    return { chain };
  },
);

async function findingsOf(source: TestSource, pins?: ReadonlyMap<string, VerifierKey>): Promise<string[]> {
  const log = new MemoryLog(source.entries);
  const options = {
    key: parseVerifierKey(log.key.vkey),
    now: () => source.now,
    ...(pins === undefined ? {} : { pins }),
  };
  const { findings } = await auditLog(log, options);
  return findings.map(({ code, index }) => `${code} ${index}`);
}

t.test("one fault is one finding: what only follows from it is not reported again", async (t) => {
  const forged = new TestSource();
  forged.start();
  forged.session(1);
  forged.statement(1);
  forged.write("source.seal", { seal: forged.key.note(forged.sealText().replace("sessions 1", "sessions 2")) });
  t.same(await findingsOf(forged), ["seal_mismatch 3"], "its entries are not reported as unsealed as well");

  const pinned = new TestSource();
  pinned.run(250);
  const pins = new Map([[pinned.key.name, parseVerifierKey(new TestSource("proxy-b.example").key.vkey)]]);
  t.same(await findingsOf(pinned, pins), ["source_key_mismatch 0"], "its seals are not reported as well");

  const broken = new TestSource();
  broken.start();
  broken.session(1);
  broken.statement(1);
  broken.statement(1, { rows: "many" });
  broken.statement(1);
  broken.sessionEnd(1);
  broken.stop();
  t.same(await findingsOf(broken), ["entry_malformed 3"], "nor what its session adds up to");

  const lost = new TestSource();
  lost.run(5);
  lost.entries.splice(3, 1);
  t.same(await findingsOf(lost), ["sequence_gap 3"], "nor seals, chain and totals behind a gap");
});

t.test("behind a gap the next seal says where the source stands, and what follows is held against it", async (t) => {
  const write = (): TestSource => {
    const source = new TestSource();
    source.start();
    source.session(1);
    for (let i = 0; i < 3; i++) source.statement(1);
    source.seal();
    for (let i = 0; i < 3; i++) source.statement(1);
    source.seal();
    source.sessionEnd(1);
    source.stop();
    return source;
  };
  const lacking = write();
  lacking.entries.splice(3, 1);
  t.same(await findingsOf(lacking), ["sequence_gap 3"]);
  // Whoever has acknowledged the gap has not looked into this.
  const changed = write();
  changed.entries[7] = changed.entries[7]!.replace("alice", "mallo");
  changed.entries.splice(3, 1);
  t.same(await findingsOf(changed), ["sequence_gap 3", "seal_mismatch 8", "seal_mismatch 10"]);
  const forged = write();
  forged.entries[5] = forged.entries[5]!.replace("statements 3", "statements 4");
  forged.entries.splice(3, 1);
  t.same(await findingsOf(forged), ["sequence_gap 3", "seal_invalid 4"], "a seal that nobody signed says nothing");
  // The next epoch says how this one ended.
  const ended = write();
  ended.start();
  ended.stop();
  const previous = JSON.parse(ended.entries.at(-2)!) as { previous: object };
  const chain = Buffer.alloc(32).toString("base64");
  const other = { ...previous, previous: { ...previous.previous, chain } };
  ended.entries.splice(-2, 1, JSON.stringify(other));
  ended.entries.splice(3, 1);
  t.same((await findingsOf(ended)).slice(0, 2), ["sequence_gap 3", "epoch_break 11"]);
});

t.test("seals are not looked at where no key is in force, and the entries stay without one", async (t) => {
  const source = new TestSource();
  source.start();
  source.stop();
  source.key = testKey(source.key.name, Buffer.alloc(32, 7));
  source.start();
  source.session(1);
  source.statement(1);
  source.seal();
  t.same(await findingsOf(source), ["source_key_mismatch 2", "unsealed 2"]);
  const none = new TestSource();
  none.start({ vkey: "none" });
  none.rotate(testKey(none.key.name, Buffer.alloc(32, 7)));
  none.seal();
  t.same(await findingsOf(none), ["source_key_mismatch 0", "unsealed 0"], "nor does a key hand over that is none");
});

t.test("a relaxed source is named with its window, and is no finding", async (t) => {
  const source = new TestSource();
  source.start({ durability: { reads: "relaxed", others: "before-execute", window_ms: 200 } });
  source.stop();
  const log = new MemoryLog(source.entries);
  const report = await auditLog(log, { key: parseVerifierKey(log.key.vkey), now: () => source.now });
  t.equal(report.verdict, "PASS");
  t.same(report.sources[0]!.relaxed, { epochs: 1, window_ms: 200 });
  t.match(report.conclusion, /proxy-a\.example ran with relaxed durability.* 200 ms/);
});
