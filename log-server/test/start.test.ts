import { chmod, cp, mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Level } from "level";
import t, { type Test } from "tap";
import { createKey } from "../src/keys/keys.ts";
import { type RunningLogServer, startLogServer } from "../src/start.ts";
import { auditLog, get, published, submit } from "./support/client.ts";
import { type LogFolder, makeLogFolder, ORIGIN } from "./support/folder.ts";
import { TestSource } from "./support/source.ts";

const quiet = { log: () => {} };

/** A folder with a log of `size` entries, closed. */
async function filled(t: Test, size: number): Promise<{ folder: LogFolder; source: TestSource }> {
  const source = new TestSource("s").start();
  const folder = await makeLogFolder([source.key.vkey]);
  t.after(() => folder.remove());
  await add(folder, source, size);
  return { folder, source };
}

/** Lets the source's log grow to this size. */
async function add(folder: LogFolder, source: TestSource, size: number): Promise<void> {
  const log = await startLogServer(folder.config(), quiet);
  const seq = (await get(log.url, "/api/v1/sources")).json().sources[0].next;
  source.fill(size - source.entries.length);
  for (let from = seq; from < size; from += 4096) {
    const answer = await submit(log.url, source.submission(ORIGIN, from, Math.min(size, from + 4096)));
    if (answer.status !== 200) throw new Error(answer.body.toString());
  }
  await log.close();
}

async function withStore(folder: LogFolder, action: (db: Level<Buffer, Buffer>) => Promise<void>): Promise<void> {
  const db = new Level<Buffer, Buffer>(folder.config().store, { keyEncoding: "buffer", valueEncoding: "buffer" });
  await action(db);
  await db.close();
}

const fails = (t: Test, folder: LogFolder, code: string, message: RegExp, changes = {}) =>
  t.rejects(startLogServer(folder.config(changes), quiet), { name: "LogServerError", code, message });

t.test("a new log serves the empty tree, signed, and closes as often as asked", async (t) => {
  const folder = await makeLogFolder();
  t.after(() => folder.remove());
  const log = await startLogServer(folder.config(), quiet);
  t.match(log, { origin: ORIGIN, vkey: folder.vkey, url: /^http:\/\/127\.0\.0\.1:\d+$/ });
  t.same(await auditLog(log.url, log.vkey), []);
  t.match(
    (await get(log.url, "/checkpoint")).body.toString(),
    `${ORIGIN}\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n\n`,
  );
  await Promise.all([log.close(), log.close()]);
  await log.close();
  await t.rejects(get(log.url, "/checkpoint"), { code: "ECONNREFUSED" });
});

t.test(
  "what was acknowledged is published at close, and served after a restart, at any fill of the last tile",
  async (t) => {
    const { folder, source } = await filled(t, 1);
    for (const size of [255, 256, 257, 512, 513, 1300]) {
      await add(folder, source, size);
      t.match(await readFile(folder.config().guard, "utf8"), `${ORIGIN}\n${size}\n`);
      const log = await startLogServer(folder.config(), quiet);
      t.same(
        await auditLog(log.url, log.vkey),
        source.entries.map(({ bytes }) => bytes),
        `size ${size}`,
      );
      const repeated = await submit(log.url, source.submission(ORIGIN));
      t.same(repeated.json().ranges, [{ seq: 0, index: 0, count: size }]);
      await log.close();
    }
  },
);

t.test("entries that were durable and not published are published at start", async (t) => {
  const { folder, source } = await filled(t, 3);
  const guard = await readFile(folder.config().guard);
  await add(folder, source, 5);
  await writeFile(folder.config().guard, guard);
  await withStore(folder, async (db) => {
    await db.del(Buffer.from("c"));
  });
  const log = await startLogServer(folder.config(), quiet);
  t.equal((await auditLog(log.url, log.vkey)).length, 5);
  await log.close();
});

