// What one client could leave to another, or take from it, where server connections are shared; with a real PostgreSQL.
import t from "tap";
import type { OpenServer } from "../../src/pool/index.ts";
import { until } from "../audit/help.ts";
import { ask, errorOf, type Postgres, poolRig, postgres, Q, rowsOf, value, type Wire } from "../pool/help.ts";
import { F } from "../session/stage.ts";
import { bridged, enter, way } from "../ways.ts";

const started = await postgres();
if (typeof started === "string") {
  t.pass(`skipped: ${started}`);
  process.exit(0);
}
const database: Postgres = started;
t.setTimeout(300_000);
t.teardown(() => database.stop());

const MODES = ["pooled by session", "pooled by transaction"] as const;
const types = (wire: Wire): string => wire.messages.map(({ type }) => type).join("");

t.test("what a client calls its application, or resets, is never a statement of the pool's own", async (t) => {
  const there = await bridged(t, database);
  // U+00C3 ends with the byte 83: in these encodings it takes the backslash behind it for its second one.
  for (const encoding of ["SJIS", "BIG5", "GBK", "UHC", "GB18030", "LATIN1", "UTF8"]) {
    for (const application of ["\u00c3\\'; CREATE TABLE smuggled(); --", "\u00c3'; CREATE TABLE smuggled(); --"]) {
      const parameters = { client_encoding: encoding, backslash_quote: "on", application_name: application };
      const direct = await enter(await way(t, "direct", there), parameters);
      const shown = await ask(direct, "SHOW application_name");
      await direct.end();
      for (const mode of MODES) {
        const client = await enter(await way(t, mode, there, { size: 1 }), parameters);
        t.same(await ask(client, "SHOW application_name"), shown, `${mode}, ${encoding}`);
        await client.end();
      }
    }
  }
  const one = await way(t, "pooled by transaction", there, { size: 2 });
  const [client, other] = [await enter(one), await enter(one)];
  await ask(client, "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE");
  // Whoever keeps a byte of each character reads a quote, a statement, and a comment.
  const name = [...'a";CREATE TABLE smuggled();--'].map((c) => String.fromCharCode(0x600 + c.charCodeAt(0))).join("");
  t.same(await ask(client, `RESET x."${name}"`), []);
  await ask(other, "BEGIN");
  t.same(await ask(client, "SELECT 1"), [["1"]]);
  t.equal(await value(other, "SELECT to_regclass('smuggled')::text"), null, "and nothing was smuggled in");
  for (const wire of [client, other]) wire.socket.destroy();
});

