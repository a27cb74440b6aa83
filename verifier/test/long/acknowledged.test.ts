import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { Acknowledgements, acknowledgeable, parseAcknowledged } from "../../cli/acknowledged.ts";
import { type FindingCode, findingVerdicts } from "../../src/errors.ts";
import { testKey } from "../cli/support/keys.ts";
import { TestLog } from "../cli/support/log.ts";
import { run, temporaryFolder } from "../cli/support/run.ts";
import { serve } from "../cli/support/server.ts";
import { TestSource } from "../support/test-source.ts";
import { readSpec } from "../support/vectors.ts";

const origin = "log.example";
const said = { by: "ada", time: "2026-11-24", reason: "the disk died\u001b[31m" };

type Shown = { code: string; message: string; index?: number; acknowledged?: object };

/** A source that lost its spool, and then wrote on; with `wrong`, one that also left an entry out. */
function entriesOf(wrong: boolean): string[] {
  const source = new TestSource();
  source.run(3);
  const { epoch, seq, chain } = source;
  const previous = { epoch, next: seq, chain: Buffer.from(chain).toString("base64"), clean: true, spool: "lost" };
  source.start({ previous });
  source.session(1);
  source.statement(1);
  source.statement(1);
  source.sessionEnd(1);
  source.stop();
  return wrong ? source.entries.filter((_, i) => i !== 2) : source.entries;
}

t.test("that the exit status is 3 is said where it is", async (t) => {
  const folder = temporaryFolder(t);
  const state = join(folder, "state");
  const server = await serve(new TestLog(testKey(origin), entriesOf(false)), (path) => {
    // The folder goes away while the command is at work, so nothing can be kept.
    if (path.startsWith("/tile/entries")) rmSync(state, { recursive: true });
    return false;
  });
  t.teardown(() => server.close());
  const file = join(folder, "acknowledged.json");
  const args = ["audit", "--log", server.url, "--vkey", testKey(origin).vkey, "--state", state];
  const { findings } = (await run([...args, "--json"])).json;
  const acknowledged = (findings as Shown[]).map((finding) => ({ ...finding, ...said }));
  writeFileSync(file, JSON.stringify({ format: "vitrine/acknowledged/v1", log: origin, acknowledged }));
  const text = await run([...args, "--acknowledged", file]);
  t.equal(text.status, 64);
  t.match(text.stdout, /The state was not advanced/);
  t.notMatch(text.stdout, /exit status is 3/);
});

