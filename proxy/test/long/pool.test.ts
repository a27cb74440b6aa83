// Pools with a real PostgreSQL, at length: many clients, every pin, every split, cancels, limits, and what an operator does.
import { once } from "node:events";
import type { Socket } from "node:net";
import t from "tap";
import { cancelRequest } from "../../src/wire/write.ts";
import { until } from "../audit/help.ts";
import {
  ask,
  givenBack,
  keptBytes,
  type Message,
  type Postgres,
  poolRig,
  postgres,
  Q,
  rowsOf,
  value,
  type Wire,
} from "../pool/help.ts";
import { F } from "../session/stage.ts";

const started = await postgres();
if (typeof started === "string") {
  t.pass(`skipped: ${started}`);
  process.exit(0);
}
const database: Postgres = started;
t.setTimeout(600_000);
t.teardown(() => database.stop());

const TRANSACTION = { mode: "transaction" } as const;
const pid = (wire: Wire): Promise<string | null> => value(wire, "SELECT pg_backend_pid()");
const types = (messages: readonly Message[]): string => messages.map(({ type }) => type).join("");

t.test("two hundred clients on five servers", async (t) => {
  const rig = await poolRig(t, database.server, { ...TRANSACTION, size: 5 });
  const clients = await Promise.all(
    Array.from({ length: 200 }, (_, i) => rig.client({ application_name: `client ${i}` })),
  );
  const pids = new Set<string | null>();
  let right = 0;
  await Promise.all(
    clients.map(async (client, i) => {
      for (let n = 0; n < 3; n += 1) {
        pids.add(await pid(client));
        await ask(client, "BEGIN");
        if ((await value(client, "SELECT current_setting('application_name')")) === `client ${i}`) right += 1;
        await ask(client, "COMMIT");
      }
    }),
  );
  t.equal(right, 600);
  t.ok(pids.size <= 5, `${pids.size} servers`);
  await givenBack(t, rig, clients, { used: pids.size, size: 5 });
});

t.test("every pin keeps the connection, says why, and nothing of it is left for the next", async (t) => {
  const cases: Readonly<Record<string, readonly [pin: string, see: string, others: string]>> = {
    "SELECT pg_advisory_lock(4711)": [
      "advisory-lock",
      "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()",
      "0",
    ],
    "DECLARE h CURSOR WITH HOLD FOR SELECT 1": ["cursor", "SELECT count(*) FROM pg_cursors WHERE is_holdable", "0"],
    "LISTEN n": ["listen", "SELECT count(*) FROM pg_listening_channels()", "0"],
    "PREPARE p AS SELECT 1": ["prepare", "SELECT count(*) FROM pg_prepared_statements WHERE from_sql", "0"],
    "SELECT set_config('work_mem', '9MB', false)": ["settings", "SELECT current_setting('work_mem')", "4MB"],
    "CREATE TEMP TABLE mine (a int)": [
      "temporary",
      "SELECT to_regclass('pg_temp.mine')::text",
      null as unknown as string,
    ],
    "DO $$ BEGIN PERFORM set_config('work_mem', '9MB', false); END $$": [
      "unknown",
      "SELECT current_setting('work_mem')",
      "4MB",
    ],
  };
  for (const [sql, [pin, see, others]] of Object.entries(cases)) {
    const rig = await poolRig(t, database.server, { ...TRANSACTION, size: 2 });
    const client = await rig.client();
    const other = await rig.client();
    await ask(client, sql);
    const own = await pid(client);
    t.same(rig.pools.clientStats()[0]?.pins, [pin], sql);
    t.not(await pid(other), own, "nobody else gets it");
    t.equal(await value(other, see), others);
    t.not(await value(client, see), others);
    t.equal(await pid(client), own, "and it has it still");
    await client.end();
    for (let i = 0; i < 2; i += 1) {
      await ask(other, "BEGIN");
      t.equal(await value(other, see), others, "gone");
      const third = await rig.client();
      t.equal(await value(third, see), others, "gone");
      await ask(other, "COMMIT");
    }
    const ends = (await rig.stop()).filter(({ kind }) => kind === "session.end");
    t.same(ends.map(({ pins }) => pins).filter(Boolean), [[pin]], "it stands in the record");
  }
});

