import t from "tap";
import { type AuditOptions, auditLog } from "../../src/audit/audit.ts";
import { type Kept, parseKept, serializeKept } from "../../src/audit/kept.ts";
import type { AuditReport } from "../../src/audit/reports.ts";
import { VerifierError } from "../../src/errors.ts";
import { parseVerifierKey } from "../../src/formats/key.ts";
import { hashEntries, type LeafHasher } from "../../src/reading/hash-entries.ts";
import type { LogReader } from "../../src/reading/log-reader.ts";
import { testKey } from "../support/keys.ts";
import { MemoryLog } from "../support/memory-log.ts";
import { TestSource } from "../support/test-source.ts";

const key = parseVerifierKey(testKey("log.example/vitrine").vkey);

function audit(log: MemoryLog, now: number, options: Partial<AuditOptions> = {}): Promise<AuditReport> {
  return auditLog(log, { key, now: () => now, ...options });
}

/** Through its text, as it is kept in a file. */
function kept(report: AuditReport): Kept {
  return parseKept(serializeKept(report.keep!, key), key);
}

function outcome({ verdict, findings, sources }: AuditReport): unknown {
  return JSON.parse(
    JSON.stringify({ verdict, findings: findings.map(({ code, index }) => ({ code, index })), sources }),
  );
}

/** Two sources side by side, three epochs each: an orderly end, a crash with a session open, a lost spool. */
function twoSources(): string[] {
  const all: TestSource[] = [new TestSource("proxy-a.example"), new TestSource("proxy-b.example")];
  for (const source of all) {
    source.run(60);
    source.start();
    source.session(1);
    source.session(2);
    for (let i = 0; i < 30; i++) source.statement(1 + (i % 2));
    source.sessionEnd(2);
    source.seal();
    source.statement(1);
    source.start();
    const crashed = { recovered: { epoch: 2 }, outcome: "unknown", tag: undefined, n: undefined, tx: undefined };
    source.session(1);
    source.write("statement", {
      ...JSON.parse(source.entries.at(-3)!),
      ...crashed,
      duration_us: undefined,
      ...place(source),
    });
    source.statement(1);
    source.sessionEnd(1);
    source.seal();
  }
  const [a, b] = all.map((source) => source.entries);
  return a!.flatMap((entry, i) => [entry, b![i]!]);
}

function place({ key, epoch, seq, now }: TestSource): object {
  const time = `${new Date(now + 1).toISOString().slice(0, 23)}000Z`;
  return { source: key.name, epoch, seq, time };
}

const entries = twoSources();
const end = Date.parse(JSON.parse(entries.at(-1)!).time);

t.test("an audit that is broken off is carried on from where all was verified", async (t) => {
  const whole = outcome(await audit(new MemoryLog(entries), end));
  const log = new MemoryLog(entries);
  const places: Kept[] = [];
  const onVerified = async (keep: Kept): Promise<void> => void places.push(structuredClone(keep));
  const first = await audit(log, end, { onVerified, verifiedEvery: 1 });
  t.same(outcome(first), whole);
  // After each bundle but the last.
  const bundles = Math.ceil(entries.length / 256);
  t.same(
    places.map(({ audit }) => audit!.size),
    Array.from({ length: bundles - 1 }, (_, i) => (i + 1) * 256),
  );
  for (const place of places) {
    const text = serializeKept(place, key);
    const later = new MemoryLog(entries);
    const second = await audit(later, end, { kept: parseKept(text, key) });
    t.equal(second.from, place.audit!.size);
    t.same(outcome(second), whole);
  }
  const again: number[] = [];
  await audit(log, end, {
    kept: kept(first),
    all: true,
    verifiedEvery: 1,
    onVerified: async ({ audit }) => void again.push(audit!.size),
  });
  t.same(again, [], "what was kept before is further");
});