t.test("bad_key", async (t) => {
  const { folder } = await filled(t, 1);
  const { key } = folder.config();
  await chmod(key, 0o640);
  await fails(t, folder, "bad_key", /has the mode 0640.*chmod 600/);
  await writeFile(key, `${createKey(ORIGIN).skey}\n`);
  await chmod(key, 0o600);
  await fails(
    t,
    folder,
    "bad_key",
    /guard file .* was signed by log\.example\/test\+[0-9a-f]{8}, and not by a key of this log.*more_keys/,
  );
  await writeFile(key, createKey("another.example").skey);
  await fails(t, folder, "bad_key", /is another\.example's, and the origin is log\.example\/test/);
  await writeFile(key, "PRIVATE+KEY+hunter2\n");
  const error: Error = await startLogServer(folder.config(), quiet).then(t.fail, (error) => error);
  t.notMatch(error.message, /hunter2/);
  await fails(t, folder, "bad_key", /does not hold one line/);
  await rm(key);
  await fails(t, folder, "bad_key", /cannot be read.*ENOENT/);
});

t.test("bad_config: paths in the store, sources twice or with another key than before", async (t) => {
  const { folder, source } = await filled(t, 1);
  const { store } = folder.config();
  await fails(t, folder, "bad_config", /guard .* must not stand in the store's directory/, {
    guard: join(store, "guard"),
  });
  await fails(t, folder, "bad_config", /index .* must not stand/, { index: store });
  // An index may be deleted at any time, and with it what stands in it.
  const { index } = folder.config();
  const inIndex = join(index, "deep", "x");
  await fails(t, folder, "bad_config", /^guard .* must not stand in the hash index's directory/, { guard: inIndex });
  await fails(t, folder, "bad_config", /^store .* must not stand in the hash index's/, { index: join(store, "..") });
  await fails(t, folder, "bad_config", /^more_keys .* must not stand in the search index's/, {
    searchIndex: join(folder.path, "search"),
    moreKeys: [join(folder.path, "search", "new.key")],
  });
  await fails(t, folder, "bad_config", /registered twice/, { sources: [source.key.vkey, source.key.vkey] });
  await fails(t, folder, "bad_config", /not a verifier key/, { sources: ["x"] });
  await fails(t, folder, "bad_config", /s is registered with .* submitted with/, {
    sources: [new TestSource("s").key.vkey],
  });
});

t.test("port_in_use, and everything is closed again", async (t) => {
  const { folder } = await filled(t, 1);
  const other = await makeLogFolder();
  t.after(() => other.remove());
  const running = await startLogServer(other.config(), quiet);
  const listen = { host: "127.0.0.1", port: Number(new URL(running.url).port) };
  await fails(t, folder, "port_in_use", /is taken/, { listen });
  await running.close();
  await (await startLogServer(folder.config({ listen }), quiet)).close();
});

t.test("store_locked", async (t) => {
  const { folder } = await filled(t, 1);
  const log = await startLogServer(folder.config(), quiet);
  await fails(t, folder, "store_locked", /open in another process/);
  await log.close();
});

t.test("store_version: a store of another origin", async (t) => {
  const { folder } = await filled(t, 1);
  const other = await makeLogFolder();
  t.after(() => other.remove());
  const { skey } = createKey("other.example");
  await writeFile(other.config().key, skey);
  await cp(folder.config().store, other.config().store, { recursive: true });
  await fails(t, other, "store_version", /other\.example/, { origin: "other.example" });
});

t.test("store_corrupt: one byte changed anywhere at the right edge", async (t) => {
  const { folder } = await filled(t, 513);
  const backup = join(folder.path, "backup");
  await cp(folder.config().store, backup, { recursive: true });
  const key = (text: string, ...numbers: number[]): Buffer => {
    const index = Buffer.alloc(8);
    index.writeBigUInt64BE(BigInt(numbers.at(-1)!));
    return Buffer.concat([Buffer.from(text), Buffer.from(numbers.slice(0, -1)), index]);
  };
  // What is changed, where, and from which index on the log says it is wrong.
  const places: [string, Buffer, number, number | undefined][] = [
    ["the last entry", key("e", 512), 20, 512],
    ["its length", key("e", 512), 1, 512],
    ["its leaf hash", key("h", 0, 512), 0, 512],
    ["a leaf hash of the last full tile", key("h", 0, 256), 31, 256],
    ["the last hash of level 1", key("h", 1, 0), 63, 256],
    ["the root", Buffer.from("t"), 39, undefined],
    ["the size", Buffer.from("t"), 7, undefined],
  ];
  for (const [what, place, offset, index] of places) {
    await withStore(folder, async (db) => {
      const value = Buffer.from((await db.get(place))!);
      value[offset] = value[offset]! ^ 1;
      await db.put(place, value);
    });
    const expected = index === undefined ? {} : { details: { index } };
    await t.rejects(startLogServer(folder.config(), quiet), { code: "store_corrupt", ...expected }, what);
    await rm(folder.config().store, { recursive: true });
    await cp(backup, folder.config().store, { recursive: true });
  }
  await (await startLogServer(folder.config(), quiet)).close();
});

t.test("store_corrupt: a run is gone", async (t) => {
  const { folder } = await filled(t, 300);
  await withStore(folder, async (db) => {
    const [last] = await db.keys({ gte: Buffer.from("e"), lt: Buffer.from("f"), reverse: true, limit: 1 }).all();
    await db.del(last!);
  });
  await t.rejects(startLogServer(folder.config(), quiet), { code: "store_corrupt", details: { index: 256 } });
});

t.test("store_behind: an older copy of the store, or none", async (t) => {
  const { folder, source } = await filled(t, 3);
  const { store } = folder.config();
  const older = join(folder.path, "older");
  await cp(store, older, { recursive: true });
  await add(folder, source, 5);
  const newer = join(folder.path, "newer");
  await rename(store, newer);
  await fails(t, folder, "store_behind", /there is no store .* signed over 5 entries.*forked/);
  await cp(older, store, { recursive: true });
  await fails(
    t,
    folder,
    "store_behind",
    /has 3 entries, and the guard file .* was signed over 5.*Do not delete the guard/,
  );
  await rm(store, { recursive: true });
  await mkdir(store);
  await fails(t, folder, "store_behind", /no store/);
  await rm(store, { recursive: true });
  await rename(newer, store);
  await (await startLogServer(folder.config(), quiet)).close();
});

t.test("store_disagrees: a store with another history of this origin", async (t) => {
  const { folder } = await filled(t, 3);
  const { folder: other } = await filled(t, 4);
  await rm(folder.config().store, { recursive: true });
  await cp(other.config().store, folder.config().store, { recursive: true });
  await fails(t, folder, "store_disagrees", /not the store that was signed/);
});

t.test("guard_missing: gone, damaged, or of another tree", async (t) => {
  const { folder } = await filled(t, 3);
  const { guard } = folder.config();
  const note = await readFile(guard, "utf8");
  await writeFile(guard, note.replace("\n3\n", "\n2\n"));
  await fails(t, folder, "guard_missing", /damaged.*any verifier/);
  await writeFile(guard, "");
  await fails(t, folder, "guard_missing", /damaged/);
  await rm(guard);
  await fails(t, folder, "guard_missing", /is missing, and this log has signed before/);
  await writeFile(guard, note);
  await (await startLogServer(folder.config(), quiet)).close();
});

t.test("an older guard beside the store's own record: the larger one counts", async (t) => {
  const { folder, source } = await filled(t, 3);
  const { guard } = folder.config();
  const older = await readFile(guard);
  await add(folder, source, 5);
  await writeFile(guard, older);
  const log = await startLogServer(folder.config(), quiet);
  t.equal((await published(log.url, 0)).size, 5);
  await log.close();
});

t.test("write_failed: a guard that cannot be written ends the log", async (t) => {
  const source = new TestSource("s").start();
  const folder = await makeLogFolder([source.key.vkey]);
  t.after(() => folder.remove());
  const lines: string[] = [];
  const log: RunningLogServer = await startLogServer(folder.config({ checkpointIntervalMs: 10 }), {
    log: (level, message) => lines.push(`${level} ${message}`),
  });
  t.equal((await get(log.url, "/healthz")).status, 200);
  await rm(join(folder.path, "guard"), { recursive: true });
  await writeFile(join(folder.path, "guard"), "in the way");
  t.equal((await submit(log.url, source.submission(ORIGIN))).status, 200);
  const failure = await log.failed;
  t.equal(failure.code, "write_failed");
  t.match(lines.join("\n"), /^error write_failed: the checkpoint of size 1 cannot be kept/);
  const health = await get(log.url, "/healthz");
  t.equal(health.status, 500);
  t.match(health.json(), {
    error: { code: "internal", message: /^writing: / },
    status: "failing",
    checks: { writing: /cannot be kept/ },
  });
  t.match((await submit(log.url, source.fill(1).submission(ORIGIN, 1))).json(), { error: { code: "internal" } });
  t.equal((await published(log.url, 0)).size, 0, "nothing was served that was not kept");
  await log.close();
});