t.test("what somebody has looked into is shown with what was said; the verdict stays", async (t) => {
  const server = await serve(new TestLog(testKey(origin), entriesOf(false)));
  t.teardown(() => server.close());
  const folder = temporaryFolder(t);
  const file = join(folder, "acknowledged.json");
  const state = join(folder, "state");
  const args = ["audit", "--log", server.url, "--vkey", testKey(origin).vkey, "--state", state];
  const bare = await run([...args, "--json"]);
  t.match(bare.json, { verdict: "NOT PROVEN", acknowledged: false, findings: [{ code: "declared_gap" }] });
  t.equal(bare.status, 2);
  const [gap] = bare.json.findings as [Shown];
  const write = (...acknowledged: object[]): void =>
    writeFileSync(file, JSON.stringify({ format: "vitrine/acknowledged/v1", log: origin, acknowledged }));
  write({ ...gap, ...said });
  const json = await run([...args, "--acknowledged", file, "--json"]);
  t.equal(json.status, 3);
  t.match(json.json, {
    verdict: "NOT PROVEN",
    acknowledged: true,
    findings: [{ ...gap, acknowledged: { ...said, time: "2026-11-24T00:00:00.000000Z" } }],
  });
  const text = await run([...args, "--acknowledged", file]);
  t.equal(text.status, 3);
  t.match(text.stdout, /^NOT PROVEN$/m);
  t.notMatch(text.stdout, /^PASS/m);
  t.match(text.stdout, /acknowledged by ada at 2026-11-24T00:00:00.000000Z: the disk died\\x1b\[31m/);
  t.match(text.stdout, /exit status is 3/);
  const acknowledgements = await Acknowledgements.read(file, origin);
  t.ok(acknowledgements.of(gap!));
  for (const other of [
    { index: gap.index! + 1 },
    { message: `${gap.message} ` },
    { code: "epoch_break" },
    { source: "proxy-b.example" },
    { epoch: 1 },
  ]) {
    t.equal(acknowledgements.of({ ...gap!, ...other }), undefined, JSON.stringify(other));
  }

  const status = join(folder, "status");
  const monitor = ["monitor", "--once", ...args.slice(1), "--acknowledged", file, "--status", status];
  const first = await run(monitor);
  t.match(first, { status: 3, stdout: /raised {2}NOT PROVEN {2}declared_gap/ });
  t.match(JSON.parse(readFileSync(status, "utf8")), {
    verdict: "NOT PROVEN",
    logs: [{ verdict: "NOT PROVEN", alerts: [{ alert: "declared_gap", acknowledged: { by: "ada" } }] }],
  });
  t.equal((await run(monitor.toSpliced(monitor.indexOf("--acknowledged"), 2))).status, 2);
});

t.test("a FAIL that is acknowledged is a FAIL, and what comes beside it is not covered", async (t) => {
  const server = await serve(new TestLog(testKey(origin), entriesOf(true)));
  t.teardown(() => server.close());
  const folder = temporaryFolder(t);
  const file = join(folder, "acknowledged.json");
  const args = ["audit", "--log", server.url, "--vkey", testKey(origin).vkey, "--state", join(folder, "state")];
  const findings = (await run([...args, "--json"])).json.findings as Shown[];
  t.ok(findings.length > 1);
  const write = (list: readonly Shown[]): void => {
    const acknowledged = list.map((one) => ({ ...one, ...said }));
    writeFileSync(file, JSON.stringify({ format: "vitrine/acknowledged/v1", log: origin, acknowledged }));
  };
  write(findings.slice(1));
  t.equal((await run([...args, "--acknowledged", file])).status, 1);
  write(findings);
  const all = await run([...args, "--acknowledged", file]);
  t.equal(all.status, 3);
  t.match(all.stdout, /^FAIL$/m);
  const absent = await run([...args, "--acknowledged", file, "--source", testKey("nobody.example").vkey]);
  t.equal(absent.status, 1, "a source is missing besides");
});

t.test("a file that is none, or acknowledges what cannot be", async (t) => {
  const good = { code: "declared_gap", message: "m", index: 1, source: "s", epoch: 2, seq: 0, ...said };
  const parse = (acknowledged: unknown, more: object = {}): unknown =>
    parseAcknowledged(
      JSON.stringify({ format: "vitrine/acknowledged/v1", log: origin, acknowledged, ...more }),
      origin,
      "f",
    );
  t.match(parse([good]), [{ code: "declared_gap", index: 1, time: "2026-11-24T00:00:00.000000Z" }]);
  const bad: [unknown, object?][] = [
    [[good], { format: "vitrine/acknowledged/v2" }],
    [[good], { log: "another.example" }],
    [good],
    [["x"]],
    [[{ ...good, reason: " " }]],
    [[{ ...good, by: undefined }]],
    [[{ ...good, time: "yesterday" }]],
    [[{ ...good, index: undefined }]],
    [[{ ...good, index: -1 }]],
    [[{ ...good, seq: 1.5 }]],
    [[{ ...good, source: 7 }]],
    [[{ ...good, reason: "x".repeat(2001) }]],
    [[{ ...good, code: "toString" }]],
  ];
  for (const [list, more] of bad) t.throws(() => parse(list, more), { code: "usage" }, JSON.stringify(list));
  t.throws(() => parseAcknowledged("{", origin, "f"), { code: "usage" });
  for (const code of Object.keys(findingVerdicts) as FindingCode[]) {
    if (!acknowledgeable.has(code)) t.throws(() => parse([{ ...good, code }]), { code: "usage" }, code);
  }
});

t.test("what can be acknowledged never goes away: the spec names the same", async (t) => {
  const page = readSpec("monitor.md");
  const lasting = /alerts over E, S2 to S8, N and `declared_gap`/.test(page);
  t.ok(lasting && /findings of E, S2 to S8, S13 and N, `epoch_break` and `declared_gap`/.test(page));
  for (const code of ["data_missing", "leaf_mismatch", "root_mismatch", "split_view", "inconsistent", "unsealed"]) {
    t.notOk(acknowledgeable.has(code as FindingCode), code);
  }
});