t.test("what is pinned again behind what undoes it stays pinned", async (t) => {
  const rig = await poolRig(t, database.server, { ...TRANSACTION, size: 1 });
  const client = await rig.client();
  await ask(client, "CREATE TEMP TABLE again (a int)");
  client.socket.write(Buffer.concat([Q("DISCARD TEMP"), Q("CREATE TEMP TABLE again (a int)")]));
  await client.ready(2);
  t.equal(rig.pools.stats()[0]?.servers.active, 1);
  client.socket.write(Buffer.concat([Q("DISCARD ALL"), Q("SELECT pg_advisory_lock(4712), 1/0")]));
  await client.ready(2);
  t.equal(rig.pools.stats()[0]?.servers.active, 1, "by what has failed, too");
  await ask(client, "DISCARD ALL");
  t.equal(rig.pools.stats()[0]?.servers.idle, 1);
});

t.test("a conversation cut at every byte", async (t) => {
  const rig = await poolRig(t, database.server, { ...TRANSACTION, size: 2, preparedStatements: 1 });
  const bytes = Buffer.concat([
    F.parse("SELECT $1::text", "a"),
    F.parse("SELECT 2", "b"),
    F.bind("a", "", ["x"]),
    F.describe("P"),
    F.execute(),
    F.bind("b"),
    F.execute(),
    F.sync(),
    F.query("SET work_mem = '5MB'"),
    F.describe("S", "b"),
    F.close("S", "a"),
    F.sync(),
    F.query("COPY (SELECT 1) TO STDOUT"),
    F.query("SELECT 1/0"),
  ]);
  const one = async (cut: number): Promise<string> => {
    const client = await rig.client();
    client.socket.write(bytes.subarray(0, cut));
    if (cut > 0 && cut < bytes.length) await new Promise((resolve) => setImmediate(resolve));
    client.socket.write(bytes.subarray(cut));
    const messages = await client.ready(5);
    await client.end();
    return types(messages).replaceAll("S", "");
  };
  const whole = await one(0);
  t.equal(whole, "112TDC2DCZCZtT3ZHdcCZEZ");
  const other = new Set<string>();
  for (let cut = 1; cut < bytes.length; cut += 1) other.add(await one(cut));
  t.same([...other], [whole]);
  const slow = await rig.client();
  for (const byte of bytes) {
    slow.socket.write(Buffer.from([byte]));
    await new Promise((resolve) => setImmediate(resolve));
  }
  t.equal(types(await slow.ready(5)).replaceAll("S", ""), whole, "byte by byte");
});

t.test("what stands behind an error is skipped, a Query too, and changes nothing", async (t) => {
  const rig = await poolRig(t, database.server, { ...TRANSACTION, size: 1 });
  const client = await rig.client();
  client.socket.write(Buffer.concat([F.parse("SELECT 'old'"), F.parse("SELECT 'old'", "s"), F.sync()]));
  await client.ready();
  client.socket.write(
    Buffer.concat([
      F.parse("not sql", "x"),
      F.close("S", "s"),
      F.close("S"),
      F.parse("SELECT 'new'"),
      Q("SELECT 1"),
      F.sync(),
    ]),
  );
  t.equal(types(await client.ready()), "EZ");
  client.socket.write(Buffer.concat([F.bind("s"), F.execute(), F.bind(), F.execute(), F.sync()]));
  t.same(rowsOf(await client.ready()), [["old"], ["old"]]);
  const skipped = [F.bind("none"), F.parse("SELECT 'skipped'"), F.sync()];
  client.socket.write(Buffer.concat([...skipped, ...skipped, F.bind(), F.execute(), F.sync()]));
  t.same(rowsOf(await client.ready(3)), [["old"]], "two segments that fail, one behind the other");
});

