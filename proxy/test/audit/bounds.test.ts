import t from "tap";
import { Bounds } from "../../src/audit/bounds.ts";
import { ProxyError } from "../../src/errors.ts";
import { durable, run, setUp, statement, until } from "./help.ts";

t.test("the states follow bytes and age, and are left only some way below", (t) => {
  const bounds = new Bounds(1000, 1000);
  const at = (bytes: number, now = 0): string => {
    bounds.update(bytes, now);
    return bounds.state;
  };
  t.same(
    [0, 799, 800, 899, 900, 5000, 850, 800, 799, 700, 699, 750, 800].map((bytes) => at(bytes)),
    // The seventh: below where it closes, but not yet far enough.
    "open,open,restricted,restricted,closed,closed,closed,closed,restricted,restricted,open,open,restricted".split(","),
  );
  t.equal(at(0), "open");
  bounds.wrote(10, 5000);
  bounds.wrote(20, 5500);
  bounds.wrote(30, 6200);
  t.equal(at(0, 5799), "open");
  t.equal(at(0, 5800), "restricted");
  t.equal(at(0, 6000), "closed");
  bounds.acknowledged(10);
  t.equal(bounds.age(6300), 100, "a sample stands for the second behind it");
  t.equal(at(0, 6300), "open");
  bounds.acknowledged(30);
  t.equal(bounds.age(9999), 0);
  t.end();
});

t.test("an outage: open, restricted, closed, and open again when the log is back", async (t) => {
  const bench = await setUp(t);
  const spool = { dir: bench.dir, maxBytes: 200_000, maxAgeMs: 1e9, segmentBytes: 16 * 1024 };
  const recorder = await bench.open({ spool });
  await bench.log.close();
  const { members, disclosures } = statement("begun before");
  const begun = recorder.intend("statement", members, disclosures);
  let count = 0;
  while (recorder.state === "open") await run(recorder, `s${count++}`);
  t.equal(recorder.state, "restricted");
  t.ok(recorder.stats().bytes >= 158_000, "at eight tenths, but for what the last one had reserved and did not need");
  let refused: unknown;
  while (refused === undefined) {
    try {
      await run(recorder, `s${count++}`);
    } catch (error) {
      refused = error;
    }
  }
  t.equal((refused as ProxyError).code, "spool_full");
  t.ok(refused instanceof ProxyError);
  t.equal(recorder.state, "closed");
  t.ok(recorder.stats().bytes < 182_000 + 4096, "at nine tenths");
  recorder.complete(begun, '"outcome":"completed"', []);
  recorder.record("access.refused", '"by":"proxy","sqlstate":"57P03"', []);
  recorder.record("session.end", '"session":"1.1"', []);
  await until("the proxy has tried", () => recorder.stats().submitter.retries > 0);
  t.match(recorder.stats().submitter.trouble, /ECONNREFUSED/);

  await bench.log.listen();
  await until("all is submitted", () => recorder.stats().unsubmitted === 0 && recorder.state === "open");
  await run(recorder, "after");
  t.same(await recorder.stop("shutdown", 60_000), { unsubmitted: 0 });
  t.same(bench.log.violations, []);
  t.same(
    bench.states.map(({ state }) => state),
    // One request may bring it from closed to open.
    bench.states.length === 3 ? ["restricted", "closed", "open"] : ["restricted", "closed", "restricted", "open"],
  );
  // The refused one took a name.
  t.equal(bench.log.ofKind("statement").length, count - 1 + 2);
});

t.test("an outage that is too long closes the spool, also across a restart", async (t) => {
  const bench = await setUp(t);
  const first = await bench.open();
  await until("source.start is submitted", () => first.stats().unsubmitted === 0);
  await bench.log.close();
  await first.stop("shutdown", 0);
  await new Promise((resolve) => setTimeout(resolve, 60));
  const recorder = await bench.open({ spool: { dir: bench.dir, maxBytes: 1e9, maxAgeMs: 50 } });
  t.equal(recorder.state, "closed", "source.stop is older than 50 ms");
  t.throws(() => recorder.intend("statement", '"x":1', []), { code: "spool_full" });
  await bench.log.listen();
  await until("it drains", () => recorder.state === "open");
  t.same(await recorder.stop("shutdown", 60_000), { unsubmitted: 0 });
  t.same(bench.log.violations, []);
});

t.test("open intents reserve the room that their entries will need", async (t) => {
  const bench = await setUp(t);
  const spool = { dir: bench.dir, maxBytes: 1_000_000, maxAgeMs: 1e9, segmentBytes: 16 * 1024 };
  const recorder = await bench.open({ spool });
  await bench.log.close();
  const intents = [];
  for (let i = 0; recorder.state !== "closed"; i++) {
    const { members, disclosures } = statement(`s${i}`, 5000);
    const intent = recorder.intend("statement", members, disclosures);
    intents.push(intent);
    await durable(recorder, intent.position);
  }
  for (const intent of intents) recorder.complete(intent, '"outcome":"failed","sqlstate":"57P03"', []);
  await until("all is written", () => recorder.stats().openIntents === 0);
  t.ok(recorder.stats().bytes <= 1_000_000, `${recorder.stats().bytes} bytes with all of them completed`);
  await bench.log.listen();
  t.same(await recorder.stop("shutdown", 60_000), { unsubmitted: 0 });
  t.equal(bench.log.ofKind("statement").length, intents.length);
  t.same(bench.log.violations, []);
});

t.test("not even within one turn does a spool take more intents than it has room for", async (t) => {
  const bench = await setUp(t);
  const spool = { dir: bench.dir, maxBytes: 1_000_000, maxAgeMs: 1e9 };
  const recorder = await bench.open({ spool });
  const { members, disclosures } = statement("s", 5000);
  let count = 0;
  const intend = (): void => {
    for (; count < 10_000; count++) recorder.intend("statement", members, disclosures);
  };
  t.throws(intend, { code: "spool_full" });
  t.ok(count > 50 && count < 100, `${count} had room`);
  t.ok(recorder.stats().bytes < 1_020_000);
  await until("the state follows", () => recorder.state === "closed");
  await recorder.stop("shutdown", 60_000);
});
