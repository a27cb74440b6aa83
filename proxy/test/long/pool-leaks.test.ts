// What one client does to a shared connection on the sly, with a real PostgreSQL: the next one must not notice.
import t from "tap";
import { ask, errorOf, type Postgres, poolRig, postgres, Q, rowsOf, type Wire } from "../pool/help.ts";
import { F } from "../session/stage.ts";

const started = await postgres();
if (typeof started === "string") {
  t.pass(`skipped: ${started}`);
  process.exit(0);
}
const database: Postgres = started;
t.setTimeout(120_000);
t.teardown(() => database.stop());

const TRANSACTION = { mode: "transaction", size: 1 } as const;

/** What a client can tell of its session. */
const SEE = `SELECT current_setting('work_mem'), current_user, current_setting('search_path'),
  (SELECT count(*) FROM pg_class WHERE relpersistence = 't' AND pg_my_temp_schema() = relnamespace),
  (SELECT count(*) FROM pg_listening_channels()),
  (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid())`;
const NOTHING = [["4MB", "ann", '"$user", public', "0", "0", "0"]];

async function exchange(wire: Wire, ...messages: Buffer[]): Promise<string> {
  wire.socket.write(Buffer.concat([...messages, F.sync()]));
  return (await wire.ready()).map((message) => (message.type === "E" ? errorOf(message) : message.type)).join(" ");
}

t.test("what looks as if it left nothing", async (t) => {
  const cases: readonly (readonly [pin: string, ...script: string[]])[] = [
    ["settings", "UPDATE pg_settings SET setting = '9000' WHERE name = 'work_mem'"],
    ["settings", "WITH a AS (SELECT 1) UPDATE pg_catalog.pg_settings SET setting = 'helper' WHERE name = 'role'"],
    ["settings", "BEGIN; DECLARE c CURSOR FOR SELECT set_config('work_mem', '9MB', false); FETCH c; COMMIT"],
    ["settings", "PREPARE p(text) AS SELECT $1", "EXECUTE p(set_config('work_mem', '9MB', false))", "DEALLOCATE p"],
    // Texts that differ in strings alone are analysed once.
    ["settings", "SELECT set_config('work_mem', '9MB', 'true')", "SELECT set_config('work_mem', '9MB', 'false')"],
    ["temporary", "CREATE TEMP TABLE mine AS SELECT set_config('a.b', 'c', true)"],
    ["temporary", "SET search_path = pg_temp", "CREATE TABLE mine (a int)", "RESET search_path"],
    ["temporary", "BEGIN; SET LOCAL search_path = pg_temp, public; SELECT 1 AS a INTO mine; COMMIT"],
    [
      "temporary",
      "BEGIN; SELECT set_config('search_path', 'pg_temp', true)",
      "CREATE TABLE mine AS SELECT 1 AS a",
      "COMMIT",
    ],
    ["temporary", "CREATE TEMP TABLE mine (a int)", "DISCARD TEMP; SELECT 1/0"],
    ["temporary", "CREATE TEMP TABLE mine (a int)", "BEGIN", "DISCARD TEMP", "ROLLBACK"],
    ["listen", "LISTEN n", "UNLISTEN *; SELECT 1/0"],
    ["advisory-lock", "SELECT pg_advisory_lock(77)", "SELECT pg_advisory_unlock_all() WHERE false"],
    [
      "advisory-lock",
      "SELECT pg_advisory_lock(77)",
      "SELECT CASE WHEN false THEN pg_advisory_unlock_all()::text END, 1",
    ],
    ["settings", "SET seed = 0.5", "DISCARD ALL"],
  ];
  for (const [pin, ...script] of cases) {
    const rig = await poolRig(t, database.server, TRANSACTION);
    const [client, other] = [await rig.client(), await rig.client()];
    for (const sql of script) await ask(client, sql);
    t.equal(rig.pools.serverStats()[0]?.state, "active", `${script.join("; ")}: it keeps the connection`);
    t.ok(rig.pools.clientStats()[0]?.pins.includes(pin), `by ${rig.pools.clientStats()[0]?.pins}`);
    await client.end();
    t.same(await ask(other, SEE), NOTHING, "and nothing is left of it");
    await rig.stop();
  }
});

