import { existsSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { Writable } from "node:stream";
import t, { type Test } from "tap";
import { FileSink } from "../../../cli/export/file-sink.ts";
import { Position } from "../../../cli/export/position.ts";
import { StdoutSink } from "../../../cli/export/stdout-sink.ts";
import { parseVerifierKey } from "../../../src/index.ts";
import { testCosigner } from "../../support/keys.ts";
import { TestLog, vectorLog, vectors } from "../support/log.ts";
import { run, temporaryFolder } from "../support/run.ts";
import { serve, type TestServer } from "../support/server.ts";
import { exportWith } from "./support/export.ts";
import { wrongWith } from "./support/ocsf-schema.ts";
import { rowOf } from "./support/rows.ts";

type Event = { unmapped: { index: number } } & Record<string, unknown>;

const eventsIn = (text: string): Event[] =>
  text
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Event);
const indexes = (text: string): number[] => eventsIn(text).map((event) => event.unmapped.index);
const upTo = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);

type Place = { folder: string; output: string; server: TestServer; log: TestLog; args: string[] };

async function place(
  t: Test,
  log: TestLog,
  ...hook: Parameters<typeof serve> extends [unknown, ...infer H] ? H : never
): Promise<Place> {
  const folder = temporaryFolder(t);
  const output = join(folder, "events.jsonl");
  const server = await serve(log, ...hook);
  t.teardown(() => server.close());
  const ofLog = ["--log", server.url, "--vkey", log.key.vkey, "--state", join(folder, "state")];
  return { folder, output, server, log, args: [...ofLog, "--format", "ocsf", "--once"] };
}

const size = vectors.entries.length;

t.test("a log becomes rows in a file, once, and goes on where it was", async (t) => {
  const { output, log, args } = await place(t, vectorLog(300));
  const first = await exportWith([...args, "--output", output]);
  t.equal(first.status, 0, first.told);
  t.match(first.told, /300 rows written; the next index is 300/);
  t.same(indexes(readFileSync(output, "utf8")), upTo(0, 300));
  t.same(eventsIn(readFileSync(output, "utf8")).flatMap(wrongWith), []);
  t.equal((await exportWith([...args, "--output", output])).status, 0);
  log.size = size;
  t.equal((await exportWith([...args, "--output", output])).status, 0);
  t.same(indexes(readFileSync(output, "utf8")), upTo(0, size));
});

t.test("a torn row is cut off and comes whole", async (t) => {
  const { output, args } = await place(t, vectorLog());
  writeFileSync(output, '{"unmapped":{"index":0}}\n{"time');
  const result = await exportWith([...args, "--output", output]);
  t.equal(result.status, 0);
  t.match(result.told, /last 6 bytes of the output are not a whole row/);
  t.same(indexes(readFileSync(output, "utf8")), [0, ...upTo(0, size)]);
});

t.test("a file of somebody else is not cut", async (t) => {
  const { output, args } = await place(t, vectorLog());
  writeFileSync(output, "their notes, \nwithout an end");
  const result = await exportWith([...args, "--output", output]);
  t.match([result.status, result.told], [64, /ends in something else than a row/]);
  t.equal(readFileSync(output, "utf8"), "their notes, \nwithout an end");
  for (const theirs of ["their notes\n", `${"x".repeat(70_000)}\ntheirs\n`, "\n", '{"time":1}\n\n']) {
    writeFileSync(output, theirs);
    const whole = await exportWith([...args, "--output", output]);
    t.match([whole.status, whole.told], [64, /ends in something else than a row/], "though its last line is whole");
    t.equal(readFileSync(output, "utf8"), theirs);
  }
  const folder = await exportWith([...args, "--output", dirname(output)]);
  t.match([folder.status, folder.told], [64, /cannot be written: it is a folder/]);
});

t.test("what the witnesses of the policy have not seen is not passed on", async (t) => {
  const { folder, output, log, args } = await place(t, vectorLog());
  const policy = join(folder, "our.policy");
  const witness = testCosigner("witness.example/w1");
  writeFileSync(policy, `witness w ${witness.vkey}\nquorum w\n`);
  const held = await exportWith([...args, "--output", output, "--policy", policy]);
  t.match([held.status, held.told], [2, /quorum_missing/]);
  t.equal(readFileSync(output, "utf8"), "");
  const checkpoint = log.checkpoint();
  const line = witness.line(checkpoint.slice(0, checkpoint.lastIndexOf("\n\n") + 1), Math.floor(Date.now() / 1000));
  log.checkpoint = () => checkpoint + line;
  t.equal((await exportWith([...args, "--output", output, "--policy", policy])).status, 0);
  t.same(indexes(readFileSync(output, "utf8")), upTo(0, size));
});

