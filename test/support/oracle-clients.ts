/** What clients do while both sides count: drivers and programs, each with all the ways of its own to execute. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { Readable, Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import pg from "pg";
import copy from "pg-copy-streams";
import postgres from "postgres";
import { version } from "../bench/machine.ts";
import { type Connection, foreignDrivers } from "./foreign.ts";
import { run } from "./go.ts";

export interface OracleClient {
  readonly name: string;
  readonly skip: string | false;
  /** @throws when the client did not do all that it was to do */
  work(connection: Connection): Promise<void>;
}

const PROGRAM_MS = 120_000;

async function nodePostgres(connection: Connection): Promise<void> {
  const client = new pg.Client(connection);
  await client.connect();
  await client.query("CREATE TABLE things (id int PRIMARY KEY, name text, n int)");
  await client.query("INSERT INTO things SELECT n, 'thing ' || n, n FROM generate_series(1, 50) n");
  await client.query("SELECT 1; SELECT name FROM things WHERE id < 10; UPDATE things SET n = 2 WHERE id = 3");
  for (const id of [1, 2, 3, 4]) {
    await client.query("SELECT * FROM things WHERE id = $1", [id]);
    await client.query({ name: "named", text: "SELECT name FROM things WHERE n > $1 LIMIT 3", values: [id] });
  }
  await client.query("");
  await client.query("BEGIN");
  await client.query("DELETE FROM things WHERE id = $1 RETURNING *", [5]);
  await client.query("INSERT INTO things VALUES (1, 'again', 0)").catch(() => undefined);
  await client.query("SELECT 'is skipped'").catch(() => undefined);
  await client.query("ROLLBACK");
  await client.query("SELEC nonsense").catch(() => undefined);
  await client.query("SELECT 1 / $1::int", [0]).catch(() => undefined);
  await pipeline(
    Readable.from(["100\ta\t1\n", "101\tb\t2\n"]),
    client.query(copy.from("COPY things (id, name, n) FROM STDIN")),
  );
  const sink = new Writable({ write: (_chunk, _encoding, done) => done() });
  await pipeline(client.query(copy.to("COPY (SELECT * FROM things) TO STDOUT")), sink);
  await client.query("PREPARE by_name (text) AS SELECT * FROM things WHERE name = $1");
  for (const name of ["thing 1", "thing 2"]) await client.query(`EXECUTE by_name ('${name}')`);
  await client.query("DEALLOCATE by_name");
  await client.query(
    "BEGIN; DECLARE c CURSOR FOR SELECT * FROM things ORDER BY id; FETCH 7 FROM c; FETCH 3 FROM c; CLOSE c; COMMIT",
  );
  await client.query(
    "CREATE FUNCTION twice(int) RETURNS bigint LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT count(*) * $1 FROM things); END'",
  );
  await client.query("SELECT twice(n) FROM things LIMIT 4");
  await client.query("DO $$ BEGIN PERFORM twice(1); UPDATE things SET n = n + 1; END $$");
  await client.query("CREATE TABLE copied AS SELECT * FROM things; CREATE INDEX ON copied (n); DROP TABLE copied");
  await client.query("SET work_mem = '2MB'; SHOW work_mem; RESET work_mem; SET LOCAL work_mem = '1MB'");
  await client.query("EXPLAIN ANALYZE SELECT * FROM things");
  await client.query(
    "MERGE INTO things t USING (VALUES (1), (999)) v (id) ON t.id = v.id WHEN MATCHED THEN UPDATE SET n = 0 WHEN NOT MATCHED THEN INSERT (id) VALUES (v.id)",
  );
  await client.query("BEGIN; SAVEPOINT a; TRUNCATE things; ROLLBACK TO a; RELEASE a; END");
  await client.query("VACUUM things");
  await client.query("LISTEN news; NOTIFY news, 'here'; UNLISTEN *");
  await client.query("DROP FUNCTION twice(int); DROP TABLE things");
  await client.end();
}

async function postgresJs(connection: Connection): Promise<void> {
  const { host, port, user: username, password, database } = connection;
  const sql = postgres({ host, port, username, password, database, max: 3, onnotice: () => undefined });
  await sql`CREATE TABLE jobs (id serial PRIMARY KEY, payload jsonb)`;
  await Promise.all(Array.from({ length: 60 }, (_, n) => sql`INSERT INTO jobs (payload) VALUES (${sql.json({ n })})`));
  await sql.begin(async (tx) => {
    await tx`SELECT * FROM jobs WHERE id = 1 FOR UPDATE`;
    await tx.savepoint((inner) => inner`DELETE FROM jobs WHERE id > 50`);
  });
  for await (const rows of sql`SELECT * FROM jobs ORDER BY id`.cursor(20)) rows.length;
  await sql.begin((tx) => [tx`SELECT 1 AS one`, tx`SELECT 2 AS two`, tx`SELECT 3 AS three`]);
  await sql`SELECT nonsense`.catch(() => undefined);
  await sql`INSERT INTO jobs ${sql(Array.from({ length: 5 }, (_, n) => ({ id: 1000 + n, payload: { n } })))}`;
  await sql.unsafe("SELECT 1; SELECT 2; SELECT 3").simple();
  await sql`DROP TABLE jobs`;
  await sql.end();
}

