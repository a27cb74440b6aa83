// What an operator does with a proxy, before a real PostgreSQL: timeouts, the console with real drivers, a pause while
// the server's connections are closed, the end.
import { spawnSync } from "node:child_process";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Postgres } from "@vitrine/cli";
import { formatVerifier, makeVerifier } from "@vitrine/proxy";
import pg from "pg";
import postgres from "postgres";
import t from "tap";
import { errorField, type Message, RawClient, send } from "../support/raw-client.ts";
import { login, RAW, recorded, trust, until } from "../support/sessions.ts";
import { DATABASE, freePort, Stack, startDatabase, temporaryFolder } from "../support/stack.ts";

const folder = temporaryFolder("operation");
const PASSWORD = "of the operator";
let database: Postgres;
let stack: Stack;
let status: string;

t.before(async () => {
  database = await startDatabase(folder);
  await trust(database, folder);
  const owner = await database.connect(DATABASE);
  await owner.query("CREATE TABLE tally (n int); GRANT ALL ON tally TO raw; INSERT INTO tally VALUES (0)");
  await owner.end();
  const verifier = formatVerifier(await makeVerifier(PASSWORD));
  const users = [
    `secret=${Buffer.alloc(32, 1).toString("base64")}`,
    `"ops" "${verifier}"`,
    `"eve" "${verifier}"`,
    '"raw" ""',
    "",
  ];
  writeFileSync(join(folder, "users"), users.join("\n"), { mode: 0o600 });
  const port = await freePort();
  status = `http://127.0.0.1:${port}`;
  stack = await Stack.create(database, {
    limits: { idle_in_transaction_ms: 2500, statement_timeout_ms: 2500 },
    proxyKeys: {
      status: `127.0.0.1:${port}`,
      users: join(folder, "users"),
      auth: [{ user: RAW, database: DATABASE, method: "trust" }],
      upstream_auth: ["trust"],
      pool: { mode: "transaction", size: 3 },
      console: { users: ["ops"], stats_users: ["eve"], pgbouncer: true },
    },
  });
  await stack.start();
});

t.after(async () => {
  await stack?.destroy();
  await database?.stop();
  rmSync(folder, { recursive: true, force: true });
});

function atConsole(user = "ops", name = "vitrine"): pg.Client {
  return new pg.Client({ host: "127.0.0.1", port: stack.proxyPort, user, password: PASSWORD, database: name });
}

const errors = (messages: readonly Message[]): (string | undefined)[] =>
  messages.filter(({ type }) => type === "E").map((error) => errorField(error, "C"));

/** Server processes that the role has. */
async function serverProcesses(): Promise<number> {
  const admin = await database.connect("postgres");
  const { rows } = await admin.query("SELECT count(*)::int AS n FROM pg_stat_activity WHERE usename = $1", [RAW]);
  await admin.end();
  return (rows[0] as { n: number }).n;
}

t.test("a statement over its time is cancelled at the server, and the session goes on", async (t) => {
  const client = await login(stack.proxyPort, "slow");
  client.write(send.query("SELECT pg_sleep(30)"));
  const messages = await client.ready();
  t.same(errors(messages), ["57014"]);
  t.match(errorField(messages.find(({ type }) => type === "N")!, "M"), /statement timeout of the proxy \(2500 ms\)/);
  client.write(send.query("SELECT 1"));
  t.same(errors(await client.ready()), []);
  await client.end();
  const { told, end } = await recorded(stack, "slow");
  t.same(told, ["SELECT cancelled 57014", "SELECT completed"]);
  t.equal(end.reason, "client-terminated");
});

t.test("one that does not stop for a cancel ends its session", async (t) => {
  const client = await login(stack.proxyPort, "stubborn");
  const loop = "LOOP BEGIN PERFORM pg_sleep(60); EXCEPTION WHEN query_canceled THEN NULL; END; END LOOP";
  client.write(send.query(`DO $$ BEGIN ${loop}; END $$`));
  const messages = await client.until(() => client.closed);
  t.same(errors(messages), ["57014"]);
  t.match(errorField(messages.find(({ type }) => type === "E")!, "M"), /did not stop when cancelled/);
  const { told, end } = await recorded(stack, "stubborn");
  t.same(told, ["DO unknown"]);
  t.equal(end.reason, "statement-timeout");
  const admin = await database.connect("postgres");
  await admin.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'DO %'");
  await admin.end();
});

t.test("idle in a transaction: it is rolled back, and its locks are gone", async (t) => {
  const client = await login(stack.proxyPort, "waiting");
  client.write(send.query("BEGIN; UPDATE tally SET n = 100"));
  await client.ready();
  t.same(errors(await client.until(() => client.closed)), ["25P03"]);
  const other = await login(stack.proxyPort, "after");
  other.write(send.query("UPDATE tally SET n = n"));
  t.same(errors(await other.ready()), [], "nobody holds it");
  other.write(send.query("SELECT n FROM tally"));
  const row = (await other.ready()).find(({ type }) => type === "D")!;
  t.equal(row.bytes.subarray(-1).toString(), "0");
  await other.end();
  t.equal((await recorded(stack, "waiting")).end.reason, "transaction-timeout");
});