t.test("it begins with a search path that makes everything temporary", async (t) => {
  const rig = await poolRig(t, database.server, TRANSACTION);
  for (const begin of [{ search_path: "pg_temp" }, { options: "-c search_path=pg_temp,public" }]) {
    const client = await rig.client(begin);
    await ask(client, "CREATE TABLE mine (a int)");
    t.same(rig.pools.clientStats()[0]?.pins, ["temporary"]);
    await client.end();
  }
});

t.test("what undoes it for certain gives the connection back", async (t) => {
  const rig = await poolRig(t, database.server, TRANSACTION);
  const client = await rig.client();
  const scripts: readonly (readonly string[])[] = [
    ["SELECT pg_advisory_lock(78)", "SELECT pg_catalog.pg_advisory_unlock_all()"],
    ["CREATE TEMP TABLE mine (a int)", "BEGIN", "DISCARD TEMP", "COMMIT"],
    ["LISTEN n", "BEGIN; UNLISTEN *; COMMIT"],
    ["SELECT set_config('a.b', 'c', true)"],
    ["BEGIN; SELECT set_config('a.b', 'c', true); SELECT set_config('a.c', 'c', true); COMMIT"],
  ];
  for (const script of scripts) {
    for (const sql of script) await ask(client, sql);
    t.equal(rig.pools.serverStats()[0]?.state, "idle", script.join("; "));
  }
});

t.test("a portal that outlives an error still does what it does", async (t) => {
  const rig = await poolRig(t, database.server, TRANSACTION);
  const [client, other] = [await rig.client(), await rig.client()];
  const again: readonly (readonly Buffer[])[] = [
    [F.parse("SELECT 1", "t"), F.bind("t", "q")],
    [F.parse("not sql", "x"), F.parse("SELECT 1", "t"), F.bind("t", "q")],
    [F.parse("not sql", "x"), F.close("P", "q")],
  ];
  for (const messages of again) {
    await ask(client, "BEGIN");
    await exchange(client, F.parse("SET work_mem = '9MB'"), F.bind("", "q"));
    await ask(client, "SAVEPOINT s");
    t.match(await exchange(client, ...messages), /42P03|42601/);
    await ask(client, "ROLLBACK TO s");
    t.equal(await exchange(client, F.execute("q")), "C Z");
    await ask(client, "COMMIT");
    t.same(await ask(other, SEE), NOTHING);
    t.match(await ask(client, SEE), [["9MB"]]);
    await ask(client, "RESET work_mem; DEALLOCATE ALL");
  }
  // The unnamed one stays when a Query fails before it is run.
  client.socket.write(
    Buffer.concat([Q("BEGIN"), F.parse("SET work_mem = '9MB'"), F.bind(), F.sync(), Q("SAVEPOINT s"), Q("not sql")]),
  );
  await client.ready(4);
  await ask(client, "ROLLBACK TO s");
  await exchange(client, F.execute());
  await ask(client, "COMMIT");
  t.same(await ask(other, SEE), NOTHING);
});

t.test("settings go along as they were, not as they seem", async (t) => {
  const rig = await poolRig(t, database.server, TRANSACTION);
  const cases: readonly (readonly [see: string, ...script: string[]])[] = [
    ["current_user", "SET a.b = 1 -- the rest is not a comment", "SET ROLE helper"],
    ["current_setting('DateStyle')", "SET DateStyle = 'German'", "SET DateStyle = 'ISO'"],
    [
      "current_setting('default_transaction_read_only')",
      "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
      "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE",
    ],
    ["current_setting('DateStyle')", "SET DateStyle = 'German'", "RESET DateStyle"],
    ["current_setting('work_mem')", "SET sort_mem = '9MB'", "RESET work_mem"],
    ["current_setting('work_mem')", "SET SORT_MEM = '9MB'"],
    ["current_setting('transaction_read_only')", "SET transaction_read_only = on"],
  ];
  for (const [see, ...script] of cases) {
    const [client, other, own] = [await rig.client(), await rig.client(), await database.direct()];
    for (const sql of script) for (const wire of [client, own]) await ask(wire, sql);
    t.same(await ask(other, SEE), NOTHING);
    t.same(await ask(client, `SELECT ${see}`), await ask(own, `SELECT ${see}`), script.join("; "));
    for (const wire of [client, other, own]) await wire.end();
  }
});