t.test("two exports do not share a position", async (t) => {
  const path = join(temporaryFolder(t), "position");
  const keys = [parseVerifierKey(vectors.vkey)] as const;
  const hooks = { at: () => undefined, log: () => undefined };
  const one = await Position.open(path, { keys, to: "ocsf" }, hooks);
  const other = await Position.open(path, { keys, to: "ocsf" }, hooks);
  await one.save(10);
  await t.rejects(other.save(5), { code: "position_invalid", message: /another export has moved it/ });
  await one.save(11);
  t.equal((await Position.open(path, { keys, to: "ocsf" }, hooks)).next, 11);
});

t.test("standard output that is closed ends it, with what was not written still to come", async (t) => {
  const gone = new Writable({ write: (_chunk, _encoding, done) => done(new Error("write EPIPE")) });
  gone.on("error", () => undefined);
  const sink = new StdoutSink({ raw: false, maxRow: 1_000_000 }, gone);
  await t.rejects(sink.write([rowOf(vectors.entries[0]!)]), { code: "write_failed", message: /EPIPE/ });
  const chunks: string[] = [];
  const terminal = new Writable({
    write: (chunk, _encoding, done) => {
      chunks.push(String(chunk));
      done();
    },
  });
  await new StdoutSink({ raw: true, maxRow: 1_000_000 }, terminal).write([rowOf("\u202e\u009b")]);
  t.match(chunks.join(""), /^[ -~]*\n$/);
});

t.test("files are put away by size, and none is overwritten", async (t) => {
  const { folder, output, log, args } = await place(t, vectorLog(100));
  const rotating = [...args, "--output", output, "--rotate", "1K"];
  t.equal((await exportWith(rotating)).status, 0);
  writeFileSync(join(folder, "events.jsonl.0000000000000100"), "somebody's\n");
  log.size = size;
  t.equal((await exportWith(rotating)).status, 0);
  t.equal(readFileSync(join(folder, "events.jsonl.0000000000000100"), "utf8"), "somebody's\n");
  t.same(indexes(readFileSync(join(folder, "events.jsonl.0000000000000100.1"), "utf8")), upTo(0, 100));
  t.same(indexes(readFileSync(output, "utf8")), upTo(100, size));
  t.equal(readdirSync(folder).filter((name) => name.includes(".tmp")).length, 0);
});

t.test("a file that somebody moves away is begun anew, and what was written while he did so is in both", async (t) => {
  const folder = temporaryFolder(t);
  const output = join(folder, "events.jsonl");
  const packed = join(folder, "events.jsonl.1");
  const told: string[] = [];
  const written: string[] = [];
  const hooks = {
    log: (message: string) => void told.push(message),
    // Of the third write: between the bytes and their being durable.
    at: (point: string) => {
      if (point === "file:written" && written.push(point) === 3) renameSync(output, packed);
    },
  };
  const sink = await FileSink.open(output, { raw: false, maxRow: 1_000_000, rotate: 1_000_000, hooks });
  const write = (index: number): Promise<number> => sink.write([rowOf(vectors.entries[index]!, index)], index + 1);
  await write(0);
  rmSync(output);
  await write(1);
  t.same(indexes(readFileSync(output, "utf8")), [1]);
  t.match(told, [/moved away or deleted/]);
  await write(2);
  t.same(indexes(readFileSync(packed, "utf8")), [1, 2]);
  t.same(indexes(readFileSync(output, "utf8")), [2]);
  await sink.close();
});

t.test("standard output, from an index, and from a time", async (t) => {
  const { folder, output, args } = await place(t, vectorLog());
  const to = (name: string): string[] => ["--position", join(folder, name)];
  const missing = await exportWith(args);
  t.match([missing.status, missing.told], [64, /--position FILE is missing/]);
  t.same(indexes((await run(["export", ...args, ...to("a"), "--from", "290"])).stdout), upTo(290, size));
  t.match((await exportWith([...args, ...to("a"), "--from", "0"])).told, /0 rows written/);
  const times = vectors.entries.map((entry) => (JSON.parse(entry) as { time: string }).time);
  const since = times[size - 40]!;
  const expected = times.findIndex((time) => time >= since);
  t.ok(expected > 0);
  t.equal((await exportWith([...args, ...to("b"), "--output", output, "--since", since])).status, 0);
  t.same(indexes(readFileSync(output, "utf8")), upTo(expected, size));
  const never = await exportWith([...args, ...to("c"), "--output", output, "--since", "2999-01-01"]);
  t.match([never.status, never.told, existsSync(join(folder, "c"))], [0, /0 rows written/, false]);
});

