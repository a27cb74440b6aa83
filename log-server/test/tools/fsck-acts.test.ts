import { Level } from "level";
import t from "tap";
import {
  disclosuresKey,
  erasureKey,
  positionKey,
  SOURCE_PREFIX,
  sharedKey,
  sourceKey,
} from "../../src/store/level-keys.ts";
import type { ErasureRecord, SourceRecord } from "../../src/store/store.ts";
import type { FindingCode } from "../../src/tools/findings.ts";
import { fsckLog } from "../../src/tools/fsck.ts";
import { ADMIN, actingLog, post } from "../support/acting.ts";
import { get, submit } from "../support/client.ts";
import { ORIGIN } from "../support/folder.ts";
import { rotate, seal, TestSource } from "../support/source.ts";

// What the log goes by besides the tree: who is a source, with which key, and what was erased. Each of it was made by
// an entry.

type Database = Level<Buffer, Buffer>;

/** Of a value in JSON. */
function changed<T>(value: Buffer, change: (value: T) => object): Buffer {
  return Buffer.from(JSON.stringify(change(JSON.parse(value.toString()) as T)));
}

t.test("what the store says of sources and erasures is held against the entries", async (t) => {
  const own = seal("sql", "SELECT 1");
  const address = seal("client.address", "192.0.2.1:5");
  const members = { sql: own.sealed, client: { address: address.sealed }, actor: { login: "alice" } };
  const source = new TestSource("s").start();
  source.add({ ...source.head("test.event"), ...members }, [own.disclosure, address.disclosure]);
  const gone = new TestSource("gone").start();
  const acting = await actingLog(t, [source.key.vkey]);
  const { url } = acting.log;
  await submit(url, source.submission(ORIGIN));
  const first = source.key;
  rotate(source);
  const [rotated, last] = [source.key, source.entries.length];
  Object.assign(source, { key: first });
  await submit(url, source.submission(ORIGIN, last - 1));
  Object.assign(source, { key: rotated });
  await submit(url, source.fill(2).submission(ORIGIN, last));
  await post(url, "/api/v1/sources", { vkey: gone.key.vkey, reason: "new" });
  await submit(url, gone.submission(ORIGIN));
  await post(url, "/api/v1/sources/gone/retire", { reason: "closed" });
  const { order } = (await post(url, "/api/v1/erasures", { scope: { login: "alice" }, reason: "asked" })).json();
  while ((await get(url, `/api/v1/erasures/${order}`, ADMIN)).json().state !== "done");
  await acting.log.close();

  const withStore = async <T>(action: (db: Database) => Promise<T>): Promise<T> => {
    const db = new Level<Buffer, Buffer>(acting.config.store, { keyEncoding: "buffer", valueEncoding: "buffer" });
    try {
      return await action(db);
    } finally {
      await db.close();
    }
  };
  const block = Buffer.concat([Buffer.from("0001", "hex"), Buffer.alloc(4), own.disclosure]);
  block.writeUInt32BE(own.disclosure.length, 2);
  const digest = Buffer.from((address.sealed as { sealed: string }).sealed, "base64url");
  const record = (name: string, change: (value: SourceRecord) => object) => async (db: Database) =>
    [sourceKey(name), changed((await db.get(sourceKey(name)))!, change)] as const;
  const erasure = (change: (value: ErasureRecord) => object) => async (db: Database) =>
    [erasureKey(order), changed((await db.get(erasureKey(order)))!, change)] as const;
  const other = new TestSource("s").key.vkey;
  const cases: [string, (db: Database) => Promise<readonly [Buffer, Buffer | undefined]>, FindingCode[]][] = [
    ["nothing", async (db) => [sourceKey("s"), await db.get(sourceKey("s"))], []],
    ["a retired source is taken in again", record("gone", (value) => ({ ...value, retired: false })), ["source"]],
    ["a source is retired", record("s", (value) => ({ ...value, retired: true })), ["source"]],
    ["a source that nobody registered", record("s", (value) => ({ ...value, registered: true })), ["source"]],
    ["another key is in force", record("s", (value) => ({ ...value, vkey: other })), ["source"]],
    ["a former key is forgotten", record("s", (value) => ({ ...value, former: [] })), ["source"]],
    ["a record is gone", async () => [sourceKey("gone"), undefined], ["source"]],
    ["a record of nobody", async () => [sourceKey("x"), Buffer.from('{"name":"x"}')], ["source"]],
    ["a record is no JSON", async () => [sourceKey("s"), Buffer.from("{")], ["unreadable"]],
    [
      "a position's key",
      async (db) => {
        const value = (await db.get(positionKey("s")))!;
        return [positionKey("s"), Buffer.concat([value.subarray(0, 48), Buffer.from(other)])];
      },
      ["position"],
    ],
    ["an erasure is forgotten", async () => [erasureKey(order), undefined], ["erasure"]],
    ["an erasure of something else", erasure((value) => ({ ...value, scope: { login: "bob" } })), ["erasure"]],
    ["an erasure in another's name", erasure((value) => ({ ...value, by: "nobody" })), ["erasure"]],
    ["an erasure is not done", erasure((value) => ({ ...value, done: false })), ["erasure"]],
    ["an erasure that nobody ordered", async () => [erasureKey(1), Buffer.from('{"scope":{}}')], ["erasure"]],
    ["an erased value is there again", async () => [disclosuresKey(1), block], ["erasure"]],
    ["an erased address is there again", async () => [sharedKey(digest), address.disclosure], ["erasure"]],
  ];
  t.equal((await withStore((db) => db.keys({ gte: SOURCE_PREFIX, lt: Buffer.from("s") }).all())).length, 2);
  for (const [what, change, codes] of cases) {
    const before = await withStore(async (db) => {
      const [key, value] = await change(db);
      const kept = [key, await db.get(key)] as const;
      await (value === undefined ? db.del(key) : db.put(key, value));
      return kept;
    });
    const { findings } = await fsckLog(acting.config);
    t.same([...new Set(findings.map(({ code }) => code))], codes, `${what}: ${findings[0]?.message}`);
    await withStore((db) => (before[1] === undefined ? db.del(before[0]) : db.put(before[0], before[1])));
  }
  t.same((await fsckLog(acting.config)).findings, [], "all of it is as it was");
});
