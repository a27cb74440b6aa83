// What a statement reads and writes is exactly what the server locks for it, however CTEs and tables are called alike.
import t from "tap";
import { Analyzer } from "../../src/statements/index.ts";
import { Client } from "../statements/oracle/client.ts";
import { startServer } from "../statements/oracle/server.ts";
import { locksOf } from "../statements/oracle/witness.ts";
import { statementsFrom, TABLES } from "../statements/world/random.ts";

const STATEMENTS = 4000;
const ACCESS_SHARE = 1;

const analyzer = await Analyzer.load();
const server = await startServer();

t.test("relations of statements at random", { skip: typeof server === "string" ? server : false }, async (t) => {
  if (typeof server === "string") return;
  t.teardown(() => server.stop());
  const client = await Client.connect(server.socket, "postgres");
  const beside = await Client.connect(server.socket, "postgres");
  t.teardown(() => {
    client.end();
    beside.end();
  });
  for (const sql of TABLES) t.equal((await client.query(sql)).error, undefined, sql);
  const { rows } = await client.query(
    "SELECT pg_backend_pid(), c.oid, nspname, relname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE relkind = 'r' AND nspname IN ('public', 's')",
  );
  const names = new Map(rows.map(([, oid, schema, name]) => [Number(oid), `${schema}.${name}`]));
  const pid = rows[0]![0]!;
  const next = statementsFrom(20_261_123);
  const wrong: unknown[] = [];
  let accepted = 0;
  let several = 0;
  for (let i = 0; i < STATEMENTS && wrong.length < 5; i++) {
    const sql = next();
    await client.query("BEGIN");
    const { error } = await client.query(`EXPLAIN ${sql}`);
    const locks = error === undefined ? await locksOf(beside, pid) : [];
    await client.query("ROLLBACK");
    if (error !== undefined) continue;
    accepted++;
    const done = locks.flatMap(([oid, rank]) => {
      const name = names.get(oid);
      return name === undefined ? [] : [`${rank > ACCESS_SHARE ? "+" : ""}${name}`];
    });
    if (done.length > 1) several++;
    const [said, ...more] = analyzer.analyze(Buffer.from(sql), "utf8");
    const written = new Set<string>();
    const told = new Set<string>();
    for (const { schema = "public", name, access } of said?.relations ?? []) {
      told.add(`${schema}.${name}`);
      if (access === "write") written.add(`${schema}.${name}`);
    }
    const relations = [...told].map((name) => `${written.has(name) ? "+" : ""}${name}`);
    if (said?.complete !== true || more.length > 0 || relations.sort().join() !== done.sort().join())
      wrong.push({ sql, said: relations, done });
  }
  t.same(wrong, [], `${accepted} statements`);
  t.ok(accepted >= 0.6 * STATEMENTS, `${accepted} were accepted`);
  t.ok(several >= 0.3 * accepted, `${several} are of more than one relation`);
});