t.test("nothing is kept half-way of what is not shown to be the signed tree's, or contradicts", async (t) => {
  const source = new TestSource();
  source.run(1000);
  const size = source.entries.length;
  const kept = async (log: MemoryLog, lie?: (log: MemoryLog) => void): Promise<number[]> => {
    const places: number[] = [];
    lie?.(log);
    const onVerified = async ({ audit }: Kept): Promise<void> => void places.push(audit!.size);
    const report = await audit(log, source.now, { onVerified, verifiedEvery: 1 });
    const last = report.verdict === "FAIL" ? (places.at(-1) ?? null) : log.size;
    t.equal(report.keep!.audit?.size ?? null, last, "behind a failure an audit begins where all was verified");
    return places;
  };
  const honest = new MemoryLog(source.entries);
  t.same(
    await kept(honest),
    [256, 512, 768].filter((at) => at < size),
  );
  // An entry of the second bundle is another one, and the tiles are served as they would be for it.
  const other = source.entries.with(300, source.entries[300]!.replace("SELECT", "UPDATE"));
  t.not(other[300], source.entries[300]);
  const forged = new MemoryLog(other);
  t.same(
    await kept(forged, (log) => void log.served.set("checkpoint", honest.note())),
    [],
    "all tiles were changed along",
  );
  const changed = new MemoryLog(source.entries);
  changed.showInBundles(other.map((entry) => Buffer.from(entry)));
  t.same(await kept(changed), [256], "the leaf hashes are the true ones");
  const cut = new MemoryLog(source.entries);
  const top = honest.make(1, 0, Math.floor(size / 256)) as Uint8Array;
  const wrong = Buffer.from(top);
  wrong[40]! ^= 1;
  t.same(await kept(cut, (log) => void log.served.set(`tile/1/000.p/${Math.floor(size / 256)}`, wrong)), []);
  const gap = new MemoryLog(source.entries.toSpliced(400, 1));
  t.same(await kept(gap), [256], "a sequence is left out behind the first bundle");
});

t.test("wherever an audit is cut in two, the second comes to what a whole one comes to", async (t) => {
  const whole = outcome(await audit(new MemoryLog(entries), end));
  t.match(whole, { verdict: "PASS", findings: [] });
  const wrong: unknown[] = [];
  for (let cut = 0; cut <= entries.length; cut += cut < 4 ? 1 : 13) {
    const log = new MemoryLog(entries.slice(0, cut));
    const first = await audit(log, end);
    log.append(...entries.slice(cut));
    log.asked.length = 0;
    const second = await audit(log, end, { kept: kept(first) });
    const same = JSON.stringify(outcome(second)) === JSON.stringify(whole);
    if (!same || second.from !== cut || first.verdict === "FAIL") wrong.push({ cut, second: outcome(second) });
  }
  t.same(wrong, []);
});

t.test("entries audited before are not read again, unless all are asked for", async (t) => {
  const source = new TestSource();
  source.run(800);
  const log = new MemoryLog(source.entries.slice(0, 700));
  const first = await audit(log, source.now);
  log.append(...source.entries.slice(700));
  log.asked.length = 0;
  const second = await audit(log, source.now, { kept: kept(first) });
  t.same([second.verdict, second.from, second.keptSize], ["PASS", 700, 700]);
  t.match(second.conclusion, /continues the tree of 700 entries kept from before/);
  t.match(second.conclusion, /the entries 0 to 699 were verified by an earlier audit/);
  t.notOk(log.asked.some((path) => /^tile\/entries\/00[01]/.test(path)));
  const all = await audit(log, source.now, { kept: kept(first), all: true });
  t.same([all.verdict, all.from], ["PASS", 0]);
});

t.test("nothing is kept on the way of another history, of less than was looked into, or of what is kept", async (t) => {
  const source = new TestSource();
  source.run(800);
  const log = new MemoryLog(source.entries);
  const first = await audit(new MemoryLog(source.entries.slice(0, 300)), source.now);
  const sizes = async (of: MemoryLog, options: Partial<AuditOptions>): Promise<number[]> => {
    const list: number[] = [];
    const onVerified = async ({ audit }: Kept): Promise<void> => void list.push(audit!.size);
    await audit(of, source.now, { kept: kept(first), onVerified, verifiedEvery: 1, ...options });
    return list;
  };
  t.same(await sizes(log, {}), [512, 768]);
  t.same(await sizes(log, { all: true }), [512, 768]);
  t.same(await sizes(log, { entries: "any" }), []);
  const other = new TestSource();
  other.now += 1000;
  other.run(800);
  t.same(await sizes(new MemoryLog(other.entries), {}), [], "the checkpoint that was kept is not replaced by a fork");
});

