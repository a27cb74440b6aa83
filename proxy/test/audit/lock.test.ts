import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { lockFolder } from "../../src/audit/lock.ts";
import { setUp, tempDir } from "./help.ts";

t.test("one process at a time uses a spool", async (t) => {
  const bench = await setUp(t);
  const recorder = await bench.open();
  await t.rejects(bench.open(), { code: "spool_locked" });
  await t.rejects(bench.open({ spool: { ...bench.options().spool, dir: join(bench.dir, ".") } }), {
    code: "spool_locked",
  });
  await recorder.stop("shutdown", 60_000);
  const next = await bench.open();
  await next.stop("shutdown", 60_000);
});

t.test("a folder with a long path can be locked as well", async (t) => {
  const dir = join(await tempDir(t), "x".repeat(100), "y".repeat(100));
  await mkdir(dir, { recursive: true });
  const lock = await lockFolder(dir);
  await t.rejects(lockFolder(dir), { code: "spool_locked" });
  await lock.release();
  await (await lockFolder(dir)).release();
});
