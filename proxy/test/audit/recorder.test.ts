import t from "tap";
import { durable, run, setUp, statement, until } from "./help.ts";

t.test("entries reach the log in sequence, chained, sealed and with their disclosures", async (t) => {
  const bench = await setUp(t);
  const recorder = await bench.open();
  t.equal(recorder.source, "proxy-1.example");
  t.equal(recorder.epoch, 1);
  t.equal(recorder.state, "open");
  const start = recorder.record("session.start", '"session":"1.1"', []);
  await durable(recorder, start);
  for (let i = 0; i < 50; i++) await run(recorder, `statement ${i}`);
  recorder.record("access.refused", '"by":"server"', []);
  recorder.record("session.end", '"session":"1.1"', []);
  t.same(await recorder.stop("shutdown", 60_000), { unsubmitted: 0 });
  t.same(bench.log.violations, []);
  t.equal(bench.log.entries.length, 1 + 1 + 50 + 2 + 1);
  t.same(
    bench.log.ofKind("statement").map(({ json }) => json.name),
    Array.from({ length: 50 }, (_, i) => `statement ${i}`),
  );
  t.equal(JSON.parse(bench.log.ofKind("statement")[7]!.disclosures[0]!)[2], "select 'statement 7'");
  const { json } = bench.log.entries[0]!;
  t.match(json, {
    kind: "source.start",
    vkey: bench.keys.vkey,
    software: { name: "test", version: "1.0.0" },
    config: "ab".repeat(32),
    durability: { reads: "before-result", others: "before-execute", window_ms: 0 },
    seals: { every_entries: 1000, every_ms: 10_000, idle_ms: 60_000 },
    previous: null,
  });
  t.match(bench.log.entries.at(-1)!.json, { kind: "source.stop", reason: "shutdown" });
});

t.test("the next epoch names the end of the one before", async (t) => {
  const bench = await setUp(t);
  const first = await bench.open();
  await run(first, "a");
  await first.stop("shutdown", 60_000);
  const chain = bench.log.chain.toString("base64");
  const second = await bench.open();
  t.equal(second.epoch, 2);
  await second.stop("shutdown", 60_000);
  t.same(bench.log.ofKind("source.start")[1]!.json.previous, { epoch: 1, next: 3, chain, clean: true, spool: "kept" });
  t.same(bench.log.violations, []);
});

t.test("a callback comes when its record is durable, in the order of the positions", async (t) => {
  const bench = await setUp(t);
  const recorder = await bench.open();
  const order: number[] = [];
  const intents = ["a", "b", "c"].map((name) => recorder.intend("statement", statement(name).members, []));
  // An intent without its disclosure is not what a proxy does; the log accepts a sealed value without one.
  t.notOk(recorder.isDurable(intents[0]!.position));
  const all = Promise.all(
    [2, 0, 1].map(
      (i) =>
        new Promise<void>((resolve) =>
          recorder.whenDurable(intents[i]!.position, () => {
            order.push(i);
            resolve();
          }),
        ),
    ),
  );
  t.same(order, [], "not in the same turn");
  await all;
  t.same(order, [0, 1, 2]);
  let called = false;
  recorder.whenDurable(intents[1]!.position, () => {
    called = true;
  });
  t.ok(called, "at once when it already is");
  for (const intent of intents) recorder.drop(intent);
  t.throws(() => recorder.drop(intents[0]!), /ended twice/);
  await recorder.stop("shutdown", 60_000);
  t.equal(bench.log.ofKind("statement").length, 0, "what was dropped has no entry");
});

t.test("group commit: intents of one turn share one write", async (t) => {
  const bench = await setUp(t);
  const recorder = await bench.open();
  const before = recorder.stats().commits;
  const intents = Array.from({ length: 64 }, (_, i) => {
    const { members, disclosures } = statement(`s${i}`);
    return recorder.intend("statement", members, disclosures);
  });
  await Promise.all(intents.map(({ position }) => durable(recorder, position)));
  t.equal(recorder.stats().commits, before + 1);
  t.equal(recorder.stats().openIntents, 64);
  for (const intent of intents) recorder.complete(intent, '"outcome":"completed"', []);
  await until("all is submitted", () => recorder.stats().unsubmitted === 0);
  t.equal(recorder.stats().submitter.lastIndex, bench.log.entries.length - 1);
  await recorder.stop("shutdown", 60_000);
});

t.test("records for which nobody waits get on their way", async (t) => {
  const bench = await setUp(t);
  const recorder = await bench.open();
  recorder.record("session.end", '"session":"1.9"', []);
  await until("the log has it", () => bench.log.ofKind("session.end").length === 1);
  t.same(bench.log.violations, []);
  await recorder.stop("shutdown", 60_000);
});

