import t from "tap";
import { auditLog } from "../../src/audit/audit.ts";
import { checkHead } from "../../src/audit/head.ts";
import { joinKept, type Kept } from "../../src/audit/kept.ts";
import { verifySavedCheckpoint } from "../../src/evidence/saved-checkpoint.ts";
import { listKeys, parseVerifierKey } from "../../src/formats/key.ts";
import { type TestKey, testKey } from "../support/keys.ts";
import { MemoryLog } from "../support/memory-log.ts";
import { sha256 } from "../support/naive-tree.ts";
import { TestSource } from "../support/test-source.ts";
import { codeOr } from "../support/vectors.ts";

const origin = "log.example/vitrine";
const old = testKey(origin);
const next = testKey(origin, sha256(Buffer.from("the next key")));
const [oldKey, nextKey] = [parseVerifierKey(old.vkey), parseVerifierKey(next.vkey)];
const both = [oldKey, nextKey];

const source = new TestSource();
source.run(300);
const other = new TestSource("proxy-b.example");
other.run(300);

/** The log's first entries, under a checkpoint with the signature of each signer. */
function shown(size: number, signers: readonly TestKey[], entries: readonly string[] = source.entries): MemoryLog {
  const log = new MemoryLog(entries.slice(0, size), signers[0]);
  const bare = Buffer.from(log.note()).toString();
  const text = bare.slice(0, bare.lastIndexOf("\n\n") + 1);
  log.served.set("checkpoint", Buffer.from(`${text}\n${signers.map((signer) => signer.line(text)).join("")}`));
  return log;
}

async function keep(size: number, signer: TestKey, entries: readonly string[] = source.entries): Promise<Kept> {
  const report = await checkHead(shown(size, [signer], entries), { key: parseVerifierKey(signer.vkey) });
  return report.keep!;
}

const codes = (findings: readonly { code: string }[]): string[] => findings.map(({ code }) => code);

t.test("all keys that are given must have signed", async (t) => {
  const found = async (signers: readonly TestKey[], key = both) =>
    codes((await checkHead(shown(200, signers), { key })).findings);
  t.same(await found([old, next]), []);
  t.same(await found([next, old]), []);
  t.same(await found([old, next], [nextKey, oldKey]), []);
  t.same(await found([old]), ["signature_missing"]);
  t.same(await found([next]), ["signature_missing"]);
  t.same(await found([old, next], [oldKey]), []);
  const report = await checkHead(shown(200, [old]), { key: both });
  t.match(report.findings[0]?.message, nextKey.id);
});

t.test("keys are told once each, and are of one log", async (t) => {
  t.same(listKeys([oldKey, nextKey, parseVerifierKey(old.vkey)]), both);
  t.same(listKeys(oldKey), [oldKey]);
  const refused = { wantErr: "usage" };
  t.same(
    codeOr(() => listKeys([])),
    refused,
  );
  t.same(
    codeOr(() => listKeys([oldKey, parseVerifierKey(testKey("other.example/log").vkey)])),
    refused,
  );
});

t.test("what was kept under either key counts, the furthest of it", async (t) => {
  const log = shown(300, [old, next]);
  for (const [kept, keptSize] of [
    [[await keep(100, old)], 100],
    [[await keep(100, old), await keep(250, next)], 250],
    [[await keep(250, old), await keep(100, next)], 250],
    [[await keep(200, old), await keep(200, next)], 200],
    [[], undefined],
  ] as const) {
    const report = await checkHead(log, { key: both, kept });
    t.match(report, { verdict: "PASS", keptSize, findings: [] });
    t.equal(report.keep?.checkpoint.size, 300);
  }
});

t.test("an audit under the old key is carried on under both, and then under the new one alone", async (t) => {
  const first = await auditLog(shown(200, [old]), { key: oldKey });
  const overlap = await auditLog(shown(250, [old, next]), { key: both, kept: [first.keep!] });
  t.match(overlap, { from: 200, size: 250 });
  t.equal(overlap.firstBadIndex, undefined);
  const later = await auditLog(shown(source.entries.length, [next]), { key: nextKey, kept: overlap.keep });
  t.match(later, { verdict: "PASS", from: 250, keptSize: 250 });
});

t.test("states that disagree are a fork of the log, whichever is further", async (t) => {
  const log = shown(source.entries.length, [old, next]);
  const check = (...kept: Kept[]) => checkHead(log, { key: both, kept });
  const fork = (size: number, signer: TestKey) => keep(size, signer, other.entries);
  for (const [kept, code, evidence] of [
    [[await fork(100, old), await keep(200, next)], "inconsistent", [100, log.size]],
    [[await keep(200, old), await fork(100, next)], "inconsistent", [100, log.size]],
    [[await keep(100, old), await fork(200, next)], "inconsistent", [200, log.size]],
    [[await keep(100, old), await fork(100, next)], "split_view", [100, 100]],
    [[await keep(100, old), await fork(log.size, next)], "split_view", [log.size, log.size]],
  ] as const) {
    const report = await check(...kept);
    t.match(report, { verdict: "FAIL", keep: undefined });
    t.same(codes(report.findings), [code]);
    t.same([report.evidence?.kept.size, report.evidence?.seen.size], evidence);
  }
});

t.test("two trees of one size that were kept are found even where the log shows no tiles", async (t) => {
  const log = shown(300, [old, next]);
  for (const path of ["tile/0/000", "tile/0/001.p/44", "tile/0/001", "tile/1/000.p/1", "tile/1/000"]) {
    log.served.set(path, "missing");
  }
  const kept = [await keep(100, old), await keep(100, next, other.entries)];
  t.same(codes((await checkHead(log, { key: both, kept })).findings), ["split_view"]);
  t.same(codes((await checkHead(log, { key: both, kept: kept.slice(0, 1) })).findings), ["data_missing"]);
});

t.test("a tree that is smaller than the one kept under one of the keys is a rollback", async (t) => {
  const kept = [await keep(100, old), await keep(300, next)];
  const report = await checkHead(shown(200, [old, next]), { key: both, kept });
  t.same([report.verdict, codes(report.findings)], ["FAIL", ["rolled_back"]]);
});

t.test("of several states the furthest checkpoint and the furthest audit count", async (t) => {
  const { keep: audited } = await auditLog(shown(100, [old]), { key: oldKey });
  const seen = await keep(200, next);
  for (const states of [
    [audited!, seen],
    [seen, audited!],
  ]) {
    const joined = joinKept(states);
    t.equal(joined?.checkpoint.size, 200);
    t.equal(joined?.audit?.size, 100);
  }
  t.equal(joinKept([]), undefined);
  t.equal(joinKept(undefined), undefined);
  t.same(joinKept(seen), seen);
});

t.test("evidence of the time of the overlap verifies under each key, and under both", async (t) => {
  const note = Buffer.from((await shown(200, [old, next]).checkpoint()) as Uint8Array);
  for (const key of [oldKey, nextKey, both]) t.equal(verifySavedCheckpoint(note, key).verdict, "PASS");
  const before = Buffer.from((await shown(200, [old]).checkpoint()) as Uint8Array);
  t.equal(verifySavedCheckpoint(before, both).verdict, "FAIL");
});