t.test("the console by node-postgres, postgres.js and psql", async (t) => {
  const ops = atConsole();
  await ops.connect();
  const session = await login(stack.proxyPort, "watched");
  const { rows } = await ops.query("SHOW CLIENTS");
  t.match(
    rows.find(({ application_name }) => application_name === "watched"),
    { type: "C", user: RAW, database: DATABASE, state: "idle", addr: "127.0.0.1", id: /^1\.\d+$/, tls: "" },
  );
  const named = await ops.query({ text: "SHOW POOLS", name: "pools" });
  t.match(
    named.rows.find(({ user }) => user === RAW),
    { database: DATABASE, pool_mode: "transaction", paused: "0" },
  );
  t.same((await ops.query({ text: "SHOW VERSION", rowMode: "array", name: "v" })).rows, [["Vitrine 0.1.0"]]);
  await t.rejects(ops.query("SELECT 1"), { code: "42601" });
  await t.rejects(ops.query({ text: "SHOW POOLS WHERE x = $1", values: ["y"] }), { code: "42601" });
  t.equal((await ops.query("SHOW LISTS")).rows.length, 7, "and it goes on");
  await ops.end();

  const sql = postgres({
    host: "127.0.0.1",
    port: stack.proxyPort,
    user: "eve",
    password: PASSWORD,
    database: "pgbouncer",
    max: 1,
    fetch_types: false,
  });
  const stats = await sql`SHOW STATS`;
  t.ok(stats.some(({ database: name, total_query_count }) => name === DATABASE && Number(total_query_count) > 0));
  await t.rejects(sql`SHUTDOWN`, { code: "42501" });
  await sql.end();

  if (spawnSync("psql", ["--version"]).status === 0) {
    const said = spawnSync(
      "psql",
      ["-h", "127.0.0.1", "-p", String(stack.proxyPort), "-U", "ops", "-d", "vitrine", "-Atc", "SHOW SPOOL"],
      {
        env: { ...process.env, PGPASSWORD: PASSWORD },
        encoding: "utf8",
      },
    );
    t.match(said.stdout, /^open\|/, said.stderr);
  }
  const wrong = new pg.Client({
    host: "127.0.0.1",
    port: stack.proxyPort,
    user: "ops",
    password: "wrong",
    database: "vitrine",
  });
  await t.rejects(wrong.connect(), { code: "28P01" });
  await session.end();
});

t.test("a pause under load: the server may be restarted meanwhile, and no statement fails", async (t) => {
  const ops = atConsole();
  await ops.connect();
  const file = join(stack.folder, "proxy.yaml");
  writeFileSync(file, readFileSync(file, "utf8").replace("statement_timeout_ms: 2500", "statement_timeout_ms: 0"));
  await ops.query("RELOAD");
  const changed = /config\.changed: configuration [0-9a-f]{16}: changed limits\.statement_timeout_ms/;
  await until("it is told", () => changed.test(stack.proxy.output));
  const clients = await Promise.all(Array.from({ length: 8 }, (_, i) => login(stack.proxyPort, `load-${i}`)));
  let going = true;
  let done = 0;
  const failed: (string | undefined)[] = [];
  const work = clients.map(async (client) => {
    while (going && !client.closed) {
      client.write(send.query("BEGIN"), send.query("UPDATE tally SET n = n + 1"), send.query("COMMIT"));
      failed.push(...errors(await client.ready(3)));
      done += 1;
    }
  });
  t.teardown(() => {
    going = false;
  });
  for (let round = 0; round < 3; round += 1) {
    const before = done;
    await until("they are at work", () => done > before + 20);
    await ops.query("PAUSE");
    await until("no server process is left", async () => (await serverProcesses()) === 0);
    const still = done;
    const health = await fetch(`${status}/healthz`);
    t.equal(health.status, 503);
    t.match(await health.json(), { checks: { listener: "paused" } });
    await new Promise((resolve) => setTimeout(resolve, 100));
    t.equal(done, still);
    await ops.query("RESUME");
  }
  const before = done;
  await until("they are at work again", () => done > before + 20);
  going = false;
  await Promise.all(work);
  t.same(failed, []);
  t.comment(`${done} transactions`);
  const owner = await database.connect(DATABASE);
  t.equal((await owner.query("SELECT n FROM tally")).rows[0].n, done);
  await owner.end();
  for (const client of clients) await client.end();
  await ops.end();
});

t.test("KILL and RESUME; RELOAD; the end when all have left", async (t) => {
  const client = await login(stack.proxyPort, "killed");
  const ops = atConsole();
  await ops.connect();
  await ops.query(`KILL ${DATABASE}`);
  t.same(errors(await client.until(() => client.closed)), ["57P01"]);
  t.equal((await recorded(stack, "killed")).end.reason, "killed");
  const late = login(stack.proxyPort, "late");
  await ops.query(`RESUME ${DATABASE}`);
  await (await late).end();
  await ops.query("RELOAD");

  const last = await login(stack.proxyPort, "last");
  await ops.query("SHUTDOWN WAIT_FOR_CLIENTS");
  await t.rejects(RawClient.open(stack.proxyPort), { code: "ECONNREFUSED" });
  last.write(send.query("SELECT 1"));
  t.same(errors(await last.ready()), [], "who is there goes on");
  ops.on("error", () => undefined);
  await last.end();
  t.match(await stack.proxy.ended(60_000), { code: 0 });
  t.match(stack.proxy.output, /vitrine: proxy stopped/);
  const commands = (await stack.entries()).filter(
    ({ kind, database: name }) => kind === "statement" && name === "vitrine",
  );
  t.ok(commands.length > 10, "all of it is in the log");
  t.ok(commands.every(({ outcome }) => ["completed", "failed"].includes(outcome as string)));
  const audit = await stack.verifier("audit");
  t.equal(audit.code, 0, audit.stdout + audit.stderr);
});

t.end();