t.test("COPY in, simple and extended, and given up", async (t) => {
  const rig = await poolRig(t, database.server, { ...TRANSACTION, size: 1 });
  const client = await rig.client();
  await ask(client, "CREATE TABLE IF NOT EXISTS copied (a int, b text); TRUNCATE copied");
  const data = Array.from({ length: 1000 }, (_, i) => F.copyData(`${i}\t${"x".repeat(500)}\n`));
  client.socket.write(Q("COPY copied FROM STDIN"));
  await client.until(() => client.messages.length > 0);
  client.socket.write(Buffer.concat([...data, F.copyDone()]));
  t.equal(types(await client.ready()), "GCZ");
  // libpq sends the Sync at once, and another behind the data: the server swallows the first.
  client.socket.write(Buffer.concat([F.parse("COPY copied FROM STDIN"), F.bind(), F.execute(), F.sync()]));
  await client.until(() => client.messages.length > 2);
  client.socket.write(Buffer.concat([...data, F.copyDone(), F.sync()]));
  t.equal(types(await client.ready()), "12GCZ");
  client.socket.write(Buffer.concat([Q("COPY copied FROM STDIN"), ...data, F.copyFail()]));
  t.match(types(await client.ready()), /^GEZ$/);
  client.socket.write(
    Buffer.concat([
      F.parse("COPY copied FROM STDIN"),
      F.bind(),
      F.execute(),
      F.copyData("not a number\n"),
      F.copyDone(),
      F.sync(),
    ]),
  );
  t.match(types(await client.ready()), /^12GEZ$/);
  t.equal(await value(client, "SELECT count(*) FROM copied"), "2000");
  t.equal(rig.pools.stats()[0]?.servers.idle, 1, "given back each time");
  // In the middle of a COPY the client goes.
  client.socket.write(Buffer.concat([Q("COPY copied FROM STDIN"), ...data]));
  await client.until(() => client.messages.length > 0);
  client.socket.destroy();
  const next = await rig.client();
  t.equal(await value(next, "SELECT count(*) FROM copied"), "2000");
});

t.test("a wait that is too long, or is cancelled, ends the statement and not the session", async (t) => {
  const rig = await poolRig(t, database.server, { ...TRANSACTION, size: 1 });
  const [holder, client] = [await rig.client(), await rig.client()];
  await ask(holder, "BEGIN");
  rig.pools.settings = { ...rig.pools.settings, queueTimeoutMs: 250 };
  t.match(await ask(client, "SELECT 1"), /^53300 no server connection became free within 0.25 s/);
  client.socket.write(Buffer.concat([F.parse("SELECT 1"), F.bind(), F.execute(), F.sync()]));
  t.equal(types(await client.ready()), "EZ");
  client.socket.write(F.functionCall(177, "1", "2"));
  t.equal(types(await client.ready()), "EZ");
  rig.pools.settings = { ...rig.pools.settings, queueTimeoutMs: 60_000 };
  client.socket.write(Q("SELECT 2"));
  await until("it waits", () => rig.pools.stats()[0]!.clients.waiting === 1);
  rig.open().end(cancelRequest(client.key!.pid, client.key!.key));
  const [error] = await client.ready();
  t.match(error?.body.toString(), /57014/);
  await ask(holder, "COMMIT");
  t.same(await ask(client, "SELECT 3"), [["3"]]);
  t.equal(rig.pools.totals.timeouts, 3);
  const failed = (await rig.stop()).filter(({ outcome }) => outcome === "failed" || outcome === "cancelled");
  t.same(
    failed.map(({ sqlstate }) => sqlstate),
    ["53300", "53300", "53300", "57014"],
  );
});

