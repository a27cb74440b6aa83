// Pooling by transaction with real drivers, the whole way: clients that the proxy authenticates, four server
// connections, and a log in which every statement stands as its client asked it.
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { Postgres } from "@vitrine/cli";
import pg from "pg";
import copyStreams from "pg-copy-streams";
import postgres from "postgres";
import t from "tap";
import { underWay } from "../support/sessions.ts";
import { PASSWORD, Stack, startDatabase, temporaryFolder, USER } from "../support/stack.ts";

const SERVERS = 4;
const folder = temporaryFolder("pool");
let database: Postgres;
let stack: Stack;

t.setTimeout(300_000);

t.before(async () => {
  database = await startDatabase(folder);
  const admin = await database.connect("postgres");
  const { rows } = await admin.query("SELECT rolpassword FROM pg_authid WHERE rolname = $1", [USER]);
  await admin.end();
  const users = join(folder, "users.txt");
  const secret = `secret=${Buffer.alloc(32, 1).toString("base64")}`;
  writeFileSync(users, `${secret}\n"${USER}" "${(rows[0] as { rolpassword: string }).rolpassword}"\n`, { mode: 0o600 });
  stack = await Stack.create(database, {
    durability: { reads: "relaxed", others: "relaxed" },
    proxyKeys: { auth: [{ method: "terminate" }], users, pool: { mode: "transaction", size: SERVERS } },
  });
  await stack.start();
  const client = new pg.Client(stack.connection());
  await client.connect();
  await client.query("CREATE TABLE accounts (id int PRIMARY KEY, balance int NOT NULL)");
  await client.query("INSERT INTO accounts SELECT i, 100 FROM generate_series(1, 50) i");
  await client.end();
});

t.after(async () => {
  await stack?.destroy();
  await database?.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** How many connections of the role the server has. */
async function connections(): Promise<number> {
  const admin = await database.connect("postgres");
  const { rows } = await admin.query("SELECT count(*)::int AS n FROM pg_stat_activity WHERE usename = $1", [USER]);
  await admin.end();
  return (rows[0] as { n: number }).n;
}

t.test("node-postgres: forty clients, prepared statements, transactions that fail", async (t) => {
  const pool = new pg.Pool({ ...stack.connection(), max: 40 });
  let failed = 0;
  await Promise.all(
    Array.from({ length: 200 }, async (_, i) => {
      const client = await pool.connect();
      try {
        await client.query("BEGIN");
        const [from, to] = [1 + (i % 50), 1 + ((i * 7) % 50)].sort((a, b) => a - b);
        const lock = { name: "lock", text: "SELECT balance FROM accounts WHERE id = ANY($1) ORDER BY id FOR UPDATE" };
        await client.query({ ...lock, values: [[from, to]] });
        await client.query({
          name: "take",
          text: "UPDATE accounts SET balance = balance - $2 WHERE id = $1",
          values: [from, 1],
        });
        if (i % 10 === 0) await client.query("SELECT 1/0");
        await client.query({
          name: "give",
          text: "UPDATE accounts SET balance = balance + $2 WHERE id = $1",
          values: [to, 1],
        });
        await client.query("COMMIT");
      } catch (error) {
        if ((error as pg.DatabaseError).code !== "22012") throw error;
        failed += 1;
        await client.query("ROLLBACK");
      } finally {
        client.release();
      }
    }),
  );
  t.equal(failed, 20);
  const { rows } = await pool.query("SELECT sum(balance)::int AS sum FROM accounts");
  t.same(rows, [{ sum: 5000 }]);
  t.ok((await connections()) <= SERVERS, "the server has seen four at most");
  await pool.end();
});

t.test("node-postgres: COPY both ways, a cursor in a transaction, settings that are each client's own", async (t) => {
  const [a, b] = [new pg.Client(stack.connection()), new pg.Client({ ...stack.connection(), application_name: "b" })];
  await Promise.all([a.connect(), b.connect()]);
  await a.query("CREATE TABLE lines (n int, text text)");
  const lines = Array.from({ length: 20_000 }, (_, i) => `${i}\t${"x".repeat(100)}\n`);
  await pipeline(Readable.from(lines), a.query(copyStreams.from("COPY lines FROM STDIN")));
  let bytes = 0;
  const out = b.query(copyStreams.to("COPY lines TO STDOUT"));
  for await (const chunk of out) bytes += (chunk as Buffer).length;
  t.equal(bytes, lines.join("").length);
  await a.query("SET search_path = pg_catalog");
  await a.query("SET TIME ZONE 'Asia/Tokyo'");
  const see =
    "SELECT current_setting('search_path') AS path, current_setting('TimeZone') AS zone, current_setting('application_name') AS name";
  for (let i = 0; i < 5; i += 1) {
    const [mine, others] = await Promise.all([a.query(see), b.query(see)]);
    t.match(mine.rows[0], { path: "pg_catalog", zone: "Asia/Tokyo" });
    t.match(others.rows[0], { path: '"$user", public', name: "b" });
    t.not(others.rows[0].zone, "Asia/Tokyo");
  }
  await Promise.all([a.end(), b.end()]);
});

t.test("postgres.js: many at a time, pipelined, transactions, cursors, notifications, cancel", async (t) => {
  const { host, port, database: name } = stack.connection() as { host: string; port: number; database: string };
  const sql = postgres({
    host,
    port,
    database: name,
    username: USER,
    password: PASSWORD,
    max: 20,
    onnotice: () => undefined,
  });
  const rows = await Promise.all(
    Array.from({ length: 500 }, (_, i) => sql`SELECT ${i}::int AS i, ${"x".repeat(i)}::text AS x`),
  );
  t.ok(rows.every(([row], i) => row!.i === i && row!.x.length === i));
  await Promise.all(
    Array.from({ length: 30 }, (_, i) =>
      sql.begin(async (one) => {
        await one`SET LOCAL work_mem = '9MB'`;
        await one`UPDATE accounts SET balance = balance WHERE id = ${1 + (i % 50)}`;
      }),
    ),
  );
  t.same([...(await sql`SHOW work_mem`)], [{ work_mem: "4MB" }]);
  let seen = 0;
  await sql`SELECT generate_series(1, 1000) AS n`.cursor(100, (part) => {
    seen += part.length;
  });
  t.equal(seen, 1000);
  const heard = new Promise<string>((resolve) => {
    sql.listen("news", resolve).then(() => sql.notify("news", "fresh"));
  });
  t.equal(await heard, "fresh");
  const slow = sql`SELECT pg_sleep(20)`;
  const refused = t.rejects(slow, { code: "57014" });
  await underWay(database, "SELECT pg_sleep(20)");
  slow.cancel();
  await refused;
  t.ok((await connections()) <= SERVERS);
  await sql.end();
});

t.test("the record of it", async (t) => {
  const entries = await stack.settled((all) => {
    const count = (kind: string): number => all.filter((entry) => entry.kind === kind).length;
    return count("session.start") > 50 && count("session.start") === count("session.end");
  });
  const ends = entries.filter(({ kind }) => kind === "session.end");
  t.ok(
    ends.some(({ pins }) => JSON.stringify(pins) === '["listen"]'),
    "who listened kept a connection",
  );
  t.ok(ends.every(({ pins }) => pins === undefined || JSON.stringify(pins) === '["listen"]'));
  const operations = new Set(entries.map(({ operation }) => operation));
  t.notOk(operations.has("DISCARD ALL") || operations.has("RESET"), "what the pool asks is nobody's statement");
});

t.end();
