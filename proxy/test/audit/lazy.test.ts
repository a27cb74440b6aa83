import { join } from "node:path";
import t from "tap";
import { copySpool, WatchedDisk } from "./disk.ts";
import { setUp, statement, tempDir, until } from "./help.ts";
import { TestLog } from "./log.ts";

const RELAXED = { reads: "relaxed", others: "relaxed", windowMs: 100 } as const;

t.test("a quick statement under relaxed durability never writes its intent", async (t) => {
  const bench = await setUp(t);
  const disk = new WatchedDisk();
  const recorder = await bench.open({ disk: disk.open, durability: RELAXED });
  const { members, disclosures } = statement("quick");
  for (let i = 0; i < 100; i++) {
    const intent = recorder.intend("statement", members, disclosures, true);
    t.equal(intent.position, Number.POSITIVE_INFINITY);
    t.notOk(recorder.isDurable(intent.position));
    if (i === 50) recorder.drop(intent);
    else recorder.complete(intent, '"outcome":"completed"', []);
  }
  t.equal(recorder.stats().openIntents, 0);
  await recorder.stop("shutdown", 60_000);
  const written = Buffer.concat(disk.writes.map(({ bytes }) => bytes)).toString("latin1");
  t.equal(written.split('"name":"quick"').length - 1, 99, "once each");
  t.equal(bench.log.ofKind("statement").length, 99);
  t.same(bench.log.violations, []);
  t.match(bench.log.entries[0]!.json.durability, { reads: "relaxed", others: "relaxed", window_ms: 100 });
});

t.test("a slow one is written within the window, and found after a crash", async (t) => {
  const bench = await setUp(t);
  const recorder = await bench.open({ durability: RELAXED });
  const slow = statement("slow");
  const began = performance.now();
  const intent = recorder.intend("statement", slow.members, slow.disclosures, true);
  await until("it is durable", () => recorder.isDurable(intent.position));
  t.ok(performance.now() - began >= 45, "not before half the window");
  const copy = join(await tempDir(t), "copy");
  await copySpool(bench.dir, copy);
  recorder.complete(intent, '"outcome":"completed"', []);
  await recorder.stop("shutdown", 60_000);
  t.match(
    bench.log.ofKind("statement").map(({ json }) => json),
    [{ outcome: "completed" }],
  );

  const log = await new TestLog(bench.keys.vkey, bench.log.vkey).listen();
  Object.assign(log, { entries: bench.log.entries, epoch: 1 });
  log.rollBack(1);
  const next = await bench.open({
    spool: { ...bench.options().spool, dir: copy },
    log: { url: log.url, vkey: log.vkey },
  });
  await next.stop("shutdown", 60_000);
  await log.close();
  t.match(
    log.ofKind("statement").map(({ json }) => json),
    [{ outcome: "unknown", recovered: { epoch: 1 } }],
  );
  t.same(log.violations, []);
});