t.test("no statement of another client is ever cancelled", async (t) => {
  const rig = await poolRig(t, database.server, { ...TRANSACTION, size: 2 });
  const victims = await Promise.all(Array.from({ length: 4 }, () => rig.client()));
  const target = await rig.client();
  const CANCELS = Number(process.env.CANCELS ?? 10_000);
  let cancelled = 0;
  let hit = 0;
  let done = 0;
  const firing = (async () => {
    const fire = async (): Promise<void> => {
      const socket: Socket = rig.open();
      socket.on("error", () => undefined);
      socket.resume();
      socket.end(cancelRequest(target.key!.pid, target.key!.key));
      await once(socket, "close");
      done += 1;
    };
    await Promise.all(
      Array.from({ length: 8 }, async () => {
        while (done < CANCELS) await fire();
      }),
    );
  })();
  let statements = 0;
  await Promise.all([
    firing,
    ...victims.map(async (victim) => {
      while (done < CANCELS) {
        statements += 1;
        if (typeof (await ask(victim, "SELECT count(*) FROM generate_series(1, 2000)")) === "string") hit += 1;
      }
    }),
    (async () => {
      while (done < CANCELS)
        if (typeof (await ask(target, "SELECT count(*) FROM generate_series(1, 2000)")) === "string") cancelled += 1;
    })(),
  ]);
  t.equal(hit, 0, `of ${statements} statements of others`);
  t.ok(cancelled > 0, `${cancelled} of the target's were cancelled by ${done} requests`);
});

t.test("servers that are killed, unused, used, and between", async (t) => {
  const rig = await poolRig(t, database.server, { ...TRANSACTION, size: 2 });
  const admin = await database.direct({ user: "postgres" });
  const client = await rig.client();
  for (let i = 0; i < 5; i += 1) {
    await ask(admin, `SELECT pg_terminate_backend(${await pid(client)}, 2000)`);
    t.match(await pid(client), /^\d+$/, "unused: the client does not notice");
  }
  await ask(client, "BEGIN");
  await ask(admin, `SELECT pg_terminate_backend(${await pid(client)}, 2000)`);
  await until("it is told", () => client.closed);
  t.match(client.lastError, /^57P01/);
  await admin.end();
});

t.test("what one client has set does not stand in the way of the next", async (t) => {
  const rig = await poolRig(t, database.server, { ...TRANSACTION, size: 1 });
  const [a, b] = [await rig.client(), await rig.client()];
  for (let i = 0; i < 20; i += 1) {
    await ask(a, "SET statement_timeout = 1");
    t.same(await ask(b, "SELECT current_setting('statement_timeout'), pg_sleep(0.005)"), [["0", ""]]);
    await ask(a, "RESET statement_timeout");
  }
});

t.test("what was asked before a client went is done, as the server itself would", async (t) => {
  const rig = await poolRig(t, database.server, { ...TRANSACTION, size: 1 });
  const [a, b] = [await rig.client(), await rig.client()];
  await ask(a, "CREATE TABLE IF NOT EXISTS parting (a int); TRUNCATE parting");
  await ask(a, "BEGIN");
  b.socket.end(Buffer.concat([Q("INSERT INTO parting VALUES (1)"), F.terminate()]));
  await until("it waits", () => rig.pools.stats()[0]!.clients.waiting === 1);
  await ask(a, "COMMIT");
  await until("it is gone", () => rig.pools.clientStats().length === 1);
  t.same(await ask(a, "SELECT count(*) FROM parting"), [["1"]]);
  const killed = rig.pools.totals.pins.size;
  t.equal(killed, 0);
});

