import t from "tap";
import { run, setUp, until } from "./help.ts";
import type { Reply } from "./log.ts";

const refusal = (status: number, code: string, more: object = {}, headers = {}): Reply => ({
  status,
  headers,
  body: { error: { code, message: `${code}, says the log`, ...more } },
});

t.test("answers that may change are waited out, and nothing is lost or doubled", async (t) => {
  const bench = await setUp(t);
  const recorder = await bench.open();
  await until("source.start is submitted", () => recorder.stats().unsubmitted === 0);
  const replies: (Reply | undefined)[] = [
    refusal(429, "too_busy", {}, { "retry-after": "0" }),
    refusal(503, "stopping", {}, { "retry-after": new Date().toUTCString() }),
    undefined,
    refusal(500, "internal"),
    { status: 200, body: { source: "somebody else", epoch: 1, next: 99, ranges: [] } },
    undefined,
    { status: 404 },
  ];
  bench.log.intercept = () => replies.shift();
  for (let i = 0; i < 20; i++) {
    await run(recorder, `s${i}`);
    if (i % 5 === 4) await until("the log has these", () => recorder.stats().unsubmitted === 0);
  }
  t.equal(replies.length, 0);
  t.equal(recorder.stats().submitter.retries, 5);
  t.equal(recorder.stats().submitter.trouble, undefined);
  bench.log.dropAnswers = 2;
  for (let i = 20; i < 40; i++) await run(recorder, `s${i}`);
  t.same(await recorder.stop("shutdown", 60_000), { unsubmitted: 0 });
  t.equal(bench.log.dropAnswers, 0, "the log got entries twice, and knew them again");
  t.same(bench.log.violations, []);
  t.equal(bench.log.ofKind("statement").length, 40);
});

t.test("Retry-After is kept", async (t) => {
  const bench = await setUp(t);
  const recorder = await bench.open();
  await until("source.start is submitted", () => recorder.stats().unsubmitted === 0);
  const at: number[] = [];
  bench.log.intercept = () => {
    at.push(performance.now());
    return at.length === 1 ? refusal(429, "too_busy", {}, { "retry-after": "1" }) : undefined;
  };
  await run(recorder, "a");
  await until("the log has all", () => recorder.stats().unsubmitted === 0);
  t.ok(at[1]! - at[0]! >= 990, `${at[1]! - at[0]!} ms`);
  await recorder.stop("shutdown", 60_000);
});

for (const [status, code] of [
  [400, "bad_entry"],
  [403, "unknown_source"],
  [409, "sequence_conflict"],
] as const) {
  t.test(`${status} ${code} is for good; the entries stay`, async (t) => {
    const bench = await setUp(t);
    const recorder = await bench.open();
    await until("source.start is submitted", () => recorder.stats().unsubmitted === 0);
    bench.log.intercept = () => refusal(status, code);
    const { requests } = bench.log;
    await run(recorder, "a");
    await until("it has failed", () => recorder.state === "failed");
    t.match(bench.states.at(-1), { state: "failed", error: { code: "log_refused", message: `${code}, says the log` } });
    t.throws(() => recorder.intend("statement", '"x":1', []), { code: "log_refused" });
    recorder.record("session.end", '"session":"1.1"', []);
    t.match(await recorder.stop("shutdown", 200), { unsubmitted: 3 });
    t.equal(bench.log.requests, requests + 1, "it does not ask again");
    bench.log.intercept = undefined;
    const next = await bench.open();
    t.same(await next.stop("shutdown", 60_000), { unsubmitted: 0 });
    t.same(bench.log.violations, []);
    t.equal(bench.log.ofKind("statement").length, 1);
  });
}

t.test("what is too large for the log is cut in half until it is not", async (t) => {
  const bench = await setUp(t);
  const recorder = await bench.open({ lingerMs: 50 });
  await until("source.start is submitted", () => recorder.stats().unsubmitted === 0);
  bench.log.maxBody = 4000;
  for (let i = 0; i < 50; i++) await run(recorder, `s${i}`);
  await until("the log has all", () => recorder.stats().unsubmitted === 0);
  t.ok(Math.max(...bench.log.batches) < 25);
  await run(recorder, "alone too large", 5000);
  await until("it has failed", () => recorder.state === "failed");
  t.match(bench.states.at(-1), { error: { code: "log_refused", message: "body_too_large" } });
  t.same(await recorder.stop("shutdown", 100), { unsubmitted: 2 });
  t.same(bench.log.violations, []);
});

t.test(
  "a long backlog is read back from the segments, in submissions of at most 1 MiB and 4,096 entries",
  async (t) => {
    const bench = await setUp(t);
    const spool = { dir: bench.dir, maxBytes: 1e9, maxAgeMs: 1e9, segmentBytes: 1024 * 1024 };
    const recorder = await bench.open({ spool });
    await until("source.start is submitted", () => recorder.stats().unsubmitted === 0);
    await bench.log.close();
    for (let i = 0; i < 10_000; i++) recorder.record("session.start", `"session":"1.${i}"`, []);
    for (let i = 0; i < 50; i++) await run(recorder, `large ${i}`, 100_000);
    t.ok(recorder.stats().segments > 5);
    bench.log.batches = [];
    await bench.log.listen();
    t.same(await recorder.stop("shutdown", 60_000), { unsubmitted: 0 });
    t.same(bench.log.violations, []);
    t.equal(Math.max(...bench.log.batches), 4096);
    t.ok(bench.log.batches.filter((count) => count <= 10).length >= 5, "ten of the large ones fill one");
    const seqs = bench.log.entries.map(({ json }) => json.seq);
    t.same(
      seqs,
      Array.from(seqs, (_, i) => i),
    );
  },
);

t.test("a log that lost entries while running is not fed on", async (t) => {
  const bench = await setUp(t);
  const recorder = await bench.open();
  for (let i = 0; i < 10; i++) await run(recorder, `s${i}`);
  await until("the log has all", () => recorder.stats().unsubmitted === 0);
  bench.log.rollBack(5);
  await run(recorder, "a");
  await until("it has failed", () => recorder.state === "failed");
  t.match(bench.states.at(-1), { error: { code: "log_rolled_back", message: "sequence 5" } });
  await recorder.stop("shutdown", 100);
});

t.test("stopping does not wait longer than it is told to", async (t) => {
  const bench = await setUp(t);
  const recorder = await bench.open();
  await until("source.start is submitted", () => recorder.stats().unsubmitted === 0);
  bench.log.intercept = () => refusal(503, "stopping", {}, { "retry-after": "100" });
  await run(recorder, "a");
  const began = performance.now();
  t.same(await recorder.stop("shutdown", 100), { unsubmitted: 2 });
  t.ok(performance.now() - began < 20_000);
});
