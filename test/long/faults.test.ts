// A disk that fails under the log-server: each write of the sequence fails without having persisted, and having
// persisted; by an error, by a kill in its place, by a full disk, by a write that is cut short. Afterwards the log is
// started again, and everything that it had acknowledged, signed or served must still be so.
import { rmSync } from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";
import { cannotInject, FaultyLog } from "../support/faults.ts";
import { temporaryFolder } from "../support/stack.ts";

const folder = temporaryFolder("faults");
t.after(() => rmSync(folder, { recursive: true, force: true }));

type Target = (log: FaultyLog) => string[];

const store: Target = (log) => [log.writtenNow("store")];
const index: Target = (log) => [log.writtenNow("index")];
const guardNew: Target = (log) => [join(log.folder, "guard/checkpoint.new")];
const guardFolder: Target = (log) => [join(log.folder, "guard")];

interface Fault {
  readonly name: string;
  readonly target: Target;
  /** System call and what becomes of it, as strace has it. */
  readonly inject: string;
  /** The process ends by itself and says so; is killed; or must not mind. */
  readonly ends: "with an error" | "killed" | "not at all";
}

const failing = (what: string, target: Target, call: string, errors: readonly string[]): Fault[] => [
  ...errors.map((error): Fault => {
    return { name: `${what}: ${error}`, target, inject: `${call}:error=${error}`, ends: "with an error" };
  }),
  { name: `${what}: killed in its place`, target, inject: `${call}:signal=SIGKILL`, ends: "killed" },
];

const faults: readonly Fault[] = [
  // Fails without having persisted.
  ...failing("the store's write", store, "write", ["EIO", "ENOSPC"]),
  // Fails, and the bytes are there.
  ...failing("the store's sync", store, "fdatasync", ["EIO"]),
  ...failing("opening the new guard", guardNew, "openat", ["EIO", "ENOSPC", "EMFILE"]),
  ...failing("writing the new guard", guardNew, "write", ["EIO", "ENOSPC"]),
  ...failing("syncing the new guard", guardNew, "fsync", ["EIO"]),
  ...failing("renaming the guard", guardNew, "rename", ["EIO", "ENOSPC"]),
  ...failing("syncing the guard's folder", guardFolder, "fsync", ["EIO"]),
  { name: "the index's write: EIO", target: index, inject: "write:error=EIO", ends: "not at all" },
  { name: "the index's write: ENOSPC", target: index, inject: "write:error=ENOSPC", ends: "not at all" },
];

let number = 0;

async function freshLog(): Promise<FaultyLog> {
  number += 1;
  const log = await FaultyLog.create(join(folder, String(number)));
  await log.start();
  await log.load(4);
  await log.published();
  return log;
}

/** Starts it again, and holds it to all it has said. */
async function settle(t: Test, log: FaultyLog): Promise<void> {
  await log.start();
  t.same(await log.broken(), [], "what was acknowledged is there, where it was");
  await log.finish();
  await log.published();
  t.ok(await log.healthy(), "it is well");
  const { code, stdout, stderr } = await log.verify("audit");
  t.equal(code, 0, "the audit passes, and the tree continues the one that the verifier saw before", { stdout, stderr });
  await log.end("SIGTERM");
}

const skip = cannotInject();

for (const { name, target, inject, ends } of faults) {
  // The first such call from now on, and a later one.
  for (const when of [1, 4]) {
    t.test(`${name}, time ${when}`, { skip }, async (t) => {
      const log = await freshLog();
      t.teardown(() => log.end("SIGKILL"));
      t.equal((await log.verify("head")).code, 0);
      await log.inject(`${inject}:when=${when}`, target(log));
      await log.load(40);
      // Calls are counted for each thread, and there are four: what is loaded may have come to too few of one.
      for (let more = 0; ends !== "not at all" && more < 20 && (await log.ended(500)) === undefined; more += 1) {
        await log.load(20);
      }
      const end = await log.ended(ends === "not at all" ? 0 : 30_000);
      if (ends === "not at all") {
        t.equal(end, undefined, "it goes on");
        t.ok(await log.healthy(), "and is well");
        await log.published();
        await log.end("SIGTERM");
      } else if (ends === "killed") t.equal(end?.signal, "SIGKILL", "it was killed there", { output: log.output });
      else {
        t.equal(end?.code, 1, "it ends by itself", { output: log.output });
        t.match(log.output, /write_failed: .*(free|replace) .*start again/, "and says what is wrong and what to do");
      }
      await settle(t, log);
    });
  }
}

for (const more of [1, 100, 20_000]) {
  t.test(`the store's file is cut ${more} bytes on, in the middle of a write`, async (t) => {
    const log = await freshLog();
    t.teardown(() => log.end("SIGKILL"));
    t.equal((await log.verify("head")).code, 0);
    log.limitFile(log.writtenNow("store"), more);
    await log.load(40);
    const end = await log.ended(30_000);
    t.ok(end?.signal === "SIGXFSZ" || end?.code === 1, `it ended: ${end?.signal ?? end?.code}`);
    await settle(t, log);
  });
}

t.end();
