// Session pooling, with a real PostgreSQL: who gets which connection, and what is left on it.
import t from "tap";
import { cancelRequest } from "../../src/wire/write.ts";
import { until } from "../audit/help.ts";
import { ask, keptBytes, type Postgres, poolRig, postgres, Q, value } from "./help.ts";

const started = await postgres();
if (typeof started === "string") {
  t.pass(`skipped: ${started}`);
  process.exit(0);
}
const database: Postgres = started;
t.teardown(() => database.stop());

t.test("a connection is used again, and nothing of its last user is left on it", async (t) => {
  const rig = await poolRig(t, database.server, { size: 1 });
  const first = await rig.client({ application_name: "first" });
  t.match(first.parameters.get("server_version"), /^18/);
  t.equal(first.parameters.get("application_name"), "first");
  const pid = await value(first, "SELECT pg_backend_pid()");
  await ask(first, "SET work_mem = '77MB'; SET ROLE helper; CREATE TEMP TABLE mine (a int); PREPARE p AS SELECT 1");
  await ask(first, "SET DateStyle = 'SQL, DMY'");
  t.equal(first.parameters.get("DateStyle"), "SQL, DMY", "it is told what the server reports");
  await ask(first, "SELECT pg_advisory_lock(7); LISTEN news; BEGIN; DECLARE c CURSOR FOR SELECT 1");
  await first.end();
  const second = await rig.client({ application_name: "it's\\second" });
  t.same(await ask(second, "SELECT pg_backend_pid()"), [[pid]], "the same connection");
  t.same(await ask(second, "SELECT current_setting('work_mem'), current_user, current_setting('application_name')"), [
    ["4MB", "ann", "it's\\second"],
  ]);
  t.same(await ask(second, "SELECT count(*) FROM pg_prepared_statements"), [["0"]]);
  t.same(await ask(second, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"), [["0"]]);
  t.same(await ask(second, "SELECT count(*) FROM pg_listening_channels()"), [["0"]]);
  t.match(await ask(second, "SELECT * FROM mine"), /^42P01/);
  await second.end();
  const kinds = (await rig.stop()).map(({ kind }) => kind).filter((kind) => String(kind).startsWith("session"));
  t.same(kinds, ["session.start", "session.end", "session.start", "session.end"]);
});

t.test("who comes when all are in use waits, in order; and not for ever", async (t) => {
  const rig = await poolRig(t, database.server, { size: 1 });
  const first = await rig.client();
  const order: string[] = [];
  const second = rig.client().then((wire) => {
    order.push("second");
    return wire;
  });
  await until("the second waits", () => rig.pools.stats()[0]!.clients.waiting === 1);
  const third = rig.client().then((wire) => {
    order.push("third");
    return wire;
  });
  await until("the third waits", () => rig.pools.stats()[0]!.clients.waiting === 2);
  await first.end();
  await (await second).end();
  await (await third).end();
  t.same(order, ["second", "third"]);
  const holder = await rig.client();
  rig.pools.settings = { ...rig.pools.settings, queueTimeoutMs: 300 };
  await t.rejects(rig.client(), /53300 no server connection became free within 0.3 s/);
  await holder.end();
  t.match(
    (await rig.stop()).find(({ kind }) => kind === "access.refused"),
    { by: "proxy", sqlstate: "53300" },
  );
});

t.test("a connection that died unused is replaced, one that died in use ends its session", async (t) => {
  const rig = await poolRig(t, database.server, { size: 2 });
  const admin = await database.direct({ user: "postgres" });
  const first = await rig.client();
  const pid = await value(first, "SELECT pg_backend_pid()");
  await first.end();
  await ask(admin, `SELECT pg_terminate_backend(${pid}, 2000)`);
  const second = await rig.client();
  const other = await value(second, "SELECT pg_backend_pid()");
  t.not(other, pid);
  await ask(admin, `SELECT pg_terminate_backend(${other}, 2000)`);
  await until("it is told", () => second.closed);
  t.match(second.lastError, /^57P01/);
  await admin.end();
  t.equal(rig.pools.stats()[0]?.servers.active ?? 0, 0);
});

t.test("a client that goes away in the middle leaves nothing running for the next", async (t) => {
  const rig = await poolRig(t, database.server, { size: 1 });
  const first = await rig.client();
  await ask(first, "CREATE TABLE IF NOT EXISTS left_open (a int)");
  await ask(first, "BEGIN");
  await ask(first, "INSERT INTO left_open VALUES (1)");
  first.socket.destroy();
  const second = await rig.client();
  t.same(await ask(second, "SELECT count(*) FROM left_open"), [["0"]], "rolled back");
  second.socket.write(Q("SELECT pg_sleep(0.2), repeat('x', 100)"));
  second.socket.end();
  const third = await rig.client();
  t.same(await ask(third, "SELECT 1"), [["1"]]);
});

t.test("a COPY out of more than fits anywhere passes by in pieces", async (t) => {
  const rig = await poolRig(t, database.server);
  const client = await rig.client();
  client.socket.pause();
  client.socket.write(Q("COPY (SELECT repeat('x', 1000) FROM generate_series(1, 30000)) TO STDOUT"));
  await new Promise((resolve) => setTimeout(resolve, 200));
  const kept = await keptBytes();
  t.ok(kept < 16 << 20, `while nobody reads: ${kept >> 20} MiB`);
  client.socket.resume();
  const messages = await client.ready();
  t.equal(messages.filter(({ type }) => type === "d").length, 30_000);
});

t.test("a cancel request reaches the statement that the client has under way", async (t) => {
  const rig = await poolRig(t, database.server);
  const client = await rig.client();
  client.socket.write(Q("SELECT pg_sleep(20)"));
  const admin = await database.direct({ user: "postgres" });
  while ((await value(admin, "SELECT count(*) FROM pg_stat_activity WHERE query ~ '^SELECT pg_sleep.20'")) !== "1");
  await admin.end();
  rig.open().end(cancelRequest(client.key!.pid, client.key!.key));
  const messages = await client.ready();
  t.match(messages.map(({ type }) => type).join(""), /EZ$/);
});

t.end();