const PSQL = `
CREATE TABLE items (id int, label text);
\\copy items FROM PROGRAM 'printf "1\\ta\\n2\\tb\\n"'
INSERT INTO items VALUES (3, 'c') RETURNING *;
SELECT * FROM items \\gdesc
SELECT 'SELECT count(*) FROM items' UNION ALL SELECT 'SELECT 5' \\gexec
\\set FETCH_COUNT 2
SELECT * FROM items ORDER BY id;
\\unset FETCH_COUNT
BEGIN; UPDATE items SET label = 'd'; SELECT 1 / 0; SELECT 'skipped'; ROLLBACK;
SELECT 1\\; SELECT 2\\; DELETE FROM items WHERE id = 1;
\\set AUTOCOMMIT off
INSERT INTO items VALUES (4, 'e');
COMMIT;
\\d items
\\dt
\\copy (SELECT * FROM items) TO PROGRAM 'cat >/dev/null'
\\set AUTOCOMMIT on
DROP TABLE items;
`;

const environment = ({ password }: Connection): Record<string, string> => ({
  PGPASSWORD: password,
  PGSSLMODE: "disable",
});
const where = ({ host, port, user }: Connection): string[] => ["-h", host, "-p", String(port), "-U", user];

/** @throws when the program fails */
async function program(name: string, args: readonly string[], folder: string, connection: Connection): Promise<void> {
  const { code, stderr } = await run(name, args, folder, PROGRAM_MS, environment(connection));
  if (code !== 0) throw new Error(`${name} ${args.join(" ")}: ${stderr}`);
}

/**
 * @param folder for what is installed and written
 * @param major the server's version: pg_dump takes none that is later than its own
 */
export async function oracleClients(folder: string, major: number): Promise<OracleClient[]> {
  const psqlFile = join(folder, "script.psql");
  writeFileSync(psqlFile, PSQL);
  const missing = (name: string): string | false =>
    version(name, "--version") === undefined && `${name} is not installed`;
  const dump = version("pg_dump", "--version");
  const dumpMajor = Number(/ (\d+)/.exec(dump ?? "")?.[1] ?? 0);
  const foreign = await foreignDrivers(folder);
  return [
    { name: "node-postgres", skip: false, work: nodePostgres },
    { name: "postgres.js", skip: false, work: postgresJs },
    {
      name: "psql",
      skip: missing("psql"),
      work: (connection) =>
        program(
          "psql",
          [...where(connection), "-X", "-q", "-o", "/dev/null", "-f", psqlFile, connection.database],
          folder,
          connection,
        ),
    },
    {
      name: "pgbench",
      skip: missing("pgbench"),
      work: async (connection) => {
        const pgbench = (...args: string[]): Promise<void> =>
          program("pgbench", [...where(connection), ...args, connection.database], folder, connection);
        await pgbench("-i", "-q", "-s", "1");
        for (const mode of ["simple", "extended", "prepared"]) {
          await pgbench("-n", "-M", mode, "-c", "3", "-t", "20");
          await pgbench("-n", "-S", "-M", mode, "-c", "3", "-t", "50");
        }
        await pgbench("-i", "-I", "d");
      },
    },
    {
      name: "pg_dump",
      skip: dump === undefined ? "pg_dump is not installed" : dumpMajor < major && `pg_dump is of version ${dumpMajor}`,
      work: async (connection) => {
        const psql = (sql: string): Promise<void> =>
          program("psql", [...where(connection), "-X", "-q", "-c", sql, connection.database], folder, connection);
        await psql("CREATE TABLE dumped AS SELECT n, 'row ' || n AS t FROM generate_series(1, 500) n");
        await program(
          "pg_dump",
          [...where(connection), "-f", join(folder, "dump.sql"), connection.database],
          folder,
          connection,
        );
        await psql("DROP TABLE dumped");
        const restored = [
          ...where(connection),
          "-X",
          "-q",
          "-o",
          "/dev/null",
          "-f",
          join(folder, "dump.sql"),
          connection.database,
        ];
        await program("psql", restored, folder, connection);
        await psql("DROP TABLE dumped");
      },
    },
    ...foreign.map(
      ({ name, skip, suite }): OracleClient => ({
        name,
        skip,
        work: async (connection) => {
          const { code, stderr } = await suite(connection);
          if (code !== 0) throw new Error(`${name}: ${stderr}`);
        },
      }),
    ),
  ];
}
