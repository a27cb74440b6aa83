import t from "tap";
import { type AuditOptions, auditLog } from "../../src/audit/audit.ts";
import type { AuditReport } from "../../src/audit/reports.ts";
import { parseVerifierKey } from "../../src/formats/key.ts";
import { testKey } from "../support/keys.ts";
import { MemoryLog } from "../support/memory-log.ts";
import { naiveLeaf, sha256 } from "../support/naive-tree.ts";
import { TestSource } from "../support/test-source.ts";

/** A log that grows while one waits: at each pause what `atPause` appends. Time passes only in the pauses. */
async function auditWaiting(
  log: MemoryLog,
  source: TestSource,
  waitMs: number,
  atPause: (pause: number) => void,
  options: Partial<AuditOptions> = {},
): Promise<AuditReport & { pauses: number }> {
  let now = source.now;
  let pauses = 0;
  const report = await auditLog(log, {
    key: parseVerifierKey(log.key.vkey),
    now: () => now,
    waitMs,
    sleep: async (ms) => {
      now += ms;
      atPause(++pauses);
    },
    ...options,
  });
  return { ...report, pauses };
}

function running(): TestSource {
  const source = new TestSource();
  source.start();
  source.session(1);
  source.statement(1);
  return source;
}

/** @returns c(n) over entries that are not what the source wrote */
function chainOf(entries: readonly string[]): Uint8Array {
  return entries.reduce(
    (chain, entry) => sha256(chain, naiveLeaf(Buffer.from(entry))),
    new Uint8Array(32) as Uint8Array,
  );
}

t.test("waits until the entries that were there are sealed", async (t) => {
  const source = running();
  const log = new MemoryLog(source.entries);
  const left: number[] = [];
  const report = await auditWaiting(
    log,
    source,
    10000,
    (pause) => {
      source.statement(1);
      if (pause === 3) source.seal();
      source.statement(1);
      log.append(...source.entries.slice(log.size));
    },
    { onWait: (ms) => left.push(ms) },
  );
  t.match(report, { verdict: "PASS", findings: [], size: 3, read: 10, pauses: 3 });
  t.same(left, [10000, 9000, 8000]);
  t.equal(report.keep?.audit?.size, 10);
  t.equal(report.checkpoint?.size, 10, "the last checkpoint that was verified is kept");
  t.match(
    report.conclusion,
    /^Established: the first 3 entries are .* Not established: .*whether the 7 that came meanwhile are sealed/,
  );
});

t.test("waits no longer than it is told to", async (t) => {
  const source = running();
  const report = await auditWaiting(new MemoryLog(source.entries), source, 2500, () => undefined);
  t.match(report, { verdict: "NOT PROVEN", findings: [{ code: "unsealed", index: 0 }], pauses: 3 });
  const notAtAll = await auditWaiting(new MemoryLog(source.entries), source, 0, () => undefined);
  t.match(notAtAll, { verdict: "NOT PROVEN", pauses: 0 });
});

t.test("S9: what the previous of an epoch covers is sealed when that epoch is", async (t) => {
  const source = running();
  // Whoever has the log's key alone: the statement is not the source's, nor the start of the epoch behind it.
  const thief = running();
  thief.entries[2] = source.entries[2]!.replaceAll("alice", "mallo");
  thief.chain = chainOf(thief.entries);
  thief.start();
  const log = new MemoryLog(thief.entries.slice(0, 3));
  const report = await auditWaiting(log, thief, 3000, () => log.append(...thief.entries.slice(log.size)));
  t.match(report, { verdict: "NOT PROVEN", findings: [{ code: "unsealed", index: 0 }], size: 3, read: 4 });
  // The source itself: its next epoch, with a seal.
  source.start();
  const crashed = new MemoryLog(source.entries.slice(0, 3));
  const sealed = await auditWaiting(crashed, source, 3000, (pause) => {
    if (pause === 2) source.seal();
    crashed.append(...source.entries.slice(crashed.size));
  });
  t.match(sealed, { verdict: "PASS", findings: [], size: 3, read: 5, pauses: 2 });
});

