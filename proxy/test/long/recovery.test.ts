import { copyFileSync, mkdirSync, readdirSync, readFileSync, renameSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import type { CrashPoint, Intent } from "../../src/audit/index.ts";
import { SEGMENT_HEAD } from "../../src/audit/segment.ts";
import { alter, copySpool, segments, WatchedDisk } from "../audit/disk.ts";
import { newKeys, setUp, statement, tempDir, until } from "../audit/help.ts";
import { TestLog } from "../audit/log.ts";

interface Moment {
  readonly dir: string;
  /** The last segment, and where the last batch in it begins and ends. */
  readonly segment: string;
  readonly from: number;
  readonly to: number;
  readonly completed: readonly string[];
  readonly open: readonly string[];
}

/** Carries out a fixed story, one durable batch a step, and keeps a copy of the folder after each. */
async function story(
  t: Parameters<typeof setUp>[0],
  segmentBytes: number,
): Promise<{ bench: Awaited<ReturnType<typeof setUp>>; moments: Moment[] }> {
  const bench = await setUp(t);
  const disk = new WatchedDisk();
  const spool = { dir: bench.dir, maxBytes: 1e9, maxAgeMs: 1e9, segmentBytes };
  const recorder = await bench.open({ spool, disk: disk.open });
  await until("source.start is submitted", () => recorder.stats().unsubmitted === 0);
  await bench.log.close();
  const copies = await tempDir(t);
  const open = new Map<string, Intent>();
  const completed: string[] = [];
  const moments: Moment[] = [];
  const step = async (act: () => void): Promise<void> => {
    const { commits } = recorder.stats();
    act();
    // The mark of what was acknowledged may still be on its way when the first step comes: then its commit is the next.
    const positions = [...open.values()].map(({ position }) => position);
    const isDurable = (): boolean => positions.every((position) => recorder.isDurable(position));
    await until("the step is durable", () => recorder.stats().commits > commits && isDurable());
    const { position, bytes } = disk.writes.at(-1)!;
    const dir = join(copies, String(moments.length));
    await copySpool(bench.dir, dir);
    const segment = (await segments(dir)).at(-1)!;
    moments.push({
      dir,
      segment,
      from: position,
      to: position + bytes.length,
      completed: [...completed],
      open: [...open.keys()],
    });
  };
  const intend = (name: string): void => {
    const { members, disclosures } = statement(name, 400);
    open.set(name, recorder.intend("statement", members, disclosures));
  };
  const complete = (name: string): void => {
    recorder.complete(open.get(name)!, '"outcome":"completed"', []);
    open.delete(name);
    completed.push(name);
  };
  await step(() => intend("long"));
  for (let i = 0; i < 5; i++) {
    await step(() => {
      intend(`a${i}`);
      intend(`b${i}`);
    });
    await step(() => complete(`b${i}`));
    await step(() => {
      recorder.drop(open.get(`a${i}`)!);
      open.delete(`a${i}`);
      intend(`c${i}`);
    });
    if (i < 3) await step(() => complete(`c${i}`));
  }
  await recorder.stop("shutdown", 0);
  return { bench, moments };
}

for (const [what, segmentBytes] of [
  ["one segment", 64 * 1024],
  ["many small segments", 8 * 1024],
] as const) {
  t.test(`recovery finds all that was durable, at each step and at torn ends: ${what}`, async (t) => {
    const { bench, moments } = await story(t, segmentBytes);
    const recover = async (dir: string, expected: Pick<Moment, "completed" | "open">, where: string): Promise<void> => {
      // A log that knows what the first one had acknowledged, which is source.start.
      const log = await new TestLog(bench.keys.vkey, bench.log.vkey).listen();
      Object.assign(log, { entries: bench.log.entries.slice(0, 1), epoch: 1, next: 1, chain: bench.log.chain });
      const recorder = await bench.open({
        spool: { dir, maxBytes: 1e9, maxAgeMs: 1e9, segmentBytes },
        log: { url: log.url, vkey: log.vkey },
      });
      const { unsubmitted } = await recorder.stop("shutdown", 60_000);
      await log.close();
      const names = log.ofKind("statement").map(({ json }) => [json.name, json.outcome, json.recovered]);
      t.same(
        { unsubmitted, violations: log.violations, names, epoch: log.epoch },
        {
          unsubmitted: 0,
          violations: [],
          names: [
            ...expected.completed.map((name) => [name, "completed", undefined]),
            ...expected.open.map((name) => [name, "unknown", { epoch: 1 }]),
          ],
          epoch: 2,
        },
        where,
      );
    };
    for (const [i, moment] of moments.entries()) {
      const before = moments[i - 1] ?? { completed: [], open: [] };
      const whole = `${moment.dir}-whole`;
      await copySpool(moment.dir, whole);
      await recover(whole, moment, `after step ${i}`);
      const length = moment.to - moment.from;
      const cuts = [
        0,
        1,
        15,
        16,
        17,
        length - 1,
        Math.floor(Math.random() * length),
        Math.floor(Math.random() * length),
      ];
      // Each step is cut in three ways out of these, so that a run stays short; over the steps all come up.
      for (const [j, cut] of cuts.filter((_, j) => j % 3 === i % 3).entries()) {
        const torn = `${moment.dir}-torn-${j}`;
        await copySpool(moment.dir, torn);
        const at = moment.from + cut;
        await alter(join(torn, moment.segment), (bytes) => {
          if (j === 0) return bytes.subarray(0, at);
          bytes.fill(j === 1 ? 0 : 0xa5, at, moment.to);
          return undefined;
        });
        await recover(torn, before, `step ${i} of ${length} bytes cut at ${cut}`);
        await rm(torn, { recursive: true });
      }
    }
  });
}

t.test("damage before the end of a spool is not taken for a torn end", async (t) => {
  const { bench, moments } = await story(t, 8 * 1024);
  const last = moments.at(-1)!;
  const names = await segments(last.dir);
  t.ok(names.length >= 3);
  const damaged = async (
    what: string,
    file: string,
    change: (bytes: Buffer) => Buffer | undefined,
    code = "spool_corrupt",
  ): Promise<void> => {
    const dir = `${last.dir}-${what.replaceAll(" ", "-")}`;
    await copySpool(last.dir, dir);
    await alter(join(dir, file), change);
    const spool = { dir, maxBytes: 1e9, maxAgeMs: 1e9, segmentBytes: 8192 };
    await t.rejects(bench.open({ spool }), { code, message: new RegExp(file) }, what);
    await t.rejects(bench.open({ spool }), { code }, `${what}: the lock was given up, and nothing repaired`);
  };
  const flip = (at: number) => (bytes: Buffer) => {
    bytes[at]! ^= 1;
    return undefined;
  };
  const [first, second] = names as [string, string];
  await damaged("a bit in the first batch of an old segment", first, flip(SEGMENT_HEAD + 40));
  await damaged("an old segment cut", first, (bytes) => bytes.subarray(0, SEGMENT_HEAD + 100));
  await damaged("a bit in a head", second, flip(200));
  await damaged("a head cut", second, (bytes) => bytes.subarray(0, 100));
  await damaged("a mark overwritten", second, flip(0));
  await damaged("another version", second, flip(14), "spool_version");
  const inner = moments.findLast(({ segment, from }) => segment === last.segment && from < last.from);
  t.ok(inner !== undefined, "the last segment has a batch before its last");
  await damaged("a bit before the last batch", last.segment, flip(inner!.from + 30));
  await damaged("a batch's nonce", last.segment, flip(inner!.from));

  const gap = `${last.dir}-gap`;
  await copySpool(last.dir, gap);
  await rm(join(gap, second));
  const spool = (dir: string) => ({ dir, maxBytes: 1e9, maxAgeMs: 1e9, segmentBytes: 8192 });
  await t.rejects(bench.open({ spool: spool(gap) }), { code: "spool_corrupt", message: /missing/ });

  const other = newKeys("proxy-1.example");
  await t.rejects(bench.open({ spool: spool(last.dir), key: other.skey }), { code: "spool_version" });
});

t.test("a long statement does not hold on to old segments", async (t) => {
  const bench = await setUp(t);
  const spool = { dir: bench.dir, maxBytes: 1e9, maxAgeMs: 1e9, segmentBytes: 8192 };
  const recorder = await bench.open({ spool });
  const { members, disclosures } = statement("long");
  recorder.intend("statement", members, disclosures);
  for (let i = 0; i < 100; i++) {
    const quick = statement(`quick ${i}`);
    const intent = recorder.intend("statement", quick.members, quick.disclosures);
    await new Promise<void>((resolve) => recorder.whenDurable(intent.position, resolve));
    recorder.complete(intent, '"outcome":"completed"', []);
  }
  await until("old segments are gone", () => recorder.stats().unsubmitted === 0 && recorder.stats().segments <= 2);
  const names = await segments(bench.dir);
  t.notMatch(names[0], /0001$/);
  const copy = `${await tempDir(t)}/copy`;
  await copySpool(bench.dir, copy);
  await recorder.stop("shutdown", 60_000);

  const log = await new TestLog(bench.keys.vkey, bench.log.vkey).listen();
  const kept = bench.log.entries.filter(({ json }) => json.kind !== "source.stop");
  Object.assign(log, { entries: kept, epoch: 1, next: kept.length });
  log.rollBack(kept.length);
  const next = await bench.open({ spool: { ...spool, dir: copy }, log: { url: log.url, vkey: log.vkey } });
  t.same(await next.stop("shutdown", 60_000), { unsubmitted: 0 });
  await log.close();
  t.same(log.violations, []);
  const long = log.ofKind("statement").filter(({ json }) => json.name === "long");
  t.match(
    long.map(({ json }) => json),
    [{ outcome: "unknown", recovered: { epoch: 1 }, epoch: 2 }],
  );
  t.match(long[0]!.disclosures, [/select 'long'/]);
});

t.test("a restart during an outage does not take a whole segment each time", async (t) => {
  const bench = await setUp(t);
  await (await bench.open()).stop("shutdown", 60_000);
  await bench.log.close();
  for (let i = 0; i < 5; i++) await (await bench.open()).stop("shutdown", 0);
  await bench.log.listen();
  const recorder = await bench.open();
  t.equal(recorder.epoch, 7);
  t.same(await recorder.stop("shutdown", 60_000), { unsubmitted: 0 });
  t.same(bench.log.violations, []);
  t.equal(bench.log.ofKind("source.start").length, 7);
  t.ok((await segments(bench.dir)).length <= 2, "and what was acknowledged is removed");
});

t.test("a power cut may undo a change of names that was not synced", async (t) => {
  const bench = await setUp(t);
  const copies = await tempDir(t);
  const spool = { dir: bench.dir, maxBytes: 1e9, maxAgeMs: 1e9, segmentBytes: 16 * 1024 };
  const kept: { dir: string; acknowledged: number }[] = [];
  let undone = 0;
  const keep = (point: CrashPoint): void => {
    if ((point !== "segment.named" && point !== "prune.renamed") || kept.length === 30) return;
    const names = readdirSync(bench.dir).filter((name) => /^(segment-\d+|spare)$/.test(name));
    const numbered = names.filter((name) => name !== "spare").sort();
    let undo: [from: string, to: string];
    if (point === "segment.named") undo = [numbered.at(-1)!, "spare"];
    else {
      const before = Number(numbered[0]!.slice(-16)) - 1;
      // When there was a spare already, the segment was removed; that cannot be undone here.
      const spare = names.includes("spare") ? readFileSync(join(bench.dir, "spare"), "latin1") : "";
      if (!spare.includes(`"number":${before},`)) return;
      undo = ["spare", `segment-${String(before).padStart(16, "0")}`];
      undone++;
    }
    const dir = join(copies, `${kept.length}-${point}`);
    mkdirSync(dir);
    for (const name of names) copyFileSync(join(bench.dir, name), join(dir, name));
    renameSync(join(dir, undo[0]), join(dir, undo[1]));
    kept.push({ dir, acknowledged: bench.log.next });
  };
  const recorder = await bench.open({ spool, hooks: { at: keep } });
  for (let i = 0; i < 150; i++) {
    const { members, disclosures } = statement(`s${i}`, 400);
    const intent = recorder.intend("statement", members, disclosures);
    await new Promise<void>((resolve) => recorder.whenDurable(intent.position, resolve));
    recorder.complete(intent, '"outcome":"completed"', []);
    await until("the log has all", () => recorder.stats().unsubmitted === 0);
  }
  await recorder.stop("shutdown", 60_000);
  t.ok(kept.length >= 20);
  t.ok(undone > 5);
  // The very first copy is of a spool without any segment: a new one.
  for (const { dir, acknowledged } of kept.slice(1)) {
    const log = await new TestLog(bench.keys.vkey, bench.log.vkey).listen();
    Object.assign(log, { entries: [...bench.log.entries], epoch: 1 });
    log.rollBack(acknowledged);
    const next = await bench.open({ spool: { ...spool, dir }, log: { url: log.url, vkey: log.vkey } });
    const { unsubmitted } = await next.stop("shutdown", 60_000);
    await log.close();
    const names = log.ofKind("statement").map(({ json }) => json.name);
    t.same(
      { unsubmitted, violations: log.violations, epoch: log.epoch },
      { unsubmitted: 0, violations: [], epoch: 2 },
      dir,
    );
    t.same(
      names,
      Array.from(names, (_, i) => `s${i}`),
      "each once, in order",
    );
  }
});
