import { rm } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { copySpool } from "./disk.ts";
import { newKeys, run, setUp, tempDir, until } from "./help.ts";

t.test("a lost spool: the new epoch follows on what the log has, and says so", async (t) => {
  const bench = await setUp(t);
  const first = await bench.open();
  await run(first, "a");
  await first.stop("shutdown", 60_000);
  const chain = bench.log.chain.toString("base64");
  await rm(bench.dir, { recursive: true });
  const second = await bench.open();
  t.equal(second.epoch, 2);
  t.same(await second.stop("shutdown", 60_000), { unsubmitted: 0 });
  t.same(bench.log.violations, []);
  t.same(bench.log.ofKind("source.start")[1]!.json.previous, { epoch: 1, next: 3, chain, clean: false, spool: "lost" });
});

t.test("a lost spool is also declared when the first start after it crashed before source.start", async (t) => {
  const bench = await setUp(t);
  await (await bench.open()).stop("shutdown", 60_000);
  await rm(bench.dir, { recursive: true });
  const copy = join(await tempDir(t), "copy");
  let copied: Promise<void> | undefined;
  const second = await bench.open({
    hooks: {
      at: (point) => {
        if (point === "open.segment") copied = copySpool(bench.dir, copy);
      },
    },
  });
  await copied;
  await until("the log has it", () => second.stats().unsubmitted === 0);
  await second.stop("shutdown", 60_000);
  bench.log.entries = bench.log.entries.filter(({ json }) => json.epoch === 1);
  bench.log.epoch = 1;
  bench.log.rollBack(2);
  // The copy may hold source.start already; then it was the crash after it.
  const third = await bench.open({ spool: { ...bench.options().spool, dir: copy } });
  t.same(await third.stop("shutdown", 60_000), { unsubmitted: 0 });
  t.same(bench.log.violations, []);
  t.match(bench.log.ofKind("source.start")[1]!.json.previous, { epoch: 1, next: 2, clean: false, spool: "lost" });
});

t.test("a new spool needs the log", async (t) => {
  const bench = await setUp(t);
  if (process.platform === "linux") {
    // Where Node's own mkdir never returns.
    const spool = { ...bench.options().spool, dir: "/proc/none/spool" };
    await t.rejects(bench.open({ spool }), { code: "spool_failed", message: /ENOENT/ });
  }
  await bench.log.close();
  await t.rejects(bench.open(), { code: "log_unreachable", message: /ECONNREFUSED/ });
  await bench.log.listen();
  bench.log.interceptSources = () => ({ status: 200, body: { sources: "none" } });
  await t.rejects(bench.open(), { code: "log_unreachable" });
  bench.log.interceptSources = () => ({ status: 503 });
  await t.rejects(bench.open(), { code: "log_unreachable" });
  bench.log.interceptSources = undefined;
  const recorder = await bench.open();
  t.equal(recorder.epoch, 1, "and what failed before left nothing behind");
  await recorder.stop("shutdown", 60_000);
  t.same(bench.log.violations, []);
});

t.test("a log that does not know the source, or knows another key, is not written to", async (t) => {
  const bench = await setUp(t);
  bench.log.interceptSources = () => ({ status: 200, body: { sources: [] } });
  await t.rejects(bench.open(), { code: "log_refused", message: /register its key/ });
  const { vkey } = newKeys("proxy-1.example");
  bench.log.interceptSources = () => ({
    status: 200,
    body: { sources: [{ name: "proxy-1.example", vkey, epoch: 0, next: 0, chain: "" }] },
  });
  await t.rejects(bench.open(), { code: "log_refused", message: /by the key/ });
  bench.log.interceptSources = () => ({ status: 403, body: { error: { code: "unknown_source", message: "who?" } } });
  await t.rejects(bench.open(), { code: "log_refused", message: /who\?/ });
});

t.test(
  "another log than the one whose key is given is said to be one, whether it knows the source or not",
  async (t) => {
    const bench = await setUp(t);
    const origin = bench.options().log.vkey.split("+")[0];
    const { vkey } = newKeys("proxy-1.example");
    for (const sources of [[], [{ name: "proxy-1.example", vkey, epoch: 0, next: 0, chain: "" }]]) {
      bench.log.interceptSources = () => ({ status: 200, body: { origin: "other.example/log", sources } });
      await t.rejects(bench.open(), {
        code: "log_refused",
        message: `the log that answers is other.example/log, and the key in "log.vkey" is that of ${origin}: correct "log.url" or "log.vkey"`,
      });
    }
    bench.log.interceptSources = () => ({ status: 200, body: { origin, sources: [] } });
    await t.rejects(bench.open(), { code: "log_refused", message: /register its key/ });
  },
);

t.test("a log that does not answer is told once, and that it takes entries again", async (t) => {
  const bench = await setUp(t);
  await (await bench.open()).stop("shutdown", 60_000);
  await bench.log.close();
  const told: (string | undefined)[] = [];
  const recorder = await bench.open({ onTrouble: (why) => told.push(why) });
  await until("it is told", () => told.length > 0);
  await bench.log.listen();
  await until("it has all", () => recorder.stats().unsubmitted === 0);
  await recorder.stop("shutdown", 60_000);
  t.match(told, [/ECONNREFUSED/, undefined]);
  t.equal(told.length, 2);
  t.same(bench.log.violations, []);
});

t.test("a log with less than it acknowledged was rolled back", async (t) => {
  const bench = await setUp(t);
  const first = await bench.open();
  for (let i = 0; i < 5; i++) await run(first, `s${i}`);
  await first.stop("shutdown", 60_000);
  bench.log.rollBack(4);
  await t.rejects(bench.open(), { code: "log_rolled_back", message: /next 4, but .* next 7/ });
});

t.test("a spool restored from an older copy is behind its log", async (t) => {
  const bench = await setUp(t);
  const first = await bench.open();
  await run(first, "a");
  await until("the log has it", () => first.stats().unsubmitted === 0);
  const copy = join(await tempDir(t), "copy");
  await copySpool(bench.dir, copy);
  await run(first, "b");
  await first.stop("shutdown", 60_000);
  const spool = { ...bench.options().spool, dir: copy };
  await t.rejects(bench.open({ spool }), { code: "spool_behind", message: /epoch 1, next 4/ });

  // The same when the log has as many entries as the spool, but others.
  bench.log.rollBack(2);
  bench.log.chain = Buffer.alloc(32, 7);
  const other = await bench.open({ spool }).catch((error: unknown) => error);
  t.match(other, { code: /spool_behind|log_rolled_back/ });
});

t.test(
  "with its spool a source starts without the log, and holds them against each other when it answers",
  async (t) => {
    const bench = await setUp(t);
    const first = await bench.open();
    for (let i = 0; i < 5; i++) await run(first, `s${i}`);
    await first.stop("shutdown", 60_000);
    await bench.log.close();
    const second = await bench.open();
    t.equal(second.epoch, 2);
    await run(second, "while the log was away");
    await bench.log.listen();
    await until("the log has all", () => second.stats().unsubmitted === 0);
    await second.stop("shutdown", 60_000);
    t.same(bench.log.violations, []);

    await bench.log.close();
    const third = await bench.open();
    bench.log.rollBack(2);
    await bench.log.listen();
    await until("it has failed", () => third.state === "failed");
    t.match(bench.states.at(-1), { state: "failed", error: { code: "log_rolled_back" } });
    const { requests } = bench.log;
    t.match(await third.stop("shutdown", 200), { unsubmitted: 2 });
    t.equal(bench.log.requests, requests, "nothing was submitted to it");
  },
);
