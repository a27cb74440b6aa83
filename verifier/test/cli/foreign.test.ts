import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { readCommandLine } from "../../cli/args.ts";
import { FolderReader } from "../../cli/folder-reader.ts";
import { auditLog, parseVerifierKey } from "../../src/index.ts";
import { exportTo } from "./support/folder.ts";
import { testKey } from "./support/keys.ts";
import { TestLog, vectorLog, vectors } from "./support/log.ts";
import { run, temporaryFolder } from "./support/run.ts";

/** Bytes of every kind: empty, text, what looks like an entry, and the longest there can be. */
const entries = Array.from({ length: 600 }, (_, i) =>
  i === 300 ? Buffer.alloc(65535, i) : Buffer.from([i % 256, 255, 0, ...Buffer.from(`entry ${i}`)].slice(i % 5)),
);
entries[17] = Buffer.alloc(0);
const foreign = testKey("log.elsewhere.example");

t.test("a log of any entries", async (t) => {
  const folder = temporaryFolder(t);
  const state = temporaryFolder(t);
  const args = ["audit", "--log", folder, "--vkey", foreign.vkey, "--state", state];
  const any = [...args, "--entries", "any"];
  exportTo(folder, new TestLog(foreign, entries, 300));
  const first = await run([...any, "--json"]);
  t.match(first.json, { verdict: "PASS", checks: ["C", "K", "T"], size: 300, sources: [], entries: [] });
  exportTo(folder, new TestLog(foreign, entries));
  const second = await run(any);
  t.equal(second.status, 0);
  t.match(second.stdout, "Established: 300 new entries are those the log's key signed");
  t.match(second.stdout, /Not established: .*nothing was checked in them/);
  t.notMatch(second.stdout, "without gap");
  // What did not look into the entries is no beginning for an audit that does.
  const whole = await run([...args, "--json"]);
  t.match(whole.json, { verdict: "FAIL", from: 0, findings: [{ code: "entry_malformed", index: 0 }] });
});

t.test("any entries: T is not given up", async (t) => {
  const changed = entries.with(299, Buffer.from("another"));
  const log = new TestLog(foreign, changed);
  const truth = new TestLog(foreign, entries);
  const cases: [string, (path: string) => Buffer | undefined, string[]][] = [
    ["/tile/entries/001", (path) => log.file(path), ["leaf_mismatch", "root_mismatch"]],
    ["/checkpoint", () => Buffer.from(log.checkpoint()), ["root_mismatch"]],
    ["/tile/1/000.p/2", () => Buffer.alloc(64), ["tile_malformed"]],
    ["/tile/entries/002.p/88", (path) => truth.file(path)!.subarray(1), ["tile_malformed"]],
  ];
  for (const [path, lie, codes] of cases) {
    const folder = temporaryFolder(t);
    exportTo(folder, truth, (asked) => (asked === path ? lie(asked) : truth.file(asked)));
    const reader = await FolderReader.open(folder);
    const { verdict, findings } = await auditLog(reader, { key: parseVerifierKey(foreign.vkey), entries: "any" });
    t.equal(verdict, "FAIL");
    t.same([...new Set(findings.map(({ code }) => code))], codes, path);
  }
});

t.test("any entries: what an audit of the entries has reached is not given up", async (t) => {
  const folder = temporaryFolder(t);
  const state = temporaryFolder(t);
  exportTo(folder, vectorLog());
  const args = ["audit", "--log", folder, "--vkey", vectors.vkey, "--state", state, "--json"];
  t.match((await run(args)).json, { verdict: "PASS", from: 0 });
  const [name] = readdirSync(state);
  const kept = readFileSync(join(state, name!), "utf8");
  t.match((await run([...args, "--entries", "any", "--all"])).json, { verdict: "PASS", from: 0, sources: [] });
  t.equal(readFileSync(join(state, name!), "utf8"), kept);
});

t.test("what only entries of Vitrine have", async (t) => {
  const args = ["audit", "--log", "http://127.0.0.1:9", "--vkey", foreign.vkey, "--entries"];
  for (const [option, value] of Object.entries({ "--source": foreign.vkey, "--user": "alice", "--limit": "3" })) {
    const wrong = { code: "usage", message: new RegExp(`${option} is for entries`) };
    t.throws(() => readCommandLine([...args, "any", option, value]), wrong);
  }
  t.throws(() => readCommandLine([...args, "all"]), { code: "usage", message: /neither vitrine nor any/ });
});
