import { cp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import t, { type Test } from "tap";
import type { LogServerConfig } from "../../src/config/config.ts";
import { checkpointText } from "../../src/formats/checkpoint.ts";
import { EMPTY_ROOT } from "../../src/formats/merkle.ts";
import { generateKey, parseNote, parseSignerKey, signNote } from "../../src/formats/note.ts";
import { parsePolicy } from "../../src/formats/policy.ts";
import { type RunningLogServer, startLogServer } from "../../src/start.ts";
import { witnessTiming } from "../../src/witnesses/witness.ts";
import { Witnesses } from "../../src/witnesses/witnesses.ts";
import { get, published, submit } from "../support/client.ts";
import { makeCosigner } from "../support/cosigner.ts";
import { FakeWitness } from "../support/fake-witness.ts";
import { type LogFolder, makeLogFolder, ORIGIN } from "../support/folder.ts";
import { TestSource } from "../support/source.ts";

// A whole log with witnesses. The policy is always two of three.

interface Scene {
  readonly folder: LogFolder;
  readonly source: TestSource;
  readonly fakes: readonly FakeWitness[];
  readonly lines: string[];
  start(changes?: Partial<LogServerConfig>): Promise<RunningLogServer>;
}

async function scene(t: Test): Promise<Scene> {
  const source = new TestSource("s").start().fill(50);
  const folder = await makeLogFolder([source.key.vkey]);
  const fakes = await Promise.all(["w0", "w1", "w2"].map((name) => FakeWitness.start(name)));
  const witnesses = join(folder.path, "policy");
  const policy = fakes.map(({ key, url }, i) => `witness w${i} ${key.vkey} ${url}\n`);
  await writeFile(witnesses, `log ${folder.vkey}\n${policy.join("")}group g 2 w0 w1 w2\nquorum g\n`);
  const lines: string[] = [];
  const running: RunningLogServer[] = [];
  t.after(async () => {
    for (const log of running) await log.close();
    for (const fake of fakes) await fake.close();
    await folder.remove();
  });
  const start = async (changes: Partial<LogServerConfig> = {}): Promise<RunningLogServer> => {
    const config = folder.config({ witnesses, checkpointIntervalMs: 10, witnessTimeoutMs: 5000, ...changes });
    const log = await startLogServer(config, { log: (level, message) => lines.push(`${level} ${message}`) });
    running.push(log);
    return log;
  };
  return { folder, source, fakes, lines, start };
}

const cosigners = (note: string): string[] =>
  parseNote(Buffer.from(note))!
    .signatures.map(({ name }) => name)
    .filter((name) => name !== ORIGIN);

async function until<T>(look: () => Promise<T | undefined>): Promise<T> {
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** Waits for a checkpoint that these have cosigned, all of them and no other. */
const cosignedBy = (log: RunningLogServer, size: number, ...names: string[]): Promise<string> =>
  until(async () => {
    const { note } = await published(log.url, size);
    return cosigners(note).join() === names.join() ? note : undefined;
  });

t.test("each checkpoint has the cosignatures of all, and the log says so", async (t) => {
  const { source, fakes, start, folder } = await scene(t);
  const log = await start();
  const first = (await get(log.url, "/checkpoint")).body.toString();
  t.same(cosigners(first), ["w0", "w1", "w2"], "the empty tree too, before the log listens");
  for (const size of [1, 5, 33]) {
    await submit(log.url, source.submission(ORIGIN, fakes[0]!.size, size));
    const { note } = await published(log.url, size);
    t.same(cosigners(note), ["w0", "w1", "w2"], "published with them, not before");
    const guard = await readFile(folder.config().guard, "utf8");
    t.ok(note.startsWith(guard), "the guard has the log's signature alone");
    t.same(cosigners(guard), []);
  }
  const health = await get(log.url, "/healthz");
  t.match(health.json(), {
    status: "ok",
    checks: { witnesses: "ok", history: "ok", edge: "ok" },
    witnesses: { quorum: true, of: 3, cosigned: [{ name: "w0" }, { name: "w1" }, { name: "w2" }], missing: [] },
  });
  const metrics = (await get(log.url, "/metrics")).body.toString();
  t.match(metrics, /\nvitrine_log_witness_quorum 1\n/);
  t.match(metrics, /\nvitrine_log_cosignatures 3\n/);
  t.match(metrics, /\nvitrine_log_witness_answers_total\{witness="w1",result="cosigned"\} 4\n/);
  for (const stage of ["sign", "guard", "witness", "publish"]) {
    t.match(metrics, new RegExp(`\nvitrine_log_stage_seconds_count\\{stage="${stage}"\\} 4\n`));
  }
  for (const stage of ["queue", "write"]) {
    t.match(metrics, new RegExp(`\nvitrine_log_stage_seconds_count\\{stage="${stage}"\\} 3\n`));
  }
});

t.test("one that is down is done without, and two are degraded; a quorum that is required is failing", async (t) => {
  const { source, fakes, start, lines } = await scene(t);
  await fakes[1]!.close();
  const log = await start();
  await submit(log.url, source.submission(ORIGIN, 0, 3));
  await cosignedBy(log, 3, "w0", "w2");
  t.match((await get(log.url, "/healthz")).json(), {
    status: "ok",
    witnesses: { quorum: true, missing: [{ name: "w1", failure: "unreachable", message: /ECONNREFUSED/ }] },
  });
  t.match(lines.join("\n"), /^warn witness w1: unreachable: .*ECONNREFUSED.*; the log goes on without it$/m);
  await log.close();
  fakes[0]!.behaviour = (_, response) => response.writeHead(500).end();
  const again = await start();
  const health = await get(again.url, "/healthz");
  t.equal(health.status, 200);
  t.match(health.json(), {
    status: "degraded",
    checks: { witnesses: /has 1 of 3 cosignatures.*w0 \(unavailable since .*Z\), w1 \(unreachable since/ },
  });
  t.match((await get(again.url, "/metrics")).body.toString(), /\nvitrine_log_witness_quorum 0\n/);
  await again.close();
  const strict = await start({ witnessesRequired: true });
  t.match(await get(strict.url, "/healthz"), { status: 500 });
});

t.test("a witness that hangs delays one checkpoint, and what it says late is added", async (t) => {
  const { source, fakes, start, lines } = await scene(t);
  const log = await start({ witnessTimeoutMs: 3000 });
  const held: (() => void)[] = [];
  fakes[2]!.behaviour = (asked, response, request) => {
    held.push(() => fakes[2]!.honest(asked, response, request));
  };
  await submit(log.url, source.submission(ORIGIN, 0, 3));
  const { note } = await published(log.url, 3);
  t.same(cosigners(note), ["w0", "w1"], "at the deadline");
  const etag = (await get(log.url, "/checkpoint")).headers.etag;
  fakes[2]!.behaviour = undefined;
  held[0]!();
  const late = await cosignedBy(log, 3, "w0", "w1", "w2");
  t.ok(late.startsWith(note));
  t.not((await get(log.url, "/checkpoint")).headers.etag, etag);
  t.same(lines, [], "late is no failure");
});

t.test("after a restart the checkpoint that is there is cosigned again", async (t) => {
  const { source, fakes, start } = await scene(t);
  const log = await start();
  await submit(log.url, source.submission(ORIGIN, 0, 3));
  await published(log.url, 3);
  await log.close();
  const again = await start();
  t.same(cosigners((await get(again.url, "/checkpoint")).body.toString()), ["w0", "w1", "w2"]);
  t.same(
    fakes[0]!.asked.slice(-2).map(({ old, size }) => [old, size]),
    [
      [0, 3],
      [3, 3],
    ],
    "its size is learnt",
  );
});

t.test("set back to an older copy, guard and all: the witnesses have seen more", async (t) => {
  const { folder, source, start, lines } = await scene(t);
  const log = await start();
  await submit(log.url, source.submission(ORIGIN, 0, 3));
  await published(log.url, 3);
  await log.close();
  const copy = join(folder.path, "copy");
  for (const part of ["log", "guard"]) await cp(join(folder.path, part), join(copy, part), { recursive: true });
  const more = await start();
  await submit(more.url, source.submission(ORIGIN, 3, 9));
  await published(more.url, 9);
  await more.close();
  for (const part of ["log", "guard"]) {
    await rm(join(folder.path, part), { recursive: true });
    await cp(join(copy, part), join(folder.path, part), { recursive: true });
  }
  const older = await start();
  const health = await get(older.url, "/healthz");
  t.equal(health.status, 500);
  t.match(health.json(), {
    status: "failing",
    checks: { history: /witness w0: it has cosigned .* of size 9, and the log's last is of size 3: .*set back/ },
  });
  t.equal(lines.filter((line) => /^error witness w\d: ahead: /.test(line)).length, 3);
  t.match((await get(older.url, "/metrics")).body.toString(), /\nvitrine_log_witness_alarms 3\n/);
  // The same is found when the second history has grown past the first.
  const other = new TestSource("s");
  Object.assign(other, { key: source.key });
  other.epochs[0] = source.entries.slice(0, 3);
  other.fill(20, 7);
  await submit(older.url, other.submission(ORIGIN, 3));
  await published(older.url, 23);
  await older.close();
  lines.length = 0;
  const grown = await start();
  t.match((await get(grown.url, "/healthz")).json(), {
    checks: { history: /witness w0: it has cosigned another tree of size 9/ },
  });
  t.equal(lines.filter((line) => /^error witness w\d: split: /.test(line)).length, 3);
});

t.test("what a witness shows stops the log if its own key has signed it, and nothing else does", async (t) => {
  const { folder, source, fakes, start, lines } = await scene(t);
  const log = await start();
  await submit(log.url, source.submission(ORIGIN, 0, 3));
  await published(log.url, 3);
  await log.close();
  const copy = join(folder.path, "copy");
  for (const part of ["log", "guard"]) await cp(join(folder.path, part), join(copy, part), { recursive: true });
  const more = await start();
  await submit(more.url, source.submission(ORIGIN, 3, 9));
  const { note } = await published(more.url, 9);
  await more.close();
  const older = {
    store: join(copy, "log/store"),
    index: join(copy, "log/index"),
    guard: join(copy, "guard/checkpoint"),
  };
  const guard = await readFile(older.guard);
  const foreign = signNote(note.slice(0, note.indexOf("\n\n") + 1), parseSignerKey(generateKey(ORIGIN).skey)!);
  const damaged = note.replace("\n9\n", "\n8\n");
  lines.length = 0;
  for (const lie of [foreign, damaged, "\u001b[31m", "x".repeat(70_000), guard.toString()]) {
    fakes[0]!.shows = lie;
    const running = await start(older);
    t.match((await get(running.url, "/healthz")).json(), {
      status: "failing",
      checks: { tree: "ok", history: /size 9/ },
    });
    await running.close();
  }
  t.notMatch(lines.join("\n"), /\u001b/);
  fakes[0]!.shows = note;
  await t.rejects(start(older), {
    code: "store_behind",
    message:
      /has 3 entries, and the checkpoint that witness w0 has cosigned last was signed over 9: .*put back the newer/,
  });
  t.same(await readFile(older.guard), guard, "nothing was signed");
  // Found while it runs: the witness is told of the second history by the log itself.
  fakes[0]!.shows = undefined;
  const other = new TestSource("s");
  Object.assign(other, { key: source.key });
  other.epochs[0] = source.entries.slice(0, 3);
  other.fill(20, 7);
  const forked = await start(older);
  fakes[1]!.shows = note;
  await submit(forked.url, other.submission(ORIGIN, 3));
  t.match(await forked.failed, { code: "store_disagrees", message: /witness w1 has cosigned last/ });
});

t.test("policies that cannot be meant are refused at the start", async (t) => {
  const { folder, fakes, start } = await scene(t);
  const path = join(folder.path, "policy");
  const { vkey } = fakes[0]!.key;
  const cases: [string, RegExp][] = [
    [`log ${generateKey("other.example").vkey}\nquorum none\n`, /none with a key of this log, log\.example/],
    [`witness w ${vkey} ftp://x/\nquorum w\n`, /URL of w must be http/],
    [`witness w ${vkey} example.org\nquorum w\n`, /URL of w must be http/],
    [`witness w ${vkey} https://u:p@example.org/\nquorum w\n`, /without user/],
    [`witness w ${vkey} https://example.org/?a\nquorum w\n`, /query/],
    ["quorum w\n", /policy:1: no witness or group w/],
  ];
  for (const [text, message] of cases) {
    await writeFile(path, text);
    await t.rejects(start(), { code: "bad_config", message }, text);
  }
  await writeFile(path, `witness w ${vkey}\nquorum w\n`);
  const log = await start();
  t.match((await get(log.url, "/healthz")).json(), {
    status: "degraded",
    witnesses: { missing: [{ name: "w", failure: "no_url" }] },
  });
});

t.test("a checkpoint never gets longer than a reader takes", async (t) => {
  const text = checkpointText({ origin: ORIGIN, size: 0, root: EMPTY_ROOT });
  const signed = signNote(text, parseSignerKey(generateKey(ORIGIN).skey)!);
  for (const [count, length, most] of [
    [120, 5, 99],
    [90, 900, 64],
  ] as const) {
    const keys = Array.from({ length: count }, (_, i) => makeCosigner(`w${i}`.padEnd(length, "x")));
    const server = createServer((request, response) => {
      request.resume().on("end", () => response.end(keys[Number(request.url!.split("/")[1])]!.line(text)));
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo;
    const lines = keys.map(({ vkey }, i) => `witness w${i} ${vkey} http://127.0.0.1:${port}/${i}/\n`);
    const witnesses = new Witnesses({
      policy: parsePolicy(Buffer.from(`${lines.join("")}quorum none\n`), "p"),
      timing: witnessTiming(30_000),
      prove: async () => [],
      suspected: async () => {},
      answered: () => {},
      log: () => {},
    });
    const candidate = { size: 0, text, note: signed };
    await witnesses.collect(candidate);
    const note = witnesses.note(candidate);
    t.equal(witnesses.report(text).cosigned.length, count);
    t.equal(cosigners(note).length, most);
    t.ok(Buffer.byteLength(note) <= 65_536);
    witnesses.close();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
});

t.test("it stops in order under load while witnesses hang, and everything answered is signed", async (t) => {
  const { folder, source, fakes, start } = await scene(t);
  const log = await start({ witnessTimeoutMs: 200 });
  for (const fake of fakes) fake.behaviour = () => {};
  let acknowledged = 0;
  const feed = async (): Promise<void> => {
    for (;;) {
      source.fill(20, 100);
      const answer = await submit(log.url, source.submission(ORIGIN, acknowledged)).catch(() => undefined);
      if (answer?.status !== 200) return;
      acknowledged = answer.json().next;
    }
  };
  const feeding = feed();
  await published(log.url, 60);
  const start0 = performance.now();
  await log.close();
  const took = performance.now() - start0;
  await feeding;
  t.ok(took < 15_000, `it took ${took} ms`);
  t.match(await readFile(folder.config().guard, "utf8"), `${ORIGIN}\n${acknowledged}\n`);
});