t.test("limits make room at the expense of who does not use it", async (t) => {
  const rig = await poolRig(t, database.server, {
    ...TRANSACTION,
    size: 2,
    maxTotal: 2,
    maxPerUser: 2,
  });
  const [a, b] = [await rig.client(), await rig.client()];
  for (const client of [a, b]) await ask(client, "BEGIN");
  for (const client of [a, b]) await ask(client, "COMMIT");
  const of = (user: string): number =>
    rig.pools
      .stats()
      .filter((row) => row.user === user)
      .reduce((sum, { servers }) => sum + servers.idle + servers.active, 0);
  t.equal(of("ann"), 2);
  const c = await rig.client({ user: "bob" });
  await ask(c, "BEGIN");
  t.same([of("ann"), of("bob")], [1, 1], "an idle one of the other pool was closed");
  await ask(a, "BEGIN");
  rig.pools.settings = { ...rig.pools.settings, queueTimeoutMs: 300 };
  t.match(await ask(b, "SELECT 1"), /^53300/, "all are in use");
  rig.pools.settings = { ...rig.pools.settings, queueTimeoutMs: 60_000 };
  const waiting = ask(b, "SELECT 1");
  await ask(c, "COMMIT");
  t.same(await waiting, [["1"]], "room that became free elsewhere");
  await ask(a, "COMMIT");
  const other = await rig.client({ DateStyle: "German" });
  t.same(
    await ask(other, "SHOW DateStyle"),
    [["German, DMY"]],
    "other startup parameters, another pool, the same limits",
  );
});

t.test("a pool that is always busy does not keep out one that has nothing", async (t) => {
  const rig = await poolRig(t, database.server, { ...TRANSACTION, size: 2, maxTotal: 1 });
  const busy = await Promise.all([rig.client(), rig.client(), rig.client()]);
  let over = false;
  let asked = 0;
  const loops = busy.map(async (client) => {
    while (!over) {
      await ask(client, "SELECT 1");
      asked += 1;
    }
  });
  for (let i = 0; i < 5; i += 1) {
    const other = await rig.client({ user: "bob" });
    t.same(await ask(other, "SELECT current_user"), [["bob"]]);
    t.ok(rig.pools.serverStats().length <= 1, "never more than one");
    await other.end();
  }
  over = true;
  await Promise.all(loops);
  t.ok(asked > 0);
});

t.test("old and unused connections are closed, the least number stays, and a suspect one is asked first", async (t) => {
  const rig = await poolRig(t, database.server, {
    ...TRANSACTION,
    size: 3,
    min: 1,
    idleTimeoutMs: 50,
    checkAfterMs: 30,
  });
  const clients = await Promise.all([rig.client(), rig.client(), rig.client()]);
  for (const client of clients) await ask(client, "BEGIN");
  for (const client of clients) await ask(client, "COMMIT");
  t.ok((rig.pools.stats()[0]?.servers.idle ?? 0) > 1);
  await new Promise((resolve) => setTimeout(resolve, 60));
  rig.pools.upkeep();
  t.equal(rig.pools.stats()[0]?.servers.idle, 1);
  t.same(await ask(clients[0]!, "SELECT 1"), [["1"]], "after it was asked whether it lives");
  rig.pools.settings = { ...rig.pools.settings, lifetimeMs: 1 };
  rig.pools.reconnect();
  const before = await pid(clients[0]!);
  await new Promise((resolve) => setTimeout(resolve, 5));
  t.not(await pid(clients[0]!), before, "it was too old");
});

t.test("pause, resume, reconnect, kill", async (t) => {
  const rig = await poolRig(t, database.server, { ...TRANSACTION, size: 2 });
  const [a, b] = [await rig.client(), await rig.client()];
  await ask(a, "BEGIN");
  const own = await pid(a);
  let paused = false;
  const pausing = rig.pools.pause("postgres").then(() => {
    paused = true;
  });
  const waiting = ask(b, "SELECT 1");
  t.same(await ask(a, "SELECT 2"), [["2"]], "what has begun goes on");
  t.notOk(paused);
  await ask(a, "COMMIT");
  await pausing;
  t.equal(rig.pools.stats()[0]?.clients.waiting, 1);
  t.ok(rig.pools.resume("postgres"));
  t.same(await waiting, [["1"]]);
  rig.pools.reconnect("postgres");
  t.not(await pid(a), own);
  rig.pools.kill("postgres");
  await until("all are gone", () => a.closed && b.closed);
  t.match(a.lastError, /^57P01/);
});

