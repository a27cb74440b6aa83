import { cp, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import t, { type Test } from "tap";
import type { EntryValue } from "../../src/entries/entry.ts";
import { inScope, parseScope, scopeRange } from "../../src/erasure/scope.ts";
import { type CrashPoint, erasureCrashPoints } from "../../src/hooks.ts";
import { startLogServer } from "../../src/start.ts";
import {
  type ActingLog,
  ADMIN,
  AUDITOR,
  actingLog,
  actsOf,
  disclosed,
  entriesOf,
  post,
  secret,
  start,
} from "../support/acting.ts";
import { auditLog, get, published, submit } from "../support/client.ts";
import { ORIGIN } from "../support/folder.ts";
import { seal, TestSource } from "../support/source.ts";

interface Filled {
  readonly source: TestSource;
  /** By login: the text of each of its statements, and of its session's address. */
  readonly sql: Record<string, string[]>;
  readonly address: Record<string, string>;
}

/** Entries of two logins in turn, each with a text of its own and the address of its session. */
function filled(count: number): Filled {
  const source = new TestSource("s").start();
  const sql: Filled["sql"] = { alice: [], bob: [] };
  const address = { alice: secret(), bob: secret() };
  for (let i = 0; i < count; i += 1) {
    const login = i % 2 === 0 ? "alice" : "bob";
    const text = secret();
    sql[login]!.push(text);
    const salt = Buffer.alloc(16, i).toString("base64url");
    const own = seal("sql", text, salt);
    const shared = seal("client.address", address[login], Buffer.alloc(16, login).toString("base64url"));
    const members = { actor: { login }, client: { address: shared.sealed }, sql: own.sealed };
    source.add({ ...source.head("test.event"), ...members }, [own.disclosure, shared.disclosure]);
  }
  return { source, sql, address };
}

/**
 * Searches all bytes of all files of a folder. In a compressed file a text can be interrupted where four bytes of it
 * stand elsewhere as well, so that any twelve bytes of it count.
 * @returns the texts that were found
 */
async function found(folder: string, texts: readonly string[]): Promise<string[]> {
  const left = new Set<string>();
  for (const name of await readdir(folder, { recursive: true })) {
    const bytes = await readFile(join(folder, name)).catch(() => Buffer.alloc(0));
    for (const text of texts) {
      for (let at = 0; at + 12 <= text.length; at += 4) if (bytes.includes(text.slice(at, at + 12))) left.add(text);
    }
  }
  return [...left];
}

async function finished(url: string, order: number): Promise<Record<string, unknown>> {
  for (;;) {
    const erasure = (await get(url, `/api/v1/erasures/${order}`, ADMIN)).json();
    if (erasure.state === "done") return erasure;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

async function erase(url: string, scope: object): Promise<number> {
  const answer = await post(url, "/api/v1/erasures", { scope, reason: "asked for" });
  if (answer.status !== 202) throw new Error(`${answer.status}: ${answer.body}`);
  return answer.json().order;
}

const storeOf = ({ config }: ActingLog): string => config.store;

t.test("what a login disclosed is gone from the store's files; everything else stays, and proves", async (t) => {
  const { source, sql, address } = filled(700);
  let acting = await actingLog(t, [source.key.vkey]);
  const { url } = acting.log;
  await submit(url, source.submission(ORIGIN));
  await published(url, 701);
  const evidence = (await get(url, "/api/v1/entries/1/bundle?reason=x", AUDITOR)).json();
  t.equal(evidence.disclosures.length, 2);
  const alice = [...sql.alice!, address.alice!];
  t.equal((await found(storeOf(acting), alice)).length, alice.length, "they are there before");
  const order = await erase(url, { login: "alice" });
  const erasure = await finished(url, order);
  t.match(erasure, { order, scope: { login: "alice" }, by: "the-admin", entries: 350, values: 351, scanned: order });
  t.same(await found(storeOf(acting), alice), [], "while the log runs");
  t.same(await disclosed(url, 1), []);
  t.same(
    (await disclosed(url, 2)).map(([, name, value]) => [name, value]),
    [
      ["sql", sql.bob![0]],
      ["client.address", address.bob],
    ],
  );
  const acts = await actsOf(url);
  t.match(
    acts.find(({ kind }) => kind === "erasure.ordered"),
    { at: order, scope: { login: "alice" }, by: "the-admin" },
  );
  t.match(
    acts.find(({ kind }) => kind === "erasure.done"),
    { ordered: order, entries: 350, values: 351 },
  );
  t.equal((await auditLog(url, acting.log.vkey)).length, (await entriesOf(url)).length, "the tree is what was signed");

  t.equal((await submit(url, source.submission(ORIGIN))).status, 200);
  t.same(await disclosed(url, 1), [], "a repetition brings nothing back");
  const { sealed, disclosure } = seal("client.address", address.alice, Buffer.alloc(16, "alice").toString("base64url"));
  const next = { ...source.head("test.event"), actor: { login: "alice" }, client: { address: sealed } };
  await submit(url, source.add(next, [disclosure]).submission(ORIGIN, 701));
  await entriesOf(url);
  t.same(await disclosed(url, 1), [], "nor does a later entry of the same session");

  acting = await acting.restart();
  t.same(await found(storeOf(acting), alice), []);
  const kept = (await found(storeOf(acting), sql.bob!)).length;
  t.ok(kept > 0.95 * sql.bob!.length, `in the same files the search finds ${kept} of ${sql.bob!.length} that stayed`);
  t.match((await get(acting.log.url, `/api/v1/erasures/${order}`, ADMIN)).json(), erasure);
  await acting.log.close();
});

t.test("one entry; everything before a time; nothing at all", async (t) => {
  const { source, sql } = filled(4);
  source.entries[4] = {
    ...source.entries[4]!,
    bytes: Buffer.from(
      source.entries[4]!.bytes.toString().replace("2026-11-22T22:10:00.123456Z", "2026-11-22T22:10:00.123457Z"),
    ),
  };
  const acting = await actingLog(t, [source.key.vkey]);
  const { url } = acting.log;
  await submit(url, source.submission(ORIGIN));
  await published(url, 5);
  const values = async (index: number) => (await disclosed(url, index)).map(([, , value]) => value);
  t.match(await finished(url, await erase(url, { index: 1 })), { entries: 1, values: 2 });
  t.same(await values(1), []);
  t.same(await values(3), [sql.alice![1]], "the address that it shared is gone with it");
  t.match(await finished(url, await erase(url, { index: 1 })), { entries: 1, values: 0 }, "once more");
  t.match(await finished(url, await erase(url, { before: "2026-11-22T22:10:00.123457Z" })), { entries: 4, values: 3 });
  t.same([await values(2), await values(3)], [[], []]);
  t.same(await values(4), [sql.bob![1]], "not before that time");
  t.match(await finished(url, await erase(url, { login: "nobody" })), { entries: 0, values: 0 });
  t.match(await finished(url, await erase(url, { index: 10_000 })), { entries: 0, values: 0 });
  t.same(await found(storeOf(acting), [...sql.alice!, sql.bob![0]!]), []);
  const reason = (await actsOf(url)).find(({ kind }) => kind === "erasure.ordered")!;
  t.match(await disclosed(url, reason.at), [[/./, "reason", "asked for"]]);
  await finished(url, await erase(url, { index: reason.at }));
  t.same(await disclosed(url, reason.at), [], "a reason can be erased as well");
  await acting.log.close();
});

t.test("submissions go on while an erasure is under way, and what comes meanwhile is not in it", async (t) => {
  const { source } = filled(1200);
  const acting = await actingLog(t, [source.key.vkey]);
  const { url } = acting.log;
  await submit(url, source.submission(ORIGIN, 0, 1000));
  const order = await erase(url, { login: "alice" });
  const late = await submit(url, source.submission(ORIGIN, 1000));
  t.equal(late.status, 200);
  t.match(await finished(url, order), { values: 501 });
  await entriesOf(url);
  const [{ index }] = late.json().ranges;
  t.equal((await disclosed(url, index)).length > 0, true);
  await acting.log.close();
});

async function crashed(t: Test, point: CrashPoint, nth: number): Promise<void> {
  const { source, sql, address } = filled(600);
  let left = nth;
  const acting = await actingLog(t, [source.key.vkey], {
    at: async (reached) => {
      if (reached !== point || --left !== 0) return;
      await cp(join(acting.folder.path, "log"), join(acting.folder.path, "copy"), { recursive: true });
      await cp(join(acting.folder.path, "guard"), join(acting.folder.path, "copy-guard"), { recursive: true });
      throw new Error(`dies at ${point}`);
    },
  });
  await submit(acting.log.url, source.submission(ORIGIN));
  await published(acting.log.url, 601);
  left = nth;
  const order = await erase(acting.log.url, { login: "alice" });
  await acting.log.failed;
  await acting.log.close();
  const config = {
    ...acting.config,
    store: join(acting.folder.path, "copy/store"),
    index: join(acting.folder.path, "copy/index"),
    searchIndex: join(acting.folder.path, "copy/search"),
    guard: join(acting.folder.path, "copy-guard/checkpoint"),
  };
  const next = await start(config, acting.folder, {});
  t.match(await finished(next.log.url, order), { entries: 300, values: 301 });
  t.same(await found(config.store, [...sql.alice!, address.alice!]), []);
  t.same(await disclosed(next.log.url, 1), []);
  const done = (await actsOf(next.log.url)).filter(({ kind }) => kind === "erasure.done");
  t.match(done, [{ ordered: order, entries: 300, values: 301 }]);
  t.equal(done.length, 1);
  await next.log.close();
}

for (const point of erasureCrashPoints) {
  t.test(`dying at ${point}: the next start finishes what was ordered`, (t) => crashed(t, point, 1));
}

t.test("closing in the middle leaves the rest to the next start", async (t) => {
  const { source, sql } = filled(600);
  let acting = await actingLog(t, [source.key.vkey]);
  await submit(acting.log.url, source.submission(ORIGIN));
  await published(acting.log.url, 601);
  const order = await erase(acting.log.url, { login: "bob" });
  acting = await acting.restart();
  t.match(await finished(acting.log.url, order), { entries: 300, values: 301 });
  t.same(await found(storeOf(acting), sql.bob!), []);
  await acting.log.close();
});

t.test("an erasure that cannot be ordered is not begun", async (t) => {
  const { source, sql } = filled(2);
  let broken = false;
  const acting = await actingLog(t, [source.key.vkey], {
    at: (point) => {
      if (broken && point === "append:before") throw new Error("no space left on device");
    },
  });
  await submit(acting.log.url, source.submission(ORIGIN));
  await published(acting.log.url, 3);
  broken = true;
  t.equal((await post(acting.log.url, "/api/v1/erasures", { scope: { index: 1 }, reason: "x" })).status, 500);
  await acting.log.close();
  const log = await startLogServer(acting.config, { log: () => {} });
  t.same((await disclosed(log.url, 1)).map(([, , value]) => value)[0], sql.alice![0]);
  await log.close();
});

t.test("scopes", async (t) => {
  t.same(parseScope({ index: 0 }), { index: 0 });
  t.same(parseScope({ login: "ü" }), { login: "ü" });
  t.same(parseScope({ before: "2026-11-22T22:10:00.123456Z" }), { before: "2026-11-22T22:10:00.123456Z" });
  for (const bad of [
    undefined,
    null,
    [],
    "alice",
    {},
    { index: 1, login: "a" },
    { index: -1 },
    { index: 1.5 },
    { index: "1" },
    { index: 2 ** 53 },
    { login: "" },
    { login: 1 },
    { login: "\ud800" },
    { before: "2026-11-22" },
    { before: 1 },
    { table: "x" },
    { __proto__: { index: 1 } },
  ]) {
    t.type(parseScope(bad), "string", JSON.stringify(bad));
  }
  t.same(scopeRange({ index: 5 }, 3), { from: 3, to: 3 });
  t.same(scopeRange({ index: 5 }, 9), { from: 5, to: 6 });
  t.same(scopeRange({ login: "a" }, 9), { from: 0, to: 9 });
  const entry = { time: "2026-11-22T22:10:00.123456Z", actor: "alice" } as unknown as EntryValue;
  t.notOk(inScope({ login: "alice" }, entry));
  t.notOk(inScope({ before: entry.time }, entry));
});
