import { readFile, rm, writeFile } from "node:fs/promises";
import { Level } from "level";
import t from "tap";
import { startLogServer } from "../../src/start.ts";
import {
  acceptedKey,
  CHECKPOINT_KEY,
  disclosuresKey,
  HEAD_KEY,
  positionKey,
  runKey,
  sharedKey,
} from "../../src/store/level-keys.ts";
import { type FindingCode, findingCodes } from "../../src/tools/findings.ts";
import { fsckLog } from "../../src/tools/fsck.ts";
import { makeLogFolder, ORIGIN } from "../support/folder.ts";
import { SIZE, type StoppedFolder, stoppedLog } from "./log.ts";

type Database = Level<Buffer, Buffer>;

async function withStore<T>(folder: StoppedFolder, action: (db: Database) => Promise<T>): Promise<T> {
  const db = new Level<Buffer, Buffer>(folder.config().store, { keyEncoding: "buffer", valueEncoding: "buffer" });
  try {
    return await action(db);
  } finally {
    await db.close();
  }
}

/** A value with one byte changed, from the end when negative. */
function flipped(value: Buffer, at: number): Buffer {
  const copy = Buffer.from(value);
  copy[copy.length * Number(at < 0) + at]! ^= 1;
  return copy;
}

t.test("a log that was stopped in order is in order, at any size", async (t) => {
  const folder = await stoppedLog(t);
  const steps: [number, number][] = [];
  const report = await fsckLog(folder.config(), (done, size) => steps.push([done, size]));
  t.match(report, { origin: ORIGIN, size: SIZE, signed: SIZE, findings: [], omitted: {} });
  t.equal(report.disclosures, 2 * (30 + 4 + 30) + 1, "those of the entries, and the one that they share");
  t.same(steps, [
    [256, SIZE],
    [512, SIZE],
    [SIZE, SIZE],
  ]);
  t.equal((await fsckLog(folder.config())).root, report.root, "and it changes nothing");

  const empty = await makeLogFolder();
  t.teardown(() => empty.remove());
  await t.rejects(fsckLog(empty.config()), { code: "store_missing" });
  await (await startLogServer(empty.config(), { log: () => {} })).close();
  t.match(await fsckLog(empty.config()), { size: 0, signed: 0, findings: [] });
});

t.test("a log that runs, or is another one, is not checked", async (t) => {
  const folder = await stoppedLog(t);
  const log = await startLogServer(folder.config(), { log: () => {} });
  await t.rejects(fsckLog(folder.config()), { code: "store_locked" });
  await log.close();
  await t.rejects(fsckLog(folder.config({ origin: "other.example" })), { code: "bad_key" });
});

