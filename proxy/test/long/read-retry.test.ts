// A read whose server is lost before a byte of its answer is out is asked elsewhere, and nothing else is.
import type { Duplex } from "node:stream";
import t from "tap";
import type { OpenServer } from "../../src/pool/index.ts";
import { until } from "../audit/help.ts";
import { ask, type PoolRig, type Postgres, poolRig, postgres, Q, rowsOf, value, type Wire } from "../pool/help.ts";
import { F } from "../session/stage.ts";

const started = await postgres();
if (typeof started === "string") {
  t.pass(`skipped: ${started}`);
  process.exit(0);
}
const database: Postgres = started;
t.teardown(() => database.stop());

/** A read by its text, which waits as long as somebody holds the table. */
const SLOW = "SELECT count(*), 'done' FROM held";

const owner = await database.direct({ user: "postgres" });
await ask(owner, "CREATE TABLE held AS SELECT generate_series(1, 3); GRANT ALL ON held TO PUBLIC");

async function hold(): Promise<void> {
  await ask(owner, "BEGIN; LOCK TABLE held");
}

/** Once another process than this one waits for the table: it was asked again. */
async function release(pid: string): Promise<void> {
  const waiting = `SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'held'::regclass AND pid <> ${pid}`;
  while ((await value(owner, waiting)) === "0");
  await ask(owner, "COMMIT");
}

interface Cut {
  readonly rig: PoolRig;
  readonly streams: Duplex[];
  readonly client: Wire;
  readonly admin: Wire;
}

async function set(t: { teardown(f: () => unknown): unknown }): Promise<Cut> {
  const streams: Duplex[] = [];
  const server: OpenServer = async (wanted, visitor) => {
    const opened = await database.server(wanted, visitor);
    streams.push(opened.stream);
    return opened;
  };
  const rig = await poolRig(t, server, { mode: "transaction", size: 3 });
  const [client, admin] = [await rig.client({ application_name: "victim" }), await rig.client()];
  return { rig, streams, client, admin };
}

