import { chmodSync, existsSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import t, { type Test } from "tap";
import { KeyFiles, makeNextKey, Recorder } from "../../src/audit/index.ts";
import { type Bench, newKeys, run, setUp, tempDir, until } from "./help.ts";
import { differences, gaps, readRecord } from "./record.ts";

interface Keyed {
  readonly bench: Bench;
  readonly file: string;
  readonly lines: string[];
  open(): Promise<Recorder>;
}

/** A source whose key is in a file, in a folder of its own. */
async function keyed(t: Test): Promise<Keyed> {
  const bench = await setUp(t);
  const file = join(await tempDir(t), "source.key");
  writeFileSync(file, `${bench.keys.skey}\n`, { mode: 0o600 });
  const lines: string[] = [];
  const options = {
    key: new KeyFiles(file),
    record: { path: join(bench.dir, "submitted") },
    seals: { everyEntries: 3, everyMs: 10_000, idleMs: 60_000 },
    onKey: (line: string) => lines.push(line),
  };
  return { bench, file, lines, open: () => Recorder.open(bench.options(options)) };
}

/** The log has no complaint and all entries, the record has them once, and there is one key file. */
async function settled(t: Test, { bench, file }: Keyed, recorder: Recorder): Promise<void> {
  t.same(await recorder.stop("shutdown", 60_000), { unsubmitted: 0 });
  t.same(bench.log.violations, []);
  const ranges = readRecord(bench.dir).flat();
  t.same(gaps(ranges), []);
  t.same(differences(ranges, bench.log), []);
  for (const suffix of [".next", ".next-new", ".previous", ".previous-new"]) t.notOk(existsSync(`${file}${suffix}`));
}

t.test("a next key is new, the owner's alone, and never replaces one", async (t) => {
  const file = join(await tempDir(t), "source.key");
  await t.rejects(makeNextKey(file), { code: "bad_key", message: /ENOENT/ });
  writeFileSync(file, `${newKeys("a.example").skey}\n`, { mode: 0o600 });
  // What a process left that was killed before its key had the name.
  writeFileSync(`${file}.next-new`, "torn", { mode: 0o644 });
  const vkey = await makeNextKey(file);
  t.match(vkey, /^a\.example\+[0-9a-f]{8}\+AQ?/);
  t.equal(statSync(`${file}.next`).mode % 0o1000, 0o600);
  const line = readFileSync(`${file}.next`, "utf8");
  t.match(line, /^PRIVATE\+KEY\+a\.example\+[0-9a-f]{8}\+\S+\n$/);
  await t.rejects(makeNextKey(file), { code: "bad_key", message: /next exists/ });
  t.notOk(existsSync(`${file}.next-new`), "no key stays behind that nobody uses");
  t.equal(readFileSync(`${file}.next`, "utf8"), line);
  rmSync(`${file}.next`);
  t.not(await makeNextKey(file), vkey);
});

t.test("the old key signs up to the entry, the new one behind it, in this epoch and the next", async (t) => {
  const all = await keyed(t);
  const first = await all.open();
  t.equal(await first.changeKey(), undefined, "there is none");
  const vkey = await makeNextKey(all.file);
  await run(first, "before");
  const change = first.changeKey();
  for (let i = 0; i < 20; i++) await run(first, `during ${i}`);
  t.equal(await change, vkey);
  await until("the old key is gone", () => all.lines.length === 1);
  t.equal(all.bench.log.sourceKey, vkey);
  t.equal(await first.changeKey(), undefined);
  await first.stop("shutdown", 60_000);
  const second = await all.open();
  await run(second, "later");
  await settled(t, all, second);
  t.equal(all.bench.log.ofKind("source.start")[1]!.json.vkey, vkey);
  t.equal(all.bench.log.ofKind("source.key").length, 1);
  const headers = ["submitted.000001", "submitted"].map((name) => {
    const [line] = readFileSync(join(all.bench.dir, name), "utf8").split("\n");
    return (JSON.parse(line!) as { vkey: string }).vkey;
  });
  t.same(headers, [all.bench.keys.vkey, vkey], "the record begins a new file");
});

t.test("what cannot be a next key changes nothing", async (t) => {
  const all = await keyed(t);
  const { bench, file } = all;
  const recorder = await all.open();
  const next = `${file}.next`;
  const cases: [text: string, mode: number, message: RegExp][] = [
    ["nothing\n", 0o600, /not one line/],
    [newKeys("b.example").skey, 0o600, /a key of b\.example/],
    [newKeys(recorder.source).skey, 0o644, /chmod 600/],
    [readFileSync(file, "utf8"), 0o600, /in force already/],
  ];
  for (const [text, mode, message] of cases) {
    writeFileSync(next, text);
    chmodSync(next, mode);
    await t.rejects(recorder.changeKey(), { code: "bad_key", message });
    rmSync(next);
  }
  t.equal(recorder.state, "open");
  await settled(t, all, recorder);
  t.same(bench.log.ofKind("source.key"), []);
});

t.test("without the log: one change at a time, and the old key is needed until the log has the entry", async (t) => {
  const all = await keyed(t);
  const { bench, file } = all;
  const first = await all.open();
  await until("the log has the start", () => first.stats().unsubmitted === 0);
  await bench.log.close();
  await makeNextKey(file);
  const vkey = await first.changeKey();
  await run(first, "unsubmitted");
  await makeNextKey(file);
  await t.rejects(first.changeKey(), { code: "bad_key", message: /not acknowledged/ });
  rmSync(`${file}.next`);
  await first.stop("shutdown", 50);
  renameSync(`${file}.previous`, `${file}.kept`);
  await t.rejects(all.open(), { code: "bad_key", message: /earlier key proxy-1\.example.*source\.key\.previous/ });
  renameSync(`${file}.kept`, `${file}.previous`);
  const second = await all.open();
  await bench.log.listen();
  await until("the log has it", () => bench.log.sourceKey === vkey && second.stats().unsubmitted === 0);
  await settled(t, all, second);
});

t.test("a lost spool: the key that the log knows is in force, whatever the names of the files", async (t) => {
  const emptied = async ({ bench }: Keyed): Promise<void> => {
    for (const name of await readdir(bench.dir)) await rm(join(bench.dir, name), { recursive: true });
  };
  // The entry is lost with the spool: the key in its place is announced once more.
  const all = await keyed(t);
  const { bench, file } = all;
  const first = await all.open();
  await until("the log has the start", () => first.stats().unsubmitted === 0);
  await bench.log.close();
  const vkey = await makeNextKey(file);
  await first.changeKey();
  await first.stop("shutdown", 50);
  await emptied(all);
  await bench.log.listen();
  const second = await all.open();
  t.equal(await second.changeKey(), vkey);
  await until("the log knows it", () => all.lines.length === 1);
  t.equal(bench.log.sourceKey, vkey);
  t.equal(bench.log.ofKind("source.start")[1]!.json.vkey, bench.keys.vkey);
  t.same(await second.stop("shutdown", 60_000), { unsubmitted: 0 });
  t.same(bench.log.violations, []);
  t.notOk(existsSync(`${file}.previous`));
  // The log has the entry, and the files were not switched.
  renameSync(file, `${file}.next`);
  writeFileSync(file, `${bench.keys.skey}\n`, { mode: 0o600 });
  await emptied(all);
  const third = await all.open();
  await until("it goes on", () => third.stats().unsubmitted === 0);
  t.same(await third.stop("shutdown", 60_000), { unsubmitted: 0 });
  t.same(bench.log.violations, []);
  t.equal(bench.log.ofKind("source.start")[2]!.json.vkey, vkey);
  t.notOk(existsSync(`${file}.next`) || existsSync(`${file}.previous`));
});