t.test("what was not signed is not passed on", async (t) => {
  const honest = vectorLog();
  const forged = new TestLog(honest.key, [
    ...vectors.entries.slice(0, 260),
    vectors.entries[0]!,
    ...vectors.entries.slice(261),
  ]);
  const { output, args } = await place(t, honest, (path, response) => {
    if (!path.startsWith("/tile/entries/001")) return false;
    response.end(forged.file(path));
    return true;
  });
  const result = await exportWith([...args, "--output", output]);
  t.match([result.status, result.told], [1, /leaf_mismatch {2}at .*260/]);
  const written = readFileSync(output, "utf8");
  t.ok(written === "" || indexes(written).every((index) => index < 256));

  const other = await place(t, honest, (path, response) => {
    if (path !== "/checkpoint") return false;
    const note = honest.checkpoint();
    response.end(note.replace(/.{8}\n$/, "AAAAAAA=\n"));
    return true;
  });
  const unsigned = await exportWith([...other.args, "--output", other.output]);
  t.match([unsigned.status, unsigned.told], [1, /signature_invalid|note_malformed/]);
  t.equal(readFileSync(other.output, "utf8"), "");
});

t.test("a log that lost entries is told, and a missing bundle is no success", async (t) => {
  const { folder, output, log, args } = await place(t, vectorLog());
  t.equal((await exportWith([...args, "--output", output])).status, 0);
  log.size = 200;
  const back = await exportWith([...args, "--output", output]);
  t.match([back.status, back.told], [1, /rolled_back/]);
  const fresh = await exportWith([
    ...args.map((arg) => (arg.endsWith("/state") ? join(folder, "other") : arg)),
    "--output",
    output,
  ]);
  t.match([fresh.status, fresh.told], [1, /rolled_back.*\n.*tree of 200 entries, and [0-9]+ were exported/]);
  const holes = await place(t, vectorLog(), (path, response) => {
    if (!path.startsWith("/tile/entries/000")) return false;
    response.writeHead(404).end();
    return true;
  });
  const missing = await exportWith([...holes.args, "--output", holes.output]);
  t.match([missing.status, missing.told], [2, /data_missing/]);
});

t.test("a position of something else is refused, and changed by nobody else", async (t) => {
  const { folder, output, args } = await place(t, vectorLog(100));
  t.equal((await exportWith([...args, "--output", output])).status, 0);
  const position = `${output}.position`;
  const good = readFileSync(position, "utf8");
  const otlp = args.map((arg) => (arg === "ocsf" ? "otlp" : arg));
  const form = await exportWith([...otlp, "--endpoint", "http://127.0.0.1:1", "--position", position]);
  t.match([form.status, form.told], [65, /position_invalid.*export as ocsf/]);
  writeFileSync(position, good.replace('"next":100', '"next":101'));
  const damaged = await exportWith([...args, "--output", output]);
  t.match([damaged.status, damaged.told], [65, /position_invalid.*damaged/]);
  const strange = await place(t, new TestLog({ ...vectorLog().key }, vectors.entries));
  writeFileSync(`${strange.output}.position`, good.replace("log", "gol"));
  t.equal((await exportWith([...strange.args, "--output", strange.output])).status, 65);
  t.ok(existsSync(join(folder, "state")));
});

t.test("a command line that cannot be meant", async (t) => {
  const good = ["--log", "http://127.0.0.1:1", "--vkey", vectors.vkey, "--state", temporaryFolder(t)];
  const cases: [string[], RegExp][] = [
    [[], /--format ocsf\|otlp is missing/],
    [["--format", "csv"], /neither ocsf nor otlp/],
    [["--format", "ocsf", "--endpoint", "http://a"], /--endpoint is not for --format ocsf/],
    [["--format", "otlp", "--raw"], /--raw is not for --format otlp/],
    [["--format", "otlp"], /--endpoint URL is missing/],
    [["--format", "ocsf", "--rotate", "1M"], /--rotate is for a file/],
    [["--format", "ocsf", "--output", "a", "--rotate", "0"], /--rotate is not a size/],
    [["--format", "ocsf", "--output", "a", "--max-row", "1K"], /--max-row is below 262144/],
    [["--format", "ocsf", "--output", "a", "--once", "--follow"], /exclude each other/],
    [["--format", "ocsf", "--output", "a", "--reason", "abc"], /--reason belongs to --token/],
    [["--format", "ocsf", "--output", "a", "--token", "abc", "--reason", "a\nb"], /--reason is no reason/],
  ];
  for (const [args, expected] of cases) {
    const { status, told } = await exportWith([...good, ...args]);
    t.match([status, told], [64, expected]);
  }
});

t.end();