/** The process that executes this for the client, once it does. */
async function busy(admin: Wire, like: string): Promise<string> {
  for (const end = Date.now() + 30_000; Date.now() < end; ) {
    const others = "state = 'active' AND pid <> pg_backend_pid()";
    const pid = await value(admin, `SELECT max(pid) FROM pg_stat_activity WHERE ${others} AND query LIKE '${like}%'`);
    if (pid !== null) return pid;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  throw new Error(`${like} does not run`);
}

/** The connection on which something runs that is not the admin's. */
function cut(streams: readonly Duplex[], rig: PoolRig): void {
  for (const client of rig.pools.clients) {
    const { server } = client;
    if (server !== undefined && streams.includes(server.opened.stream)) server.opened.stream.destroy();
  }
}

async function entries(rig: PoolRig, client: Wire): Promise<unknown[]> {
  client.socket.destroy();
  const all = await rig.stop();
  const own = all.filter(
    ({ kind, client }) => kind === "statement" && (client as { application?: string }).application === "victim",
  );
  return own.map(({ operation, outcome, attempts }) => [operation, outcome, attempts]);
}

t.test("the server says that it goes away, or the connection just ends", async (t) => {
  for (const how of ["57P01", "cut"]) {
    const { rig, streams, client, admin } = await set(t);
    await hold();
    client.socket.write(Q(SLOW));
    const pid = await busy(admin, "SELECT count");
    if (how === "cut") cut(streams, rig);
    else await value(admin, `SELECT pg_terminate_backend(${pid})`);
    await release(pid);
    const messages = await client.ready();
    t.same(rowsOf(messages), [["3", "done"]], how);
    t.equal(messages.map(({ type }) => type).join(""), "TDCZ");
    t.equal(await value(client, "SELECT 'still here'"), "still here");
    t.same(await entries(rig, client), [
      ["SELECT", "completed", 2],
      ["SELECT", "completed", undefined],
    ]);
  }
});

t.test("a prepared statement is there on the other server, and so is what was set", async (t) => {
  const { rig, streams, client, admin } = await set(t);
  client.socket.write(Q("SET search_path TO pg_catalog, public"));
  await client.ready();
  client.socket.write(
    Buffer.concat([F.parse("SELECT count(*) + $1::int, current_setting('search_path') FROM held", "slow"), F.sync()]),
  );
  await client.ready();
  await hold();
  client.socket.write(Buffer.concat([F.bind("slow", "", ["4"]), F.execute(), F.sync()]));
  const pid = await busy(admin, "SELECT count");
  cut(streams, rig);
  await release(pid);
  const messages = await client.ready();
  t.same(rowsOf(messages), [["7", "pg_catalog, public"]]);
  t.equal(messages.map(({ type }) => type).join(""), "2DCZ");
  t.same((await entries(rig, client)).at(-1), ["SELECT", "completed", 2]);
});

t.test("a statement that is named in the same breath, and the server has said a part of the answer", async (t) => {
  const { rig, client, admin } = await set(t);
  await hold();
  client.socket.write(Buffer.concat([F.parse(SLOW, "named"), F.bind("named"), F.execute(), F.sync()]));
  const pid = await busy(admin, "SELECT count");
  await value(admin, `SELECT pg_terminate_backend(${pid})`);
  await release(pid);
  const messages = await client.ready();
  t.same(rowsOf(messages), [["3", "done"]]);
  t.equal(messages.map(({ type }) => type).join(""), "12DCZ");
  client.socket.write(Buffer.concat([F.parse("SELECT 1", "named"), F.sync()]));
  t.match((await client.ready()).find(({ type }) => type === "E")?.body.toString(), /42P05/, "it is there, once");
  t.same((await entries(rig, client))[0], ["SELECT", "completed", 2]);
});

t.test("not a write, not in a transaction, not behind the first row", async (t) => {
  for (const [begin, text, like, seen] of [
    ["", "CREATE TABLE made AS SELECT * FROM held", "CREATE", ""],
    ["BEGIN", SLOW, "SELECT count", ""],
    ["", "SELECT generate_series(1, 3000000), repeat('x', 500)", "SELECT generate", "D"],
  ] as const) {
    const { rig, streams, client, admin } = await set(t);
    await hold();
    if (begin !== "") {
      client.socket.write(Q(begin));
      await client.ready();
    }
    client.socket.write(Q(text));
    await busy(admin, like);
    if (seen !== "") {
      await until("a row is here", () => client.messages.length > 1);
      client.socket.pause();
    }
    cut(streams, rig);
    client.socket.resume();
    await until("the client is told", () => client.closed);
    await ask(owner, "COMMIT");
    t.equal(client.types.includes("C"), false);
    t.same((await entries(rig, client)).at(-1), [
      text.startsWith("CREATE") ? "CREATE TABLE AS" : "SELECT",
      "unknown",
      undefined,
    ]);
  }
});

t.test("a server that is lost while more was asked, which waits for its answers", async (t) => {
  const { rig, streams, client, admin } = await set(t);
  const segment = (sql: string): Buffer => Buffer.concat([F.parse(sql), F.bind(), F.execute(), F.sync()]);
  client.socket.write(Buffer.concat([segment("SELECT pg_sleep(20)"), segment("SELECT 1"), segment("SELECT 2")]));
  await busy(admin, "SELECT pg_sleep");
  cut(streams, rig);
  await until("the client is told", () => client.closed);
  t.equal((await entries(rig, client)).length, 3);
});

t.test("a client that cancels, or goes away, while its read waits to be asked again", async (t) => {
  const { rig, streams, client, admin } = await set(t);
  for (let i = 0; i < 3; i += 1) {
    await hold();
    client.socket.write(Q(SLOW));
    const pid = await busy(admin, "SELECT count");
    cut(streams, rig);
    if (i === 2) {
      client.socket.destroy();
      await ask(owner, "COMMIT");
    } else {
      await release(pid);
      await client.ready();
    }
  }
  await until("nobody has a server", () => rig.pools.stats()[0]?.servers.active === 0);
  await until("it is gone", () => rig.proxy.clients === 1);
  t.equal(await value(admin, "SELECT 1"), "1");
});

t.end();