t.test("names are read by each client's own search path and role", async (t) => {
  const admin = await database.direct({ user: "postgres" });
  const made = ["s1", "helper"].map(
    (schema) =>
      `CREATE SCHEMA ${schema}; CREATE TYPE ${schema}.kind AS ENUM ('x'); CREATE TABLE ${schema}.kinds (k ${schema}.kind);
      INSERT INTO ${schema}.kinds VALUES ('x'); GRANT ALL ON SCHEMA ${schema} TO PUBLIC; GRANT ALL ON ${schema}.kinds TO PUBLIC`,
  );
  await ask(admin, made.join(";"));
  const rig = await poolRig(t, database.server, TRANSACTION);
  const run = (wire: Wire, sql: string, ...values: string[]): Promise<string> =>
    exchange(wire, F.parse(sql, "s"), F.bind("s", "", values), F.execute(), F.close("S", "s"));
  const [one, two, three] = [await rig.client(), await rig.client(), await rig.client()];
  await ask(one, "SET search_path = s1");
  await ask(two, "SET search_path = helper");
  await ask(three, "SET ROLE helper");
  for (let i = 0; i < 2; i += 1) {
    for (const wire of [one, two, three]) {
      t.equal(await run(wire, "SELECT * FROM kinds WHERE k = $1", "x"), "1 2 D C 3 Z");
      t.equal(await run(wire, "SELECT * FROM kinds"), "1 2 D C 3 Z");
    }
  }
  // In the same breath as the change, and for a transaction.
  const [four, five] = [await rig.client(), await rig.client()];
  for (const how of ["SET LOCAL search_path = s1", "SELECT set_config('search_path', 'helper', true)"]) {
    const sql = "SELECT *, 2 FROM kinds WHERE k = $1";
    four.socket.write(
      Buffer.concat([
        Q(`BEGIN; ${how}`),
        F.parse(sql, "l"),
        F.bind("l", "", ["x"]),
        F.execute(),
        F.close("S", "l"),
        F.sync(),
        Q("COMMIT"),
      ]),
    );
    t.equal((await four.ready(3)).filter(({ type }) => type === "E").length, 0, how);
  }
  t.match(await run(five, "SELECT *, 2 FROM kinds WHERE k = $1", "x"), /42P01/);
  // Prepared here, used there.
  t.equal(await exchange(five, F.parse("SELECT 3, count(*) FROM pg_class WHERE relname = $1", "p")), "1 Z");
  await ask(five, "SET search_path = s1");
  rig.pools.reconnect();
  t.equal(await exchange(five, F.describe("S", "p"), F.bind("p", "", ["kinds"]), F.execute()), "t T 2 D C Z");
  await admin.end();
});

t.test("who deallocates what others have prepared does not harm them", async (t) => {
  const rig = await poolRig(t, database.server, TRANSACTION);
  const [client, other] = [await rig.client(), await rig.client()];
  await exchange(client, F.parse("SELECT 1", "s"));
  const [[name]] = (await ask(other, "SELECT name FROM pg_prepared_statements")) as [[string]];
  t.same(await ask(other, `DEALLOCATE "${name}"`), []);
  client.socket.write(Buffer.concat([F.bind("s"), F.execute(), F.sync()]));
  t.same(rowsOf(await client.ready()), [["1"]]);
});

t.test("the least number of connections is not had at the expense of others", async (t) => {
  const rig = await poolRig(t, database.server, { ...TRANSACTION, min: 1, maxTotal: 2 });
  for (const user of ["ann", "bob", "postgres"]) await ask(await rig.client({ user }), "SELECT 1");
  const { opened } = rig.pools.totals;
  for (let i = 0; i < 3; i += 1) {
    rig.pools.upkeep();
    await ask(await rig.client(), "SELECT 1");
  }
  t.ok(rig.pools.totals.opened - opened <= 1, "only for who asked");
});

t.test("a connection that turns out to be dead while it is being set up is replaced", async (t) => {
  let first = true;
  const rig = await poolRig(
    t,
    async (...asked) => {
      const opened = await database.server(...asked);
      if (first) {
        first = false;
        // It dies with the first thing it is asked.
        opened.stream.write = () => {
          opened.stream.destroy();
          return true;
        };
      }
      return opened;
    },
    TRANSACTION,
  );
  const client = await rig.client({ application_name: "app" });
  t.same(await ask(client, "SELECT current_setting('application_name')"), [["app"]]);
});

t.end();