t.test("a session whose callback throws does not hold up the others", async (t) => {
  const bench = await setUp(t);
  const recorder = await bench.open();
  const a = recorder.intend("statement", statement("a").members, []);
  const b = recorder.intend("statement", statement("b").members, []);
  const surfaced = new Promise((resolve) => {
    const listeners = process.listeners("uncaughtException");
    process.removeAllListeners("uncaughtException");
    process.once("uncaughtException", (error) => {
      for (const listener of listeners) process.on("uncaughtException", listener);
      resolve(error.message);
    });
  });
  recorder.whenDurable(a.position, () => {
    throw new Error("a bug");
  });
  await durable(recorder, b.position);
  t.equal(await surfaced, "a bug");
  for (const intent of [a, b]) recorder.drop(intent);
  await recorder.stop("shutdown", 60_000);
});

t.test("seals: after so many entries, so long after an entry, and when idle", async (t) => {
  const bench = await setUp(t);
  const recorder = await bench.open({ seals: { everyEntries: 10, everyMs: 3_600_000, idleMs: 3_600_000 } });
  for (let i = 0; i < 35; i++) recorder.record("session.start", `"n":${i}`, []);
  await recorder.stop("shutdown", 60_000);
  t.same(
    bench.log.ofKind("source.seal").map(({ json }) => json.seq),
    [10, 21, 32],
    "each stands behind ten entries that no seal covers",
  );
  const second = await bench.open({ seals: { everyEntries: 1000, everyMs: 20, idleMs: 3_600_000 } });
  await until("source.start is sealed", () => second.stats().seals === 1);
  second.record("session.start", '"n":1', []);
  await until("the entry is sealed", () => second.stats().seals === 2);
  await second.stop("shutdown", 60_000);
  const third = await bench.open({ seals: { everyEntries: 1000, everyMs: 10, idleMs: 30 } });
  await until("seals follow on seals", () => third.stats().seals >= 3);
  await third.stop("shutdown", 60_000);
  t.same(bench.log.violations, []);
});

t.test("what is too large is refused before it is begun", async (t) => {
  const bench = await setUp(t);
  const recorder = await bench.open();
  t.throws(() => recorder.intend("statement", `"x":"${"é".repeat(31_000)}"`, []), { code: "statement_too_large" });
  t.throws(() => recorder.intend("statement", '"x":1', [new Uint8Array(16 * 1024 * 1024)]), {
    code: "statement_too_large",
  });
  const wide = recorder.intend("statement", `"x":"${"é".repeat(30_000)}"`, []);
  recorder.complete(wide, '"outcome":"completed"', []);
  t.throws(() => recorder.record("session.start", `"x":"${"y".repeat(65_535)}"`, []), /at most 65535/);
  await recorder.stop("shutdown", 60_000);
  t.throws(() => recorder.intend("statement", '"x":1', []), { code: "shutting_down" });
  t.throws(() => recorder.record("session.start", '"x":1', []), /after the recorder was stopped/);
  t.same(bench.log.violations, []);
  t.equal(bench.log.ofKind("statement").length, 1);
});

t.test("disclosures larger than a submission travel alone", async (t) => {
  const bench = await setUp(t);
  const recorder = await bench.open();
  await run(recorder, "small");
  await run(recorder, "large", 3 * 1024 * 1024);
  await run(recorder, "small again");
  t.same(await recorder.stop("shutdown", 60_000), { unsubmitted: 0 });
  t.same(bench.log.violations, []);
  t.equal(JSON.parse(bench.log.ofKind("statement")[1]!.disclosures[0]!)[2].length, 3 * 1024 * 1024 + 14);
});

t.test("what is still open at the end is recorded as unknown by the next start", async (t) => {
  const bench = await setUp(t);
  const first = await bench.open({ durability: { reads: "relaxed", others: "relaxed", windowMs: 10_000 } });
  const [a, b] = ["a", "b"].map((name) => {
    const { members, disclosures } = statement(name);
    return first.intend("statement", members, disclosures, name === "b");
  });
  await first.stop("shutdown", 60_000);
  // Too late: the epoch has ended.
  first.complete(a!, '"outcome":"completed"', []);
  first.drop(b!);
  const second = await bench.open();
  await second.stop("shutdown", 60_000);
  t.match(
    bench.log.ofKind("statement").map(({ json }) => json),
    ["a", "b"].map((name) => ({ name, epoch: 2, outcome: "unknown", recovered: { epoch: 1 } })),
  );
  t.match(bench.log.ofKind("source.start")[1]!.json.previous, { clean: true });
  t.same(bench.log.violations, []);
});
