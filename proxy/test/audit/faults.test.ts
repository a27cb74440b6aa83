import t from "tap";
import { type Act, systemError, WatchedDisk } from "./disk.ts";
import { durable, run, setUp, statement, until } from "./help.ts";

for (const [errno, code] of [
  ["EIO", "spool_failed"],
  ["ENOSPC", "disk_full"],
] as const) {
  t.test(`a write that fails with ${errno}: nothing is reported durable from then on`, async (t) => {
    const bench = await setUp(t);
    const disk = new WatchedDisk();
    const recorder = await bench.open({ disk: disk.open });
    await run(recorder, "before");
    const kept = statement("kept");
    const open = recorder.intend("statement", kept.members, kept.disclosures);
    await durable(recorder, open.position);
    await until("the log has what is durable", () => recorder.stats().unsubmitted === 0);
    let failing = true;
    let attempts = 0;
    disk.fault = (act) => {
      if (act !== "write") return;
      attempts++;
      if (failing) throw systemError(errno);
    };
    const { members, disclosures } = statement("never");
    const intent = recorder.intend("statement", members, disclosures);
    let called = false;
    recorder.whenDurable(intent.position, () => {
      called = true;
    });
    await until("it has failed", () => recorder.state === "failed");
    t.match(bench.states.at(-1), { state: "failed", error: { code } });
    // The disk would work again; a sync that failed once must not be believed.
    failing = false;
    t.throws(() => recorder.intend("statement", members, disclosures), { code });
    t.equal(recorder.record("session.end", '"session":"1.1"', []), Number.POSITIVE_INFINITY);
    recorder.complete(intent, '"outcome":"completed"', []);
    recorder.drop(open);
    recorder.whenDurable(open.position, () => {
      called = true;
    });
    t.notOk(recorder.isDurable(open.position));
    await new Promise((resolve) => setTimeout(resolve, 60));
    t.same({ called, attempts }, { called: false, attempts: 1 });
    await recorder.stop("shutdown", 200);
    t.equal(attempts, 1);

    const next = await bench.open();
    t.same(await next.stop("shutdown", 60_000), { unsubmitted: 0 });
    t.same(bench.log.violations, []);
    t.same(
      bench.log.ofKind("statement").map(({ json }) => [json.name, json.outcome]),
      [
        ["before", "completed"],
        ["kept", "unknown"],
      ],
    );
  });
}

t.test("a start on a disk that fails says so and holds nothing", async (t) => {
  const bench = await setUp(t);
  await (await bench.open()).stop("shutdown", 60_000);
  for (const act of ["list", "open", "write", "rename", "syncNames", "truncate", "read"] satisfies Act[]) {
    const disk = new WatchedDisk();
    disk.fault = (what) => {
      if (what === act) throw systemError("EIO");
    };
    await t.rejects(bench.open({ disk: disk.open }), { code: "spool_failed", message: /EIO/ }, act);
  }
  const full = new WatchedDisk();
  full.fault = (what) => {
    if (what === "create") throw systemError("ENOSPC");
  };
  const spool = { ...bench.options().spool, segmentBytes: 100 * 1024 };
  await t.rejects(bench.open({ spool, disk: full.open }), { code: "disk_full" });
  const recorder = await bench.open();
  t.same(await recorder.stop("shutdown", 60_000), { unsubmitted: 0 });
  t.same(bench.log.violations, []);
});

t.test("no room for the next segment fails when it is needed, not before", async (t) => {
  const bench = await setUp(t);
  const disk = new WatchedDisk();
  const spool = { ...bench.options().spool, segmentBytes: 8192 };
  const recorder = await bench.open({ spool, disk: disk.open });
  await until("source.start is submitted", () => recorder.stats().unsubmitted === 0);
  await bench.log.close();
  disk.fault = (act) => {
    if (act === "create") throw systemError("ENOSPC");
  };
  let runs = 0;
  // A callback for what was never durable would end this loop's await; it does not come.
  void (async () => {
    for (; recorder.state !== "failed"; runs++) await run(recorder, `s${runs}`);
  })();
  await until("it has failed", () => recorder.state === "failed");
  t.match(bench.states.at(-1), { error: { code: "disk_full" } });
  t.ok(runs >= 2, `${runs} statements found room`);
  await recorder.stop("shutdown", 0);
  await bench.log.listen();
  const next = await bench.open({ spool });
  t.same(await next.stop("shutdown", 60_000), { unsubmitted: 0 });
  t.same(bench.log.violations, []);
  t.equal(bench.log.ofKind("statement").length, runs);
});

t.test("a spool that reads back wrong is not submitted", async (t) => {
  const bench = await setUp(t);
  const disk = new WatchedDisk();
  const recorder = await bench.open({ disk: disk.open });
  await until("source.start is submitted", () => recorder.stats().unsubmitted === 0);
  disk.fault = (act) => {
    if (act === "read") throw systemError("EIO");
  };
  await run(recorder, "a");
  await until("it has failed", () => recorder.state === "failed");
  t.match(bench.states.at(-1), { error: { code: "spool_failed", message: /EIO/ } });
  await recorder.stop("shutdown", 100);
  t.equal(bench.log.entries.length, 1);
});

t.test("while one batch is on its way, the next gathers", async (t) => {
  const bench = await setUp(t);
  const disk = new WatchedDisk();
  const recorder = await bench.open({ disk: disk.open });
  // Nothing else is on its way: neither its start, nor that the log has it.
  await run(recorder, "before");
  await until("the log has all", () => recorder.stats().unsubmitted === 0);
  await run(recorder, "after");
  let release: () => void = () => undefined;
  disk.hold = new Promise((resolve) => {
    release = resolve;
  });
  const written = disk.writes.length;
  const intend = (name: string): number => recorder.intend("statement", statement(name).members, []).position;
  const order: string[] = [];
  const first = intend("first");
  recorder.whenDurable(first, () => order.push("first"));
  await new Promise((resolve) => setTimeout(resolve, 10));
  for (const name of ["second", "third"]) recorder.whenDurable(intend(name), () => order.push(name));
  recorder.whenDurable(first, () => order.push("first again"));
  await new Promise((resolve) => setTimeout(resolve, 10));
  t.same(order, []);
  release();
  await until("all are durable", () => order.length === 4);
  t.same(order, ["first", "first again", "second", "third"]);
  t.equal(disk.writes.length, written + 2);
  await recorder.stop("shutdown", 60_000);
});
