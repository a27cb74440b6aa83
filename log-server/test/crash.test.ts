import { cp, rm } from "node:fs/promises";
import { join } from "node:path";
import t, { type Test } from "tap";
import type { LogServerConfig } from "../src/config/config.ts";
import { type CrashPoint, crashPoints } from "../src/hooks.ts";
import { startLogServer } from "../src/start.ts";
import { auditLog, get, published, submit } from "./support/client.ts";
import { makeLogFolder, ORIGIN } from "./support/folder.ts";
import { seal, TestSource } from "./support/source.ts";

// At each place where the process may die, the log's files are copied as they are at that moment. A log started on
// the copy is what a restart finds.

interface Crash {
  readonly config: LogServerConfig;
  /** The answer to the submission that was under way. */
  readonly status: number;
}

/** A store compacts itself while it is copied, and a file may go: then once more. */
async function copied(from: string, to: string): Promise<void> {
  for (;;) {
    try {
      await cp(from, to, { recursive: true });
      return;
    } catch (error) {
      if ((error as { code?: string }).code !== "ENOENT") throw error;
      await rm(to, { recursive: true, force: true });
    }
  }
}

/** Runs a log until it reaches `point` for the `nth` time after its start, and leaves its files as they were then. */
async function crashAt(
  t: Test,
  source: TestSource,
  point: CrashPoint,
): Promise<Crash & { kept: { size: number; note: string } }> {
  const folder = await makeLogFolder([source.key.vkey]);
  t.after(() => folder.remove());
  const copy = join(folder.path, "copy");
  let armed = false;
  const config = folder.config({ checkpointIntervalMs: 10 });
  const log = await startLogServer(config, {
    log: () => {},
    at: async (reached) => {
      if (!armed || reached !== point) return;
      armed = false;
      await copied(config.store, join(copy, "store"));
      await cp(join(folder.path, "guard"), join(copy, "guard"), { recursive: true });
      throw new Error(`dies at ${point}`);
    },
  });
  await submit(log.url, source.submission(ORIGIN, 0, 300));
  const kept = await published(log.url, 300);
  armed = true;
  const { status } = await submit(log.url, source.submission(ORIGIN, 300));
  await log.failed;
  t.equal((await published(log.url, 0)).note, kept.note, "nothing is served that a crash here could take back");
  await log.close();
  const crashed = folder.config({
    store: join(copy, "store"),
    guard: join(copy, "guard/checkpoint"),
    index: join(copy, "index"),
    checkpointIntervalMs: 10,
  });
  return { config: crashed, status, kept };
}

for (const point of crashPoints) {
  t.test(`dying at ${point} loses nothing that was acknowledged or signed`, async (t) => {
    const source = new TestSource("s").start().fill(298);
    const { sealed, disclosure } = seal("sql", "SELECT 1");
    source.add({ ...source.head("test.event"), sql: sealed }, [disclosure]).fill(300);
    const { config, status, kept } = await crashAt(t, source, point);

    const log = await startLogServer(config, { log: () => {} });
    const sources = (await get(log.url, "/api/v1/sources")).json().sources;
    const survived = point === "append:before" ? 300 : 600;
    t.match(sources, [{ epoch: 1, next: survived }], "the turn is there as a whole, or not at all");
    if (status === 200) t.equal(survived, 600, "what was acknowledged is there");
    t.equal((await published(log.url, 0)).size, survived, "what was not yet published is published at start");
    t.same(
      await auditLog(log.url, log.vkey),
      source.entries.slice(0, survived).map(({ bytes }) => bytes),
    );

    const proof = await get(log.url, `/ct/v1/get-sth-consistency?first=${kept.size}&second=${survived}`);
    t.equal(proof.status, 200);
    const old = await get(log.url, `/ct/v1/get-sth-consistency?first=${kept.size}&second=${kept.size}`);
    t.same(old.json(), { consistency: [] });

    const again = await submit(log.url, source.submission(ORIGIN, 300));
    t.same(again.json().ranges, [{ seq: 300, index: 300, count: 300 }], "the retry gets the indexes it had");
    await published(log.url, 600);
    t.same(
      await auditLog(log.url, log.vkey),
      source.entries.map(({ bytes }) => bytes),
    );
    const all = await submit(log.url, source.submission(ORIGIN));
    t.same(all.json().ranges, [{ seq: 0, index: 0, count: 600 }]);
    await log.close();
    const restarted = await startLogServer(config, { log: () => {} });
    t.equal((await auditLog(restarted.url, restarted.vkey)).length, 600);
    await restarted.close();
  });
}