t.test("a lie that comes while waiting is found", async (t) => {
  const source = running();
  const log = new MemoryLog(source.entries);
  const report = await auditWaiting(log, source, 5000, () => {
    source.seal();
    const forged = source.entries.with(2, source.entries[2]!.replace("alice", "mallo"));
    const fork = new MemoryLog(forged);
    log.served.set("checkpoint", fork.note());
    log.served.set("tile/0/000.p/4", fork.make(0, 0, 4));
    log.served.set("tile/entries/000.p/4", fork.make("entries", 0, 4));
  });
  t.match(report, { verdict: "FAIL", findings: [{ code: "inconsistent" }] });
  t.match(report.keep, { checkpoint: { size: 3 }, audit: null }, "the one of the two that was there first");
  t.match(report.evidence, { kept: { size: 3 }, seen: { size: 4 } });
});

t.test("entries that are wrong behind the ones audited count, when they were read for their seals", async (t) => {
  const source = running();
  const log = new MemoryLog(source.entries);
  const report = await auditWaiting(log, source, 5000, () => {
    source.write("source.seal", { seal: source.key.note(source.sealText().replace("statements 1", "statements 2")) });
    log.append(source.entries.at(-1)!);
  });
  t.match(report, { verdict: "FAIL", findings: [{ code: "seal_mismatch", index: 3 }] });
});

t.test("S10: silence begins behind one and a half idle intervals", async (t) => {
  const source = running();
  source.seal();
  const log = new MemoryLog(source.entries);
  const at = (ms: number): Promise<AuditReport> =>
    auditLog(log, { key: parseVerifierKey(log.key.vkey), now: () => source.now + ms });
  t.match(await at(90000), { verdict: "PASS" });
  t.match(await at(90001), { verdict: "NOT PROVEN", findings: [{ code: "silent", index: 3 }] });
  source.stop();
  log.append(source.entries.at(-1)!);
  t.match(await at(10 ** 10), { verdict: "FAIL" }, "N4: the session is still open");
});

t.test("S7: the last seal does not pass for the end of its epoch", async (t) => {
  const source = running();
  source.sessionEnd(1);
  source.seal();
  const last = JSON.parse(source.entries.at(-1)!) as Record<string, unknown>;
  const stop = JSON.stringify({ ...last, kind: "source.stop", reason: "shutdown" });
  const log = new MemoryLog([...source.entries.slice(0, -1), stop]);
  const report = await auditLog(log, { key: parseVerifierKey(log.key.vkey), now: () => source.now + 10 ** 10 });
  t.match(report, { verdict: "FAIL", findings: [{ code: "seal_mismatch", index: 4 }] });
});

t.test("S10: the last seal's entry is covered by nothing, so its time may be any", async (t) => {
  const source = running();
  source.seal();
  const key = parseVerifierKey(new MemoryLog().key.vkey);
  const dated = (ms: number): MemoryLog => {
    const last = JSON.parse(source.entries[3]!) as Record<string, unknown>;
    const time = `${new Date(source.now + ms).toISOString().slice(0, 23)}000Z`;
    return new MemoryLog(source.entries.with(3, JSON.stringify({ ...last, time })));
  };
  const at = (log: MemoryLog): Promise<AuditReport> => auditLog(log, { key, now: () => source.now });
  t.match(await at(dated(300_000)), { verdict: "PASS" });
  const ahead = await at(dated(300_001));
  t.match(ahead, { verdict: "NOT PROVEN", findings: [{ code: "silent", index: 3, message: /ahead of this clock/ }] });
  t.match(await at(dated(10 ** 12)), { verdict: "NOT PROVEN", findings: [{ code: "silent" }] });
});