t.test("a prepared statement after its table has changed", async (t) => {
  const rig = await poolRig(t, database.server, { ...TRANSACTION, size: 1 });
  const [a, b] = [await rig.client(), await rig.client()];
  await ask(a, "DROP TABLE IF EXISTS shape; CREATE TABLE shape (a int); INSERT INTO shape VALUES (1)");
  a.socket.write(
    Buffer.concat([F.parse("SELECT * FROM shape", "s"), F.describe("S", "s"), F.bind("s"), F.execute(), F.sync()]),
  );
  t.equal(types(await a.ready()), "1tT2DCZ");
  await ask(b, "ALTER TABLE shape ADD b int DEFAULT 2");
  a.socket.write(Buffer.concat([F.bind("s"), F.execute(), F.sync()]));
  const [error] = await a.ready();
  t.match(error?.body.toString(), /0A000/, "as PostgreSQL says it");
  t.match(error?.body.toString(), /cached plan must not change result type/);
  b.socket.write(Buffer.concat([F.parse("SELECT * FROM shape", "s"), F.bind("s"), F.execute(), F.sync()]));
  t.same(rowsOf(await b.ready()), [["1", "2"]], "who prepares it now gets it as it is now");
  a.socket.write(
    Buffer.concat([F.close("S", "s"), F.parse("SELECT * FROM shape", "s"), F.bind("s"), F.execute(), F.sync()]),
  );
  t.same(rowsOf(await a.ready()), [["1", "2"]]);
});

t.test("names are the client's own in what it is told", async (t) => {
  const rig = await poolRig(t, database.server, { ...TRANSACTION, size: 1, preparedStatements: 2 });
  const client = await rig.client();
  const error = async (...messages: Buffer[]): Promise<string | undefined> => {
    client.socket.write(Buffer.concat([...messages, F.sync()]));
    return (await client.ready())
      .find(({ type }) => type === "E")
      ?.body.toString("utf8")
      .split("\0")
      .find((field) => field.startsWith("M"));
  };
  t.equal(await error(F.parse("SELECT 1", "mine")), undefined);
  t.equal(await error(F.parse("SELECT 2", "mine")), 'Mprepared statement "mine" already exists');
  t.equal(await error(F.bind("other")), 'Mprepared statement "other" does not exist');
  t.same(await ask(client, "DEALLOCATE mine"), []);
  t.equal(await error(F.bind("mine")), 'Mprepared statement "mine" does not exist');
  for (let i = 0; i < 20; i += 1)
    t.equal(await error(F.parse(`SELECT ${i}`, `s${i}`), F.bind(`s${i}`), F.execute()), undefined);
  const [server] = rig.pools.serverStats();
  t.ok(server!.preparedStatements <= 2, "of which the server keeps two");
  for (let i = 0; i < 20; i += 1)
    t.equal(await error(F.bind(`s${i}`), F.execute()), undefined, "and has again when they are wanted");
});

t.test("a Bind of many megabytes, and a client that never reads, pass by in pieces", async (t) => {
  const rig = await poolRig(t, database.server, { ...TRANSACTION, size: 2 });
  const client = await rig.client();
  const big = "x".repeat(20 << 20);
  client.socket.write(
    Buffer.concat([F.parse("SELECT length($1)", "l"), F.bind("l", "", [big]), F.execute(), F.sync()]),
  );
  t.same(rowsOf(await client.ready()), [[String(big.length)]]);
  const deaf = await rig.client();
  deaf.socket.pause();
  const before = await keptBytes();
  deaf.socket.write(Q("SELECT repeat('x', 1000) FROM generate_series(1, 200000)"));
  await new Promise((resolve) => setTimeout(resolve, 500));
  t.ok((await keptBytes()) - before < 24 << 20);
  deaf.socket.destroy();
  t.same(await ask(client, "SELECT 1"), [["1"]]);
});

t.end();
