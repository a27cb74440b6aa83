import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";
import { type Disk, openDisk } from "../../src/audit/disk.ts";
import { RecordFile, type SubmittedRange } from "../../src/audit/record-file.ts";
import { type Bench, run, setUp, tempDir, until } from "./help.ts";
import { differences, gaps, readRecord } from "./record.ts";

const header = { origin: "log.example", source: "proxy.example", vkey: "proxy.example+00000000+AAAA" };
const chain = (n: number): string => Buffer.alloc(32, n).toString("base64");

function range(seq: number, count = 1, epoch = 1): SubmittedRange {
  return { epoch, seq, count, index: 100 + seq, before: chain(seq), after: chain(seq + count) };
}

t.test("ranges are lines, durable one after the other, and the record is taken up where it ends", async (t) => {
  const path = join(await tempDir(t), "submitted");
  const first = await RecordFile.open(path, header);
  t.equal(first.end, undefined);
  t.notOk(existsSync(path), "nothing is written before there is something to say");
  await first.append([range(0, 3), range(3)]);
  await first.append([]);
  await first.close();
  const line = `{"epoch":1,"seq":3,"count":1,"index":103,"before":"${chain(3)}","after":"${chain(4)}"}\n`;
  const text = readFileSync(path, "utf8");
  t.ok(text.startsWith('{"format":"vitrine/submitted/v1","origin":"log.example","source":"proxy.example","vkey":"pr'));
  t.ok(text.endsWith(line));
  t.equal(statSync(path).mode % 0o1000, 0o600);
  const second = await RecordFile.open(path, header);
  t.same(second.end, { epoch: 1, next: 4, chain: chain(4) });
  await second.append([range(4)]);
  await second.close();
  t.equal(
    readFileSync(path, "utf8"),
    `${text}${line.replace('"seq":3', '"seq":4').replace("103", "104").replaceAll(chain(4), chain(5)).replace(chain(3), chain(4))}`,
  );
});

t.test("a torn end is cut off; a record that ends in something else is put away", async (t) => {
  const dir = await tempDir(t);
  const path = join(dir, "submitted");
  const first = await RecordFile.open(path, header);
  await first.append([range(0), range(1)]);
  await first.close();
  const whole = readFileSync(path, "utf8");
  for (const torn of ["{", '{"epoch":1,"seq":2,"count":1', "\0".repeat(300), "é"]) {
    appendFileSync(path, torn);
    const record = await RecordFile.open(path, header);
    t.same(record.end?.next, 2);
    await record.close();
    t.equal(readFileSync(path, "utf8"), whole);
  }
  // In the middle of a line that was the last.
  truncateSync(path, whole.length - 5);
  const shorter = await RecordFile.open(path, header);
  t.same(shorter.end?.next, 1);
  await shorter.append([range(1)]);
  await shorter.close();
  t.equal(readFileSync(path, "utf8"), whole);
  // The header alone, and a header that is not whole.
  truncateSync(path, whole.indexOf("\n") + 1);
  t.equal((await RecordFile.open(path, header)).end, undefined);
  for (const [i, text] of ["", whole.slice(0, 20), "{}\n", `${whole}{"epoch":2}\n`, `${whole}nothing\n`].entries()) {
    writeFileSync(path, text);
    const record = await RecordFile.open(path, header);
    t.equal(record.end, undefined);
    t.equal(readFileSync(`${path}.00000${i + 1}`, "utf8"), text, "kept as it is");
    t.notOk(existsSync(path));
    await record.append([range(7)]);
    await record.close();
    t.equal(readFileSync(path, "utf8").split("\n").length, 3);
    rmSync(path);
  }
});