t.test("S10: what comes while one waits is heard once it is sealed", async (t) => {
  const silent = running();
  silent.seal();
  const other = new TestSource("proxy-b.example");
  const later = silent.now + 3_600_000;
  other.now = later;
  other.start();
  other.seal();
  const late = JSON.stringify({
    ...JSON.parse(silent.entries[2]!),
    seq: 4,
    n: 2,
    time: JSON.parse(other.entries[0]!).time,
  });
  const history = (): MemoryLog => new MemoryLog([...silent.entries.slice(0, 4), other.entries[0]!]);
  const forged = history();
  const report = await auditWaiting(forged, other, 5000, () => forged.append(late, other.entries[1]!));
  t.match(report, { verdict: "NOT PROVEN", findings: [{ code: "silent", index: 3 }], size: 5, read: 7 });
  t.equal(report.findings.length, 1);
  // The source itself, with a seal.
  silent.now = later;
  silent.statement(1);
  silent.seal();
  const honest = history();
  const passed = await auditWaiting(honest, other, 5000, () =>
    honest.append(...silent.entries.slice(4), other.entries[1]!),
  );
  t.match(passed, { verdict: "PASS", findings: [], size: 5, read: 8 });
});

t.test("S12: a source whose key was given and that has no entry", async (t) => {
  const source = running();
  source.seal();
  const hidden = new TestSource("proxy-b.example");
  const pins = new Map([source, hidden].map(({ key }) => [key.name, parseVerifierKey(key.vkey)]));
  const log = new MemoryLog(source.entries);
  const audit = (): Promise<AuditReport> =>
    auditLog(log, { key: parseVerifierKey(log.key.vkey), now: () => source.now, pins });
  const report = await audit();
  t.match(report, { verdict: "NOT PROVEN", findings: [{ code: "source_missing", source: "proxy-b.example" }] });
  t.equal(report.findings.length, 1);
  t.equal(report.sources[0]?.key, "pinned");
  hidden.start();
  hidden.seal();
  log.append(...hidden.entries);
  t.match(await audit(), { verdict: "PASS", findings: [] });
  t.match(
    await auditLog(new MemoryLog([]), { key: parseVerifierKey(log.key.vkey), pins }),
    { verdict: "NOT PROVEN", findings: [{ code: "source_missing" }, { code: "source_missing" }] },
    "also in an empty log",
  );
});

t.test("S13: a key that is given later than the audit that learned another", async (t) => {
  const source = running();
  source.seal();
  const log = new MemoryLog(source.entries);
  const key = parseVerifierKey(log.key.vkey);
  const first = await auditLog(log, { key, now: () => source.now });
  t.equal(first.sources[0]?.key, "learned");
  t.match(first.conclusion, /the key of proxy-a\.example is the one that its own first entry names/);
  const pins = new Map([[source.key.name, parseVerifierKey(new TestSource("proxy-b.example").key.vkey)]]);
  const second = await auditLog(log, { key, now: () => source.now, pins, kept: first.keep });
  t.match(second, { verdict: "FAIL", findings: [{ code: "source_key_mismatch", index: 0 }] });
});

t.test("a change of the source's key, audited in two parts", async (t) => {
  const source = running();
  source.seal();
  const before = [...source.entries];
  const first = source.key;
  const [second, third] = [Buffer.alloc(32, 2), Buffer.alloc(32, 3)].map((seed) => testKey(first.name, seed));
  source.rotate(second!);
  source.seal();
  const log = new MemoryLog(before);
  const key = parseVerifierKey(log.key.vkey);
  const pin = (vkey: string) => new Map([["proxy-a.example", parseVerifierKey(vkey)]]);
  const now = () => source.now;
  const half = await auditLog(log, { key, now });
  t.equal(half.verdict, "PASS");
  const early = await auditLog(log, { key, now, pins: pin(second!.vkey) });
  t.match(early.findings, [{ code: "source_key_mismatch", index: 0 }], "the key given is not there yet");
  const whole = new MemoryLog(source.entries);
  for (const vkey of [first.vkey, second!.vkey]) {
    const rest = await auditLog(whole, { key, now, kept: half.keep, pins: pin(vkey) });
    t.match(rest, {
      verdict: "PASS",
      findings: [],
      sources: [{ key: "pinned", keys: 2, keyId: parseVerifierKey(second!.vkey).id }],
    });
    const again = await auditLog(whole, { key, now, kept: rest.keep, pins: pin(vkey) });
    t.equal(again.verdict, "PASS");
  }
  const other = await auditLog(whole, { key, now, kept: half.keep, pins: pin(third!.vkey) });
  t.match(other, {
    verdict: "FAIL",
    findings: [{ code: "source_key_mismatch", index: 0 }],
    sources: [{ key: "learned" }],
  });
});