t.test("the pool's own statements name nothing that a search_path could change", async (t) => {
  const there = await bridged(t, database);
  const heard: Buffer[] = [];
  const server: OpenServer = async (wanted, visitor) => {
    const opened = await database.server(wanted, visitor);
    const { stream } = opened;
    const write = stream.write.bind(stream) as (chunk: Buffer) => boolean;
    stream.write = ((chunk: Buffer) => {
      heard.push(Buffer.from(chunk));
      return write(chunk);
    }) as typeof stream.write;
    return opened;
  };
  const asked = new Set(["SELECT 'mine'", "SET work_mem = '5MB'", "BEGIN", "CREATE TEMP TABLE mine (a int)"]);
  for (const mode of MODES) {
    const one = await way(t, mode, { ...there, server }, { size: 2, checkAfterMs: 1 });
    for (let i = 0; i < 3; i += 1) {
      const clients = await Promise.all(
        [1, 2].map((n) => enter(one, { options: "-c search_path=evil,pg_catalog", application_name: `client ${n}` })),
      );
      for (const client of clients) for (const sql of asked) await ask(client, sql);
      for (const client of clients) client.socket.destroy();
      await until("they are gone", () => one.rig!.proxy.clients === 0);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }
  const own = new Set<string>();
  const all = Buffer.concat(heard);
  for (let at = 0; at < all.length; at += 1 + all.readUInt32BE(at + 1)) {
    if (all[at] !== 0x51) continue;
    const text = all.toString("latin1", at + 5, at + all.readUInt32BE(at + 1));
    if (!asked.has(text)) for (const statement of text.split(";")) own.add(statement.trim());
  }
  t.ok(own.size > 3, [...own].join("; "));
  for (const text of own) t.match(text, /^(|DISCARD ALL|ROLLBACK|RESET [A-Z ]+|SET [a-z_]+ = E?'[^']*')$/);
});

t.test(
  "a connection is nobody else's as long as anything is unanswered, or a transaction or a COPY is open",
  async (t) => {
    const there = await bridged(t, database);
    const one = await way(t, "pooled by transaction", there, { size: 1 });
    const [client, other] = [await enter(one), await enter(one)];
    await ask(client, "CREATE TABLE held (a int)");
    const run = (sql: string): Buffer[] => [F.parse(sql), F.bind(), F.execute()];
    const cases: readonly (readonly [string, readonly Buffer[], string, readonly Buffer[]])[] = [
      ["behind a Flush", [...run("SELECT 1"), F.flush()], "12DC", [F.sync()]],
      [
        "a Query, and a segment without its Sync",
        [Q("SELECT 1"), ...run("SELECT 2"), F.flush()],
        "TDCZ12DC",
        [F.sync()],
      ],
      ["a segment that failed, without its Sync", [F.parse("SELEC")], "E", [F.sync()]],
      ["behind a Sync that found nothing to do", [F.sync(), ...run("SELECT 1"), F.flush()], "Z12DC", [F.sync()]],
      ["a COPY that reads", [Q("COPY held FROM STDIN")], "G", [F.copyDone()]],
      ["a COPY that has swallowed a Sync", [...run("COPY held FROM STDIN"), F.sync()], "12G", [F.copyDone(), F.sync()]],
      ["a transaction", [Q("BEGIN")], "CZ", [Q("COMMIT")]],
      ["a transaction that has failed", [Q("BEGIN"), Q("SELECT 1/0")], "CZEZ", [Q("ROLLBACK")]],
      ["one begun behind others in a text", [Q("SELECT 1; BEGIN")], "TDCCZ", [Q("COMMIT")]],
      ["half a message", [F.sync(), Q("SELECT 1").subarray(0, 9)], "Z", [Q("SELECT 1").subarray(9)]],
    ];
    for (const [what, begin, heard, finish] of cases) {
      const holds = what !== "half a message";
      client.socket.write(Buffer.concat(begin));
      await until(`${what}: ${heard}`, () => types(client) === heard || client.closed);
      other.socket.write(Q("SELECT 'other'"));
      if (holds) {
        await until("it waits", () => one.pools!.stats()[0]!.clients.waiting === 1);
        t.equal(types(other), "", what);
      } else t.same(rowsOf(await other.ready()), [["other"]], what);
      client.messages = [];
      client.socket.write(Buffer.concat(finish));
      await client.ready();
      if (holds) t.same(rowsOf(await other.ready()), [["other"]], `${what}: and then it has it`);
    }
    for (const wire of [client, other]) await wire.end();
  },
);

/** Of a name that an extension might have PostgreSQL forgets the value at DISCARD ALL, and not that there was one. */
const SEE = `SELECT coalesce(string_agg(name || '=' || setting, ' ' ORDER BY name), ''), current_user, session_user,
  nullif(current_setting('a.custom', true), '') FROM pg_settings WHERE source = 'session' AND name <> 'application_name'`;

t.test("no setting of one client is another's, and each keeps its own", async (t) => {
  const there = await bridged(t, database);
  const admin = await database.direct({ user: "postgres" });
  await ask(
    admin,
    `CREATE FUNCTION sets() RETURNS text LANGUAGE sql AS $$ SELECT set_config('work_mem', '9MB', false) $$;
     GRANT SELECT, UPDATE ON pg_settings TO PUBLIC`,
  );
  await admin.end();
  const call = F.functionCall(2078, "work_mem", "9MB", "f");
  const ways: readonly (readonly Buffer[])[] = [
    [Q("SET search_path = pg_catalog, evil")],
    [Q("SET NAMES 'LATIN1'")],
    [Q("SET ROLE helper")],
    [Q("SET SESSION AUTHORIZATION ann"), Q("SET LOCAL work_mem = '9MB'")],
    [Q("SET default_transaction_read_only = on")],
    [Q("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY, ISOLATION LEVEL SERIALIZABLE")],
    [Q("SET TIME ZONE 'Asia/Tokyo'; SET a.custom = 'mine'")],
    [Q("BEGIN; SET work_mem = '9MB'"), Q("COMMIT")],
    [Q("BEGIN; SET work_mem = '9MB'"), Q("ROLLBACK")],
    [Q("BEGIN; SAVEPOINT s; SET work_mem = '9MB'; ROLLBACK TO s; SET work_mem = '8MB'; COMMIT")],
    [Q("SET work_mem = '9MB'; SELECT 1/0")],
    [F.parse("SET work_mem = '9MB'"), F.bind(), F.execute(), F.sync()],
    [F.parse("SET work_mem = '9MB'"), F.bind(), F.execute(), F.parse("SELEC"), F.sync()],
    [Q("SELECT set_config('work_mem', '9MB', false)")],
    [Q("SELECT set_config('work_mem', '9MB', true)")],
    [Q("UPDATE pg_settings SET setting = '9MB' WHERE name = 'work_mem'")],
    [Q("SELECT sets()")],
    [Q("DO $$ BEGIN SET work_mem = '9MB'; END $$")],
    [Q("PREPARE p AS SELECT set_config('work_mem', '9MB', false); EXECUTE p")],
    [Q("COPY (SELECT set_config('work_mem', '9MB', false)) TO STDOUT")],
    [Q("EXPLAIN ANALYZE SELECT set_config('work_mem', '9MB', false)")],
    [Q("BEGIN; DECLARE c CURSOR FOR SELECT set_config('work_mem', '9MB', false); FETCH c; COMMIT")],
    [call],
  ];
  const readies = (messages: readonly Buffer[]): number =>
    messages.filter((bytes) => /[QSF]/.test(String.fromCharCode(bytes[0]!))).length;
  for (const messages of ways) {
    const what = messages.map((bytes) => bytes.toString("latin1", 5).replaceAll("\0", " ").trim()).join(" | ");
    const direct = await database.direct();
    const before = await ask(direct, SEE);
    direct.socket.write(Buffer.concat(messages));
    await direct.ready(readies(messages));
    const own = await ask(direct, SEE);
    await direct.end();
    for (const mode of MODES) {
      const one = await way(t, mode, there, { size: mode === "pooled by session" ? 1 : 2 });
      const early = mode === "pooled by transaction" ? await enter(one) : undefined;
      const client = await enter(one);
      client.socket.write(Buffer.concat(messages));
      await client.ready(readies(messages));
      if (early !== undefined) {
        t.same(await ask(early, SEE), before, `${mode}, while it is there: ${what}`);
        // It takes the connection that the other one was on, if it can have it.
        await ask(early, "BEGIN");
        t.same(await ask(early, SEE), before, `${mode}, in a transaction: ${what}`);
      }
      t.same(await ask(client, SEE), own, `${mode}, its own: ${what}`);
      if (early !== undefined) await ask(early, "COMMIT");
      client.socket.destroy();
      await until("it is gone", () => one.rig!.proxy.clients === (early === undefined ? 0 : 1));
      const late = await enter(one);
      t.same(await ask(late, SEE), before, `${mode}, behind it: ${what}`);
      for (const wire of [early, late]) wire?.socket.destroy();
    }
  }
});

t.test("a prepared statement that the server lost, or calls stale, is never used again", async (t) => {
  const there = await bridged(t, database);
  const one = await way(t, "pooled by transaction", there, { size: 1, pinUnknown: false });
  const [client, other] = [await enter(one), await enter(one)];
  const outside = await database.direct();
  const run = async (wire: Wire, ...messages: Buffer[]): Promise<(string | null)[][] | string> => {
    wire.socket.write(Buffer.concat([...messages, F.sync()]));
    const all = await wire.ready();
    const error = all.find(({ type }) => type === "E");
    return error === undefined ? rowsOf(all) : (/\0C(\w{5})\0/.exec(error.body.toString())?.[1] ?? "");
  };
  await ask(outside, "CREATE TABLE shaped (a int); INSERT INTO shaped VALUES (1); GRANT ALL ON shaped TO PUBLIC");
  const all = F.parse("SELECT * FROM shaped", "s");
  t.same(await run(client, all, F.bind("s"), F.execute()), [["1"]]);
  // By somebody whom the pool does not see.
  await ask(outside, "ALTER TABLE shaped ADD b int DEFAULT 2");
  t.equal(await run(client, F.bind("s"), F.execute()), "0A000", "as PostgreSQL tells one of its own clients");
  t.same(await run(client, F.bind("s"), F.execute()), [["1", "2"]], "prepared anew, once it was told");
  t.same(await run(other, all, F.bind("s"), F.execute()), [["1", "2"]], "and for others as well");
  // Behind the pool's back the server forgets everything.
  await ask(other, "DO $$ BEGIN EXECUTE 'DEALLOCATE ALL'; END $$");
  t.equal(await run(client, F.bind("s"), F.execute()), "26000");
  t.same(await run(client, F.bind("s"), F.execute()), [["1", "2"]]);
  t.equal(await run(other, F.bind("s"), F.execute()), "26000", "prepared since the table changed, so another one");
  t.same(await run(other, F.bind("s"), F.execute()), [["1", "2"]]);
  // A name that is lost may be given anew; what the other one calls so stays what it was.
  t.same(await run(client, F.parse("SELECT 'one'", "o")), []);
  t.same(await run(other, F.parse("SELECT 'one'", "o")), []);
  await ask(other, "DO $$ BEGIN EXECUTE 'DEALLOCATE ALL'; END $$");
  t.same(await run(client, F.parse("SELECT 'two'", "o"), F.bind("o"), F.execute()), [["two"]]);
  t.same(await run(other, F.bind("o"), F.execute()), [["one"]]);
  t.same(await run(client, F.bind("o"), F.execute()), [["two"]]);
  for (const wire of [client, other, outside]) await wire.end();
});

const PREPARED = "SELECT pg_backend_pid(), count(*) FROM pg_prepared_statements WHERE name LIKE 'vitrine%'";

t.test("behind what makes the server forget all that is prepared, a name is anew what its Parse says", async (t) => {
  const all = [
    [F.query("DEALLOCATE ALL")],
    [F.query("DISCARD ALL")],
    [F.query("DEALLOCATE ALL; SELECT 1/0")],
    [F.parse("DEALLOCATE ALL"), F.bind(), F.execute()],
  ];
  const behind = [
    [F.parse("SELECT 'one'", "b"), F.execute("none")],
    [F.parse("SELECT 'two'", "b"), F.bind("b"), F.execute()],
    [F.bind("b"), F.execute()],
    [F.describe("S", "b")],
  ];
  const run = async (wire: Wire, messages: Buffer[], readies = 1): Promise<unknown[]> => {
    wire.socket.write(Buffer.concat([...messages, F.sync()]));
    const heard = (await wire.ready(readies)).filter(({ type }) => !"STt".includes(type));
    return heard.map((message) => `${message.type} ${message.type === "E" ? errorOf(message) : message.body}`);
  };
  const follow = async (client: Wire, forget: Buffer[], then: Buffer[], away: () => Promise<void>) => {
    const told = [await run(client, [F.parse("SELECT 'one'", "b")])];
    await away();
    told.push(await run(client, [...forget, ...then], forget.length === 1 ? 2 : 1));
    // Whatever became of it, it is so still, and not taken for another's.
    told.push(await run(client, [F.bind("b"), F.execute()]));
    told.push(await run(client, [F.parse("SELECT 'three'", "b"), F.bind("b"), F.execute()]));
    return told;
  };
  for (const forget of all) {
    for (const then of behind) {
      const what = [...forget, ...then].map((bytes) => bytes.toString("latin1", 5).replaceAll("\0", " ").trim());
      const direct = await database.direct();
      const wanted = await follow(direct, forget, then, async () => undefined);
      await direct.end();
      for (const moved of [false, true]) {
        const rig = await poolRig(t, database.server, { mode: "transaction", size: 2 });
        const [client, other] = [await rig.client(), await rig.client()];
        // Who takes the connection that the client was on leaves it another one, which has nothing prepared.
        const away = async (): Promise<void> => {
          if (moved) await ask(other, "BEGIN");
        };
        t.same(await follow(client, forget, then, away), wanted, `${what.join(" | ")}${moved ? ", elsewhere" : ""}`);
        const [[pid, has]] = (await ask(client, PREPARED)) as [[string, string]];
        const server = rig.pools.serverStats().find((one) => one.pid === Number(pid));
        t.equal(has, String(server?.preparedStatements), "and what the server has is known");
        await rig.stop();
      }
    }
  }
});

t.end();