t.test("what an earlier audit has passed, and one of all contradicts, is read again", async (t) => {
  const source = new TestSource();
  source.run(400);
  const log = new MemoryLog(source.entries);
  const first = await audit(log, source.now);
  const forged = new MemoryLog(source.entries.with(5, source.entries[5]!.replace("alice", "mallo")));
  for (const path of ["tile/0/000", "tile/entries/000"]) {
    log.served.set(path, forged.make(path.startsWith("tile/0") ? 0 : "entries", 0, 256));
  }
  t.match(await audit(log, source.now, { kept: kept(first) }), { verdict: "PASS" }, "it is not read");
  const all = await audit(log, source.now, { kept: kept(first), all: true });
  t.match(all, { verdict: "FAIL", findings: [{ code: "root_mismatch" }], keep: { audit: null } });
  t.match(await audit(log, source.now, { kept: kept(all) }), { verdict: "FAIL", from: 0 });
  log.served.clear();
  t.match(await audit(log, source.now, { kept: kept(all) }), { verdict: "PASS", from: 0 });
  // What is new and wrong takes nothing back of what is not.
  source.start();
  source.write("source.seal", { seal: "none" });
  log.append(...source.entries.slice(log.size));
  const later = await audit(log, source.now, { kept: kept(first), all: true });
  t.match(later, { verdict: "FAIL", keep: { audit: { size: first.size } } });
});

t.test("declared gaps that were not shown one by one are not forgotten", async (t) => {
  const source = new TestSource();
  source.start();
  source.stop();
  for (let i = 0; i < 55; i++) {
    const chain = Buffer.from(source.chain).toString("base64");
    source.start({ previous: { epoch: source.epoch, next: source.seq, chain, clean: true, spool: "lost" } });
    source.stop();
  }
  const log = new MemoryLog(source.entries);
  const first = await audit(log, source.now);
  t.same([first.findings.length, first.omitted], [50, { declared_gap: 5 }]);
  // Whoever has acknowledged the fifty has not acknowledged all.
  const second = await audit(log, source.now, { kept: kept(first) });
  t.same([second.findings.length, second.omitted], [50, { declared_gap: 5 }]);
});

t.test("entries of kinds that are not known are counted, for nobody has looked into them", async (t) => {
  const source = new TestSource();
  source.start();
  source.write("statement2", { sql: "DROP TABLE account" });
  source.stop();
  const report = await audit(new MemoryLog(source.entries), source.now);
  t.match(report, { verdict: "PASS", unknown: 1 });
  t.match(report.conclusion, /1 entry is of a kind that this version does not know/);
});

t.test("an audit with nothing new reads the checkpoint, and no entry", async (t) => {
  const source = new TestSource();
  source.run(300);
  const log = new MemoryLog(source.entries);
  const size = source.entries.length;
  t.not(size % 256, 0);
  const first = await audit(log, source.now);
  log.asked.length = 0;
  t.match(await audit(log, source.now, { kept: kept(first) }), { verdict: "PASS", from: size, read: size });
  t.same(log.asked, ["checkpoint"]);
});

t.test("of a bundle that was read in part only the rest is hashed", async (t) => {
  const source = new TestSource();
  source.run(300);
  const log = new MemoryLog(source.entries.slice(0, 270));
  const first = await audit(log, source.now);
  log.append(...source.entries.slice(270));
  const hashed: number[] = [];
  const hashLeaves: LeafHasher = async (entries) => {
    hashed.push(entries.length);
    return hashEntries(entries);
  };
  t.match(await audit(log, source.now, { kept: kept(first), hashLeaves }), { verdict: "PASS", from: 270 });
  t.same(hashed, [source.entries.length - 270]);
});

t.test("a declared gap stays NOT PROVEN in every audit behind it", async (t) => {
  const source = new TestSource();
  source.run(3);
  const { chain, seq: next } = source;
  source.start({
    previous: { epoch: 1, next, chain: Buffer.from(chain).toString("base64"), clean: true, spool: "lost" },
  });
  source.seal();
  const log = new MemoryLog(source.entries);
  const first = await audit(log, source.now);
  t.match(first, { verdict: "NOT PROVEN", findings: [{ code: "declared_gap", index: next }] });
  source.stop();
  log.append(source.entries.at(-1)!);
  const second = await audit(log, source.now, { kept: kept(first) });
  t.same(outcome(second), outcome(await audit(log, source.now)));
  t.match(second, { verdict: "NOT PROVEN", findings: [{ code: "declared_gap", index: next }] });
});