t.test("one of another key or log is put away; so is a long one, which goes on in the next", async (t) => {
  const dir = await tempDir(t);
  const path = join(dir, "submitted");
  const first = await RecordFile.open(path, { ...header, vkey: "another" });
  await first.append([range(0)]);
  await first.close();
  const second = await RecordFile.open(path, header, { maxBytes: 700 });
  t.equal(second.end, undefined);
  for (let seq = 0; seq < 9; seq++) await second.append([range(seq)]);
  t.same(second.end?.next, 9);
  await second.close();
  const files = readdirSync(dir).sort();
  t.same(files.slice(0, 3), ["submitted", "submitted.000001", "submitted.000002"]);
  const records = readRecord(dir);
  t.same(
    records
      .slice(1)
      .flat()
      .map(({ seq }) => seq),
    [0, 1, 2, 3, 4, 5, 6, 7, 8],
  );
  for (const name of files) t.ok(statSync(join(dir, name)).size <= 700);
  writeFileSync(join(dir, "submitted.note"), "not one of ours");
  await (await RecordFile.open(path, header)).breakOff();
  t.ok(existsSync(join(dir, `submitted.00000${files.length}`)));
});

async function recorded(t: Test): Promise<{ bench: Bench; record: { path: string } }> {
  const bench = await setUp(t);
  return { bench, record: { path: join(bench.dir, "submitted") } };
}

/** Everything that the log has stands in the record's files from this one on. */
function complete(t: Test, { log, dir }: Bench, from = 0): void {
  const files = readRecord(dir).slice(from);
  for (const ranges of files)
    t.same(
      gaps(ranges).filter((line) => !line.startsWith("0:")),
      [],
    );
  t.same(differences(files.flat(), log), []);
  t.equal(
    files.flat().reduce((sum, { count }) => sum + count, 0),
    log.entries.filter(({ json }) => json.epoch > 0).length,
  );
}

t.test("what the log acknowledged is in the record, over runs, batches and answers that were lost", async (t) => {
  const { bench, record } = await recorded(t);
  for (let epoch = 1; epoch <= 3; epoch++) {
    const recorder = await bench.open({ record });
    for (let i = 0; i < 30; i++) await run(recorder, `s${i}`);
    bench.log.dropAnswers = 2;
    bench.log.maxBody = epoch === 2 ? 4000 : 64 * 1024 * 1024;
    for (let i = 30; i < 60; i++) await run(recorder, `s${i}`);
    t.same(await recorder.stop("shutdown", 60_000), { unsubmitted: 0 });
    // What is left to the next run is submitted by it.
    bench.log.intercept = () => ({ status: 503 });
    const cut = await bench.open({ record });
    for (let i = 0; i < 10; i++) await run(cut, `c${i}`);
    t.ok((await cut.stop("shutdown", 50)).unsubmitted > 0);
    bench.log.intercept = undefined;
  }
  const last = await bench.open({ record });
  t.same(await last.stop("shutdown", 60_000), { unsubmitted: 0 });
  t.equal(readRecord(bench.dir).length, 1);
  t.same(gaps(readRecord(bench.dir).flat()), []);
  complete(t, bench);
  t.same(bench.log.violations, []);
});

t.test("entries of others stand between: ranges end where the indexes do", async (t) => {
  const { bench, record } = await recorded(t);
  const recorder = await bench.open({ record });
  for (let i = 0; i < 20; i++) {
    await run(recorder, `s${i}`);
    await until("the log has it", () => recorder.stats().unsubmitted === 0);
    const theirs = { kind: "another's", epoch: 0, seq: 0 };
    if (i % 2 === 0) bench.log.entries.push({ text: JSON.stringify(theirs), json: theirs, disclosures: [] });
  }
  t.same(await recorder.stop("shutdown", 60_000), { unsubmitted: 0 });
  t.ok(readRecord(bench.dir).flat().length > 10);
  complete(t, bench);
});

