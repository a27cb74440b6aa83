import t from "tap";
import { auditLog } from "../../src/audit/audit.ts";
import { verifyBundle } from "../../src/evidence/bundle.ts";
import { type ProveOptions, type ProveReport, proveEntry } from "../../src/evidence/prove.ts";
import { parseVerifierKey } from "../../src/formats/key.ts";
import { MemoryLog } from "../support/memory-log.ts";
import { sha256 } from "../support/naive-tree.ts";
import { TestSource } from "../support/test-source.ts";

const source = new TestSource();
source.start();
source.session(1);
const disclosure = Buffer.from(JSON.stringify(["A".repeat(22), "sql", "SELECT secret"])).toString("base64url");
const sealed = { sealed: sha256(Buffer.from(disclosure)).toString("base64url"), bytes: 13 };
for (let i = 0; i < 300; i++) source.statement(1, { sql: sealed });
const key = parseVerifierKey(new MemoryLog().key.vkey);

function newLog(): MemoryLog {
  return new MemoryLog(source.entries);
}

function prove(log: MemoryLog, index: number, options: Partial<ProveOptions> = {}): Promise<ProveReport> {
  return proveEntry(log, { key, index, ...options });
}

t.test("each entry of a log gets a bundle that verifies", async (t) => {
  const wrong: number[] = [];
  for (const index of [0, 1, 77, 255, 256, 300, 301]) {
    const report = await prove(newLog(), index);
    const verified = verifyBundle(Buffer.from(report.bundle ?? ""), key);
    if (report.verdict !== "PASS" || verified.entryText !== source.entries[index] || verified.index !== index) {
      wrong.push(index);
    }
    if (!report.bundle?.endsWith("}\n")) wrong.push(index);
  }
  t.same(wrong, []);
  const report = await prove(newLog(), 300);
  t.equal(report.entry?.seq, 300);
  t.equal(report.keep?.checkpoint.size, 302);
  t.match(report.conclusion, /^Established: .* entry 300 .*Not established: .*first contact/);
});

t.test("disclosures are verified before they go into a bundle", async (t) => {
  const asked: number[] = [];
  const disclosures = async (index: number): Promise<string[]> => {
    asked.push(index);
    return [disclosure];
  };
  const report = await prove(newLog(), 5, { disclosures });
  t.same(asked, [5]);
  t.same(verifyBundle(Buffer.from(report.bundle!), key).disclosures, [{ name: "sql", value: "SELECT secret" }]);
  const other = Buffer.from(JSON.stringify(["A".repeat(22), "sql", "SELECT other"])).toString("base64url");
  const forged = await prove(newLog(), 5, { disclosures: async () => [disclosure, other] });
  t.match(forged, { verdict: "FAIL", bundle: undefined, findings: [{ code: "disclosure_mismatch", index: 5 }] });
});

t.test("an index beyond the tree is a mistake of the one who asks", async (t) => {
  await t.rejects(prove(newLog(), 302), { code: "usage", message: /302 entries/ });
  for (const index of [-1, 0.5, 2 ** 53, Number.NaN]) await t.rejects(prove(newLog(), index), { code: "usage" });
});

t.test("no bundle unless everything was verified", async (t) => {
  const lie = (path: string, bytes: Uint8Array | "missing"): MemoryLog => {
    const log = newLog();
    log.served.set(path, bytes);
    return log;
  };
  const truth = newLog();
  const flipped = (bytes: Uint8Array | "missing", at: number): Uint8Array => {
    const changed = Uint8Array.from(bytes as Uint8Array);
    changed[at] = changed[at]! ^ 1;
    return changed;
  };
  const cases: [string, MemoryLog][] = [
    ["data_missing", lie("checkpoint", "missing")],
    ["signature_invalid", lie("checkpoint", Buffer.from(String(truth.note()).replace("\n302\n", "\n303\n")))],
    ["data_missing", lie("tile/entries/000", "missing")],
    ["data_missing", lie("tile/0/000", "missing")],
    ["data_missing", lie("tile/0/001.p/46", "missing")],
    ["tile_malformed", lie("tile/entries/000", new Uint8Array(3))],
    ["leaf_mismatch", lie("tile/entries/000", flipped(truth.make("entries", 0, 256), 100))],
    ["inclusion_invalid", lie("tile/0/000", flipped(truth.make(0, 0, 256), 33 * 32))],
    ["inclusion_invalid", lie("tile/0/001.p/46", flipped(truth.make(0, 1, 46), 7))],
  ];
  for (const [code, log] of cases) {
    const report = await prove(log, 0);
    t.match(report.findings, [{ code }]);
    t.notOk(report.bundle);
    t.equal(report.verdict, code === "data_missing" ? "NOT PROVEN" : "FAIL");
    t.match(report.conclusion, /no bundle was made/);
  }
});

t.test("an entry that is in the tree and malformed has no bundle", async (t) => {
  const log = new MemoryLog([...source.entries, "not an entry"]);
  t.match(await prove(log, 302), {
    verdict: "FAIL",
    bundle: undefined,
    findings: [{ code: "entry_malformed", index: 302 }],
  });
});

t.test("no bundle from a tree that is not the one kept", async (t) => {
  const now = (): number => source.now;
  const { keep } = await auditLog(newLog(), { key, now });
  const forked = new MemoryLog(source.entries.with(200, source.entries[200]!.replace("alice", "mallo")));
  const report = await prove(forked, 5, { kept: keep });
  t.match(report, { verdict: "FAIL", bundle: undefined, keep: undefined, findings: [{ code: "split_view" }] });
  t.ok(report.evidence);
  const same = await prove(newLog(), 5, { kept: keep });
  t.equal(same.keep?.audit?.size, 302, "what was audited is kept along");
});