t.test("whatever is changed is found, and said where", async (t) => {
  const folder = await stoppedLog(t);
  const chain = (seq: number, count: number): Buffer => {
    const value = Buffer.alloc(16);
    value.writeBigUInt64BE(BigInt(seq));
    value.writeBigUInt64BE(BigInt(count), 8);
    return value;
  };
  // Each change with the codes that it has to be found by, and the first index, where there is one.
  const cases: [string, (db: Database) => Promise<[Buffer, Buffer | undefined][]>, FindingCode[], number?][] = [
    ["nothing", async () => [], []],
    [
      "a byte of an entry",
      async (db) => one(db, runKey("entries", 0), (v) => flipped(v, 300)),
      ["checkpoint", "entry", "guard", "hash", "head"],
    ],
    [
      "a byte of an entry without a source",
      async (db) => one(db, runKey("entries", 100), (v) => flipped(v, 4)),
      ["checkpoint", "guard", "hash", "head"],
      100,
    ],
    ["the length of an entry", async (db) => one(db, runKey("entries", 100), (v) => flipped(v, 0)), ["bundle"], 0],
    ["an entry is cut short", async (db) => one(db, runKey("entries", 512), (v) => v.subarray(0, -1)), ["bundle"], 512],
    [
      "bytes behind the last entry",
      async (db) => one(db, runKey("entries", 512), (v) => Buffer.concat([v, Buffer.from("abc")])),
      ["bundle"],
      512,
    ],
    ["a run of entries is gone", async (db) => one(db, runKey("entries", 256), () => undefined), ["bundle"], 256],
    ["a leaf hash", async (db) => one(db, runKey(0, 512), (v) => flipped(v, 64)), ["hash"], 514],
    ["a hash of level 1", async (db) => one(db, runKey(1, 1), (v) => flipped(v, 5)), ["hash"], 256],
    ["a tile is short", async (db) => one(db, runKey(0, 512), (v) => v.subarray(0, -32)), ["tile"], 512],
    ["a tile is gone", async (db) => one(db, runKey(1, 0), () => undefined), ["tile"], 0],
    [
      "a leaf hash too many",
      async (db) => one(db, runKey(0, 512), (v) => Buffer.concat([v, Buffer.alloc(32)])),
      ["tile"],
      512,
    ],
    ["entries beyond the head", async () => [[runKey("entries", 768), Buffer.from("\u0000\u0001x")]], ["tile"], SIZE],
    ["the root of the head", async (db) => one(db, HEAD_KEY, (v) => flipped(v, -1)), ["head"]],
    [
      "a smaller head",
      async (db) => one(db, HEAD_KEY, (v) => Buffer.concat([v.subarray(0, 7), Buffer.of(0xb8), v.subarray(8)])),
      ["accepted", "bundle", "checkpoint", "guard", "head", "position", "tile"],
    ],
    [
      "a head of 2^52 entries",
      async (db) => one(db, HEAD_KEY, (v) => Buffer.concat([Buffer.from("0010000000000000", "hex"), v.subarray(8)])),
      ["bundle", "tile"],
    ],
    ["the recorded checkpoint", async (db) => one(db, CHECKPOINT_KEY, (v) => flipped(v, -3)), ["checkpoint"]],
    ["a position's sequence", async (db) => one(db, positionKey("a"), (v) => flipped(v, 15)), ["position"]],
    ["a position's chain", async (db) => one(db, positionKey("b"), (v) => flipped(v, 20)), ["position"]],
    ["a position is gone", async (db) => one(db, positionKey("a"), () => undefined), ["position"]],
    ["a position is cut short", async (db) => one(db, positionKey("a"), (v) => v.subarray(0, 9)), ["unreadable"]],
    ["a position of nobody", async (db) => [[positionKey("c"), (await db.get(positionKey("a")))!]], ["position"]],
    ["an accepted range's index", async (db) => one(db, acceptedKey("a", 1, 100), (v) => flipped(v, 7)), ["accepted"]],
    ["an accepted range's count", async (db) => one(db, acceptedKey("a", 1, 0), (v) => flipped(v, 15)), ["accepted"]],
    ["an accepted range is gone", async (db) => one(db, acceptedKey("a", 2, 0), () => undefined), ["accepted"], 400],
    ["an accepted range too many", async () => [[acceptedKey("b", 1, 40), chain(0, 5)]], ["accepted"]],
    ["a disclosure's value", async (db) => one(db, disclosuresKey(1), (v) => flipped(v, -3)), ["disclosure"], 1],
    ["a disclosure's length", async (db) => one(db, disclosuresKey(1), (v) => flipped(v, 5)), ["disclosure"], 1],
    [
      "a disclosure of another entry",
      async (db) => [[disclosuresKey(2), (await db.get(disclosuresKey(1)))!]],
      ["disclosure"],
      2,
    ],
    [
      "a disclosure of an entry without a source",
      async (db) => [[disclosuresKey(101), (await db.get(disclosuresKey(1)))!]],
      ["disclosure"],
      101,
    ],
    ["the shared disclosure", async (db) => shared(db, (v) => flipped(v, -3)), ["disclosure"]],
    ["an erased disclosure", async (db) => one(db, disclosuresKey(1), () => undefined), []],
  ];
  for (const [what, change, codes, index] of cases) {
    const before = await withStore(folder, async (db) => {
      const changes = await change(db);
      const kept = await Promise.all(changes.map(async ([key]) => [key, await db.get(key)] as const));
      await write(db, changes);
      return kept;
    });
    const { findings } = await fsckLog(folder.config());
    t.same(
      [...new Set(findings.map(({ code }) => code))].sort(),
      [...codes].sort(),
      `${what}: ${findings[0]?.message}`,
    );
    if (index !== undefined) t.equal(findings[0]!.index, index, what);
    t.ok(
      findings.every(
        ({ code, message }) => findingCodes.includes(code) && /[a-z]/.test(message) && !message.includes("\n"),
      ),
      what,
    );
    await withStore(folder, (db) => write(db, before));
  }
  t.same((await fsckLog(folder.config())).findings, [], "all of it is as it was");
});

async function one(
  db: Database,
  key: Buffer,
  change: (value: Buffer) => Buffer | undefined,
): Promise<[Buffer, Buffer | undefined][]> {
  const value = await db.get(key);
  if (value === undefined) throw new Error(`there is nothing at ${key.toString("hex")}`);
  return [[key, change(value)]];
}

async function shared(db: Database, change: (value: Buffer) => Buffer): Promise<[Buffer, Buffer][]> {
  const [[key, value]] = (await db.iterator({ gte: sharedKey(Buffer.alloc(0)), limit: 1 }).all()) as [[Buffer, Buffer]];
  return [[key, change(value)]];
}

async function write(db: Database, changes: readonly (readonly [Buffer, Buffer | undefined])[]): Promise<void> {
  for (const [key, value] of changes) await (value === undefined ? db.del(key) : db.put(key, value));
}

t.test("the guard file is held against the store", async (t) => {
  const folder = await stoppedLog(t);
  const { guard } = folder.config();
  const note = await readFile(guard);
  await rm(guard);
  t.match((await fsckLog(folder.config())).findings, [{ code: "guard", message: /missing/ }]);
  await writeFile(guard, flipped(note, -3));
  t.match((await fsckLog(folder.config())).findings, [{ code: "guard", message: /damaged/ }]);
  await writeFile(guard, note);
  t.same((await fsckLog(folder.config())).findings, []);
});

t.test("of one code fifty are listed, and the rest counted", async (t) => {
  const folder = await stoppedLog(t);
  await withStore(folder, async (db) => {
    const value = (await db.get(disclosuresKey(1)))!;
    for (let index = 151; index < 211; index += 1) await db.put(disclosuresKey(index), value);
  });
  const { findings, omitted } = await fsckLog(folder.config());
  t.equal(findings.length, 50);
  t.same(omitted, { disclosure: 10 });
});