t.test("a record that is lost, older or of before begins anew, and is told apart by its files", async (t) => {
  const { bench, record } = await recorded(t);
  const go = async (): Promise<void> => {
    const recorder = await bench.open({ record });
    for (let i = 0; i < 5; i++) await run(recorder, `s${i}`);
    t.same(await recorder.stop("shutdown", 60_000), { unsubmitted: 0 });
  };
  await go();
  const { path } = record;
  const old = readFileSync(path);
  await go();
  // Older by an epoch: what comes now does not follow it.
  writeFileSync(path, old);
  await go();
  t.equal(readRecord(bench.dir).length, 2);
  t.same(readRecord(bench.dir).map(gaps), [[], [gaps(readRecord(bench.dir)[1]!)[0]].filter(Boolean)]);
  t.same(differences(readRecord(bench.dir).flat(), bench.log), []);
  rmSync(path);
  await go();
  t.equal(readRecord(bench.dir).length, 2);
  t.same(differences(readRecord(bench.dir).flat(), bench.log), []);
  t.same(bench.log.violations, []);
});

t.test("a record that cannot be written stops everything, and nothing is forgotten", async (t) => {
  const { bench } = await recorded(t);
  const path = join(bench.dir, "elsewhere", "submitted");
  mkdirSync(join(bench.dir, "elsewhere"));
  let failing = false;
  const disk = async (dir: string): Promise<Disk> => {
    const real = await openDisk(dir);
    if (!dir.endsWith("elsewhere")) return real;
    const fail = async (): Promise<never> => {
      throw Object.assign(new Error("no space left"), { code: "ENOSPC" });
    };
    return {
      ...real,
      open: async (name) => {
        const file = await real.open(name);
        return {
          size: file.size,
          read: (into, position) => file.read(into, position),
          close: () => file.close(),
          write: (bytes, position) => (failing ? fail() : file.write(bytes, position)),
        };
      },
    };
  };
  const recorder = await bench.open({ record: { path }, disk });
  await until("source.start is submitted", () => recorder.stats().unsubmitted === 0);
  failing = true;
  await run(recorder, "a");
  await until("it is noticed", () => bench.states.some(({ state }) => state === "failed"));
  t.match(bench.states.at(-1), {
    state: "failed",
    error: { code: "disk_full", message: /the record .* could not be/ },
  });
  t.throws(() => recorder.intend("statement", '"a":1', []), { code: "disk_full" });
  t.ok((await recorder.stop("shutdown", 100)).unsubmitted > 0);
  failing = false;
  const next = await bench.open({ record: { path }, disk });
  t.same(await next.stop("shutdown", 60_000), { unsubmitted: 0 });
  const files = readRecord(join(bench.dir, "elsewhere"));
  t.same(gaps(files.flat()), []);
  t.equal(
    files.flat().reduce((sum, { count }) => sum + count, 0),
    bench.log.entries.length,
  );
  t.same(differences(files.flat(), bench.log), []);
});

t.test("a crash right behind putting a file away does not tell anything twice", async (t) => {
  const { bench, record } = await recorded(t);
  const go = async (): Promise<void> => {
    const recorder = await bench.open({ record });
    for (let i = 0; i < 5; i++) await run(recorder, `s${i}`);
    t.same(await recorder.stop("shutdown", 60_000), { unsubmitted: 0 });
  };
  await go();
  renameSync(record.path, `${record.path}.000001`);
  await go();
  t.equal(readRecord(bench.dir).length, 2);
  t.same(gaps(readRecord(bench.dir).flat()), []);
  complete(t, bench);
});

t.test("a folder that is not there is made; one that cannot be says so at the start", async (t) => {
  const { bench } = await recorded(t);
  const path = join(bench.dir, "a", "b", "submitted");
  const recorder = await bench.open({ record: { path } });
  await recorder.stop("shutdown", 60_000);
  t.ok(existsSync(path));
  renameSync(join(bench.dir, "a"), join(bench.dir, "c"));
  writeFileSync(join(bench.dir, "a"), "");
  await t.rejects(bench.open({ record: { path } }), { code: "spool_failed" });
});