t.test("a lie in the part audited before: K3, with where it is, and both notes as evidence", async (t) => {
  const source = new TestSource();
  source.run(700);
  const first = await audit(new MemoryLog(source.entries.slice(0, 600)), source.now);
  const lying = [...source.entries];
  lying[520] = lying[520]!.replace("alice", "mallo");
  const log = new MemoryLog(lying);
  const report = await audit(log, source.now, { kept: kept(first) });
  t.match(report, {
    verdict: "FAIL",
    keep: undefined,
    evidence: { kept: { size: 600 }, seen: { size: lying.length } },
  });
  t.match(report.findings[0], { code: "inconsistent", index: 512 });
  t.match(report.findings[0]?.message, /one of 512 to 575/);
  // It is read from its beginning, for nothing of it is known.
  t.equal(report.from, 0);
  t.ok(report.findings.some(({ code }) => code === "seal_mismatch"));
});

t.test("a fork is reported also when the tiles do not tell where", async (t) => {
  const source = new TestSource();
  source.run(400);
  const first = await audit(new MemoryLog(source.entries), source.now);
  const log = new MemoryLog(source.entries.with(300, source.entries[300]!.replace("alice", "mallo")));
  log.served.set("tile/0/001.p/152", "missing");
  const report = await audit(log, source.now, { kept: kept(first) });
  t.match(report, { verdict: "FAIL", keep: undefined });
  t.match(report.findings[0], { code: "split_view", index: undefined });
  t.ok(report.evidence);
  const gone: LogReader = {
    checkpoint: () => log.checkpoint(),
    tile: () => Promise.reject(new VerifierError("log_unreachable", "connection reset")),
  };
  await t.rejects(
    auditLog(gone, { key, kept: kept(first) }),
    { code: "log_unreachable" },
    "a log that breaks off then",
  );
});

t.test("K1, K2: smaller, or another at the same size", async (t) => {
  const source = new TestSource();
  source.run(400);
  const first = await audit(new MemoryLog(source.entries), source.now);
  const smaller = await audit(new MemoryLog(source.entries.slice(0, 300)), source.now, { kept: kept(first) });
  t.match(smaller, { verdict: "FAIL", keep: undefined, findings: [{ code: "rolled_back" }] });
  t.ok(smaller.evidence);
  const forked = [...source.entries];
  forked[200] = forked[200]!.replace("alice", "mallo");
  const other = await audit(new MemoryLog(forked), source.now, { kept: kept(first) });
  t.match(other.findings[0], { code: "split_view", index: 0 });
  t.ok(other.evidence);
});

t.test("what is missing or malformed for K3 is no evidence of a fork, and nothing is advanced", async (t) => {
  const source = new TestSource();
  source.run(400);
  const log = new MemoryLog(source.entries.slice(0, 300));
  const first = await audit(log, source.now);
  log.append(...source.entries.slice(300));
  log.served.set("tile/0/001.p/152", "missing");
  t.equal(log.size, 408);
  const missing = await audit(log, source.now, { kept: kept(first) });
  t.match(missing, { verdict: "NOT PROVEN", keep: undefined, evidence: undefined });
  log.served.set("tile/0/001.p/152", new Uint8Array(31));
  const malformed = await audit(log, source.now, { kept: kept(first) });
  t.match(malformed, { verdict: "FAIL", keep: undefined, evidence: undefined });
});

t.test("after a FAIL the audit goes on from where it was before", async (t) => {
  const source = new TestSource();
  source.run(100);
  const before = await audit(new MemoryLog(source.entries.slice(0, 50)), source.now);
  const log = new MemoryLog(source.entries.toSpliced(70, 1));
  const state = kept(before);
  const text = serializeKept(state, key);
  const failed = await audit(log, source.now, { kept: state });
  t.equal(serializeKept(state, key), text, "what was given is not changed");
  t.match(failed, { verdict: "FAIL", keep: { checkpoint: { size: log.size }, audit: { size: 50 } } });
  const again = await audit(log, source.now, { kept: kept(failed) });
  t.same(outcome(again), outcome(failed));
  t.equal(again.findings[0]?.code, "sequence_gap");
});
