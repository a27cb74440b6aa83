import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { readCommandLine } from "../../cli/args.ts";
import { makeRecord } from "../support/test-record.ts";
import { exportTo } from "./support/folder.ts";
import { TestLog, vectorLog, vectors } from "./support/log.ts";
import { run, temporaryFolder } from "./support/run.ts";

const [source] = vectors.sources as [(typeof vectors.sources)[number]];
const lines = makeRecord({ origin: vectors.origin, source: source.name, vkey: source.vkey }, vectorLog().entries);

t.test("a source's record, held against the log", async (t) => {
  const folder = temporaryFolder(t);
  const [log, file] = [join(folder, "log"), join(folder, "submitted")];
  writeFileSync(file, `${lines.join("\n")}\n{"epoch":3,`);
  exportTo(log, vectorLog());
  const args = ["verify", file, "--log", log, "--vkey", vectors.vkey, "--state", join(folder, "state")];
  const good = await run([...args, "--source", source.vkey]);
  t.equal(good.status, 0, good.stdout + good.stderr);
  t.match(good.stdout, `Source     ${source.name}`);
  t.match(good.stdout, "Its last line is torn");
  t.match(good.stdout, /^PASS\nEstablished: all 162 entries that the record names/m);

  // The log's key signs a tree in which one entry of the source is another: whoever kept a checkpoint would see it too.
  const at = vectors.entries.findIndex((entry) => entry.includes(source.name) && entry.includes("alice"));
  exportTo(log, new TestLog(vectorLog().key, vectors.entries.with(at, vectors.entries[at]!.replace("alice", "carol"))));
  const fresh = args.with(-1, join(folder, "other"));
  const bad = await run([...fresh, "--json"]);
  t.equal(bad.status, 1);
  t.match(bad.json, {
    command: "verify",
    form: "record",
    verdict: "FAIL",
    findings: [{ code: "submitted_changed", source: source.name }],
    record: { origin: vectors.origin, source: source.name, vkey: source.vkey, torn: true },
  });
  const { firstBad } = bad.json as { firstBad: { index: number; count: number } };
  t.ok(firstBad.index <= at && at < firstBad.index + firstBad.count);
});

t.test("a file that is something else says what it looks like, and is not verified as that", async (t) => {
  const folder = temporaryFolder(t);
  const log = join(folder, "log");
  exportTo(log, vectorLog());
  const key = ["--vkey", vectors.vkey];
  const at = ["--log", log, "--state", join(folder, "state")];
  const file = (name: string, content: string): string => {
    writeFileSync(join(folder, name), content);
    return join(folder, name);
  };
  const bundle = join(folder, "bundle");
  await run(["prove", ...key, ...at, "--index", "3", "-o", bundle]);
  const record = file("record", `${lines.join("\n")}\n`);
  const receipt = file("receipt", '{"format":"vitrine/receipt/v1"}\n');
  const note = file("note", readFileSync(join(log, "checkpoint"), "utf8"));
  const { proof } = JSON.parse(readFileSync(bundle, "utf8")) as { proof: string };
  const cases: [string[], RegExp][] = [
    [[bundle, ...at], /^The file looks like an evidence bundle, which is verified without --log\.$/m],
    [[bundle, "--checkpoint"], /an evidence bundle/],
    [[receipt], /a receipt, which is verified with --receipt and --log\.$/m],
    [[receipt, ...at], /a receipt/],
    [[record], /a proxy's record of what it submitted, which takes --log\.$/m],
    [[record, ...at, "--receipt"], /a proxy's record/],
    [[note], /a signed checkpoint, which is verified with --checkpoint\.$/m],
    [[file("proof", proof)], /a tlog-proof, which is verified with --entry\.$/m],
  ];
  for (const [args, said] of cases)
    t.match(await run(["verify", ...args, ...key]), { status: 1, stdout: /^FAIL$/m, stderr: said }, args.join(" "));
  // What is nothing of the kind, or what it was to be, is not guessed at.
  for (const name of [file("text", "hello\n"), file("cut", readFileSync(bundle, "utf8").slice(0, 200))])
    t.match(await run(["verify", name, ...key]), { status: 1, stderr: /^$/ });
});

t.test("the command line", async (t) => {
  const log = ["--log", "http://127.0.0.1:9"];
  const cases: [string[], RegExp][] = [
    [["--source", source.vkey], /--source is for a record or a receipt, which take a --log as well/],
    [["--state", "x"], /--state is for a record/],
    [[...log, "--checkpoint"], /--log is for a record/],
    [[...log, "--entry", "x"], /--log is for a record/],
    [["--receipt"], /--receipt takes a --log as well/],
    [[...log, "--receipt", "--checkpoint"], /--log is for a record or a receipt/],
  ];
  for (const [args, message] of cases) {
    t.throws(() => readCommandLine(["verify", "file", "--vkey", vectors.vkey, ...args]), { code: "usage", message });
  }
});
