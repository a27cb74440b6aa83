// The log as others see it: Go's own transparency log library, and Tessera's load generator and checker, unchanged.
import { existsSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { buildLogcheck, buildTessera, run } from "../support/go.ts";
import { LoneLog } from "../support/lone-log.ts";
import { entryBundle, LyingLog, type View } from "../support/lying-log.ts";
import { checkpointText, note, signerFrom } from "../support/lying-note.ts";
import { Tree } from "../support/lying-tree.ts";
import { temporaryFolder } from "../support/stack.ts";

const folder = temporaryFolder("third-party");
const bin = (name: string): string => join(folder, "bin", name);
const skipLogcheck = (await buildLogcheck(folder)) ?? false;
const skipTessera = (await buildTessera(folder)) ?? false;
t.after(() => rmSync(folder, { recursive: true, force: true }));

/** What Tessera's programs log as warnings, errors and fatal; but not what hammer itself broke off when it ended. */
const complaints = (stderr: string): string[] =>
  stderr.split("\n").filter((line) => /^[WEF]\d{4} /.test(line) && !line.endsWith("context canceled"));

async function logcheck(log: LoneLog, sizes: readonly number[], url: string = log.url) {
  return run(bin("logcheck"), ["-url", url, "-vkey", log.vkey, "-sizes", sizes.join()], folder, 120_000);
}

async function fsck(log: LoneLog, url = `${log.url}/`): Promise<string> {
  const key = join(folder, "key");
  writeFileSync(key, log.vkey);
  const args = ["-storage_url", url, "-public_key", key, "-ui=false", "-N", "4", "-logtostderr"];
  const { code, stderr } = await run(bin("fsck"), args, folder, 120_000);
  return code === 0 && complaints(stderr).length === 0
    ? (/Successfully .* size \d+/.exec(stderr)?.[0] ?? stderr)
    : stderr;
}

t.test("Go's tlog and note, at every size where a tile begins or ends", { skip: skipLogcheck }, async (t) => {
  const log = await (await LoneLog.create({ add: true })).start();
  t.teardown(() => log.destroy());
  const { source } = log;
  source.refuse(700).stop();
  const seen: number[] = [];
  let from = 0;
  for (const size of [0, 1, 2, 255, 256, 257, 511, 512, 513, source.length]) {
    if (size > from) await log.submit(from, size);
    from = Math.max(from, size);
    await log.published(size);
    seen.push(size);
    const { code, stdout, stderr } = await logcheck(log, seen);
    t.equal(code, 0, stderr);
    t.match(stdout, new RegExp(`^verified ${size} entries, ${seen.filter((each) => each > 0).length} prefixes`));
  }
  const audit = await log.audit();
  t.equal(audit.code, 0, audit.stdout);
  // Entries of any kind, and more of them than one tile of level 1 holds.
  const bodies = Array.from({ length: 600 }, (_, i) => Buffer.alloc(1 + (i % 500), i));
  const answers = await Promise.all(bodies.map((body) => log.post("/add", body)));
  t.ok(answers.every(({ status }) => status === 200));
  const size = await log.published(source.length + 600);
  const sizes = [...seen, 768, 1024, 1279, 1280, size];
  const { code, stdout, stderr } = await logcheck(log, sizes);
  t.equal(code, 0, stderr);
  t.match(stdout, `verified ${size} entries`);

  t.equal(await log.part.end("SIGTERM"), 0);
  const out = join(log.folder, "out");
  t.equal((await log.vitrine("log", "export", "--config", log.config, "--out", out)).code, 0);
  const exported = await logcheck(log, sizes, `file://${out}`);
  t.equal(exported.stdout, stdout, exported.stderr);
});

t.test("Go's checker finds what is wrong", { skip: skipLogcheck }, async (t) => {
  const log = await (await LoneLog.create()).start();
  t.teardown(() => log.destroy());
  await log.submit(0);
  await log.published(1);
  const other = await LoneLog.create();
  t.teardown(() => other.destroy());
  const wrongKey = await run(bin("logcheck"), ["-url", log.url, "-vkey", other.vkey], folder, 60_000);
  t.equal(wrongKey.code, 1);
  t.match(wrongKey.stderr, /checkpoint: /);
  const nothing = await run(bin("logcheck"), ["-url", other.url, "-vkey", other.vkey], folder, 60_000);
  t.equal(nothing.code, 1);

  const entries = Array.from({ length: 300 }, (_, i) => Buffer.from(`entry ${i}`));
  const tree = new Tree(entries);
  const checkpoint = note(checkpointText(log.origin, 300, tree.root()), signerFrom(log.skey));
  const honest: View = { checkpoint, entries, tiles: () => tree };
  const others = entries.with(7, Buffer.from("entry VII"));
  const cases: [View, RegExp | undefined][] = [
    [honest, undefined],
    [{ ...honest, entries: others }, /entries have the root/],
    [{ ...honest, tiles: () => new Tree(others) }, /inconsistent|invalid|downloaded/],
    [{ ...honest, checkpoint: checkpoint.replace("300", "299") }, /checkpoint: .*invalid signature/],
    [{ ...honest, answers: { "/tile/entries/001.p/44": entryBundle(entries.slice(256, 299)) } }, /ends before/],
    [{ ...honest, answers: { "/tile/entries/001.p/44": entryBundle(entries.slice(255)) } }, /root|bytes behind/],
  ];
  for (const [view, says] of cases) {
    const lying = await LyingLog.serve(view);
    const { code, stderr } = await logcheck(log, [299], lying.url);
    await lying.close();
    t.equal(code, says === undefined ? 0 : 1, stderr);
    if (says !== undefined) t.match(stderr, says);
  }
});

t.test("Tessera's hammer writes and reads, and its fsck finds the log in order", { skip: skipTessera }, async (t) => {
  const GOAL = 20_000;
  const log = await (await LoneLog.create({ add: true })).start();
  t.teardown(() => log.destroy());
  const { source } = log;
  source.refuse(2000).stop();
  t.match(await fsck(log), "size 0");
  let submitted = 0;
  const submitting = (async () => {
    for (; submitted < source.length; submitted += 100) {
      await log.submit(submitted, Math.min(submitted + 100, source.length));
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  })();
  const load = ["-max_read_ops=400", "-num_readers_random=8", "-num_readers_full=8", "-dup_chance=0.1"];
  const writers = ["-max_write_ops=5000", "-num_writers=200", "-leaf_min_size=100", `-leaf_write_goal=${GOAL}`];
  const args = [
    "-log_url",
    log.url,
    "-log_public_key",
    log.vkey,
    "-show_ui=false",
    "-max_runtime=300s",
    "-logtostderr",
  ];
  const started = Date.now();
  const hammer = await run(bin("hammer"), [...args, ...load, ...writers], folder, 330_000);
  t.comment(`hammer: ${GOAL} leaves in ${((Date.now() - started) / 1000).toFixed(1)} s`);
  await submitting;
  t.equal(hammer.code, 0, hammer.stderr.slice(-2000));
  t.match(hammer.stderr, /Reached tree size goal/);
  t.same(complaints(hammer.stderr), [], "no request failed, no checkpoint was inconsistent");
  // What hammer broke off when it ended may still be on its way in.
  t.equal(await log.part.end("SIGTERM"), 0);
  await log.start();
  const size = await log.published(GOAL);
  t.match(await fsck(log), `size ${size}`);
  if (existsSync(bin("logcheck"))) {
    const { code, stderr } = await logcheck(log, [1, 256, 10_000, 65_536, size]);
    t.equal(code, 0, stderr);
  }
  // Over a restart as well, and as the files of an export.
  t.equal(await log.part.end("SIGTERM"), 0);
  const out = join(log.folder, "out");
  const exported = await log.vitrine("log", "export", "--config", log.config, "--out", out);
  t.equal(exported.code, 0, exported.stderr);
  const own = await log.vitrine("log", "fsck", "--config", log.config);
  t.equal(own.code, 0, own.stdout);
  t.match(await fsck(log, `file://${out}/`), `size ${size}`);
  await log.start();
  t.match(await fsck(log), `size ${size}`);
});

t.end();
