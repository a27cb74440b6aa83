// Real drivers behave through the proxy as they do without it, and every execution is one entry with its outcome.
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Readable, Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { Postgres } from "@vitrine/cli";
import type pg from "pg";
import copy from "pg-copy-streams";
import postgres from "postgres";
import t, { type Test } from "tap";
import { schemaErrors } from "../support/schema.ts";
import { underWay } from "../support/sessions.ts";
import {
  type CommandResult,
  DATABASE,
  type Entry,
  runNode,
  Stack,
  startDatabase,
  statements,
  TOKEN,
  temporaryFolder,
  VITRINE,
} from "../support/stack.ts";

const folder = temporaryFolder("drivers");
let database: Postgres;
let stack: Stack;

t.before(async () => {
  database = await startDatabase(folder);
  stack = await (await Stack.create(database)).start();
  const client = await stack.client("direct");
  await client.query("CREATE TABLE notes (id int PRIMARY KEY, body text)");
  await client.end();
});

t.after(async () => {
  await stack?.destroy();
  await database?.stop();
  rmSync(folder, { recursive: true, force: true });
});

type Way = "direct" | "proxied";

/** Does the same both ways and holds the results against each other. @returns the entries it made */
async function bothWays(
  t: Test,
  name: string,
  work: (way: Way, application: string) => Promise<unknown>,
): Promise<Entry[]> {
  const direct = await work("direct", name);
  const proxied = await work("proxied", name);
  t.same(proxied, direct, name);
  const of = (entries: readonly Entry[]): Entry[] => {
    const sessions = entries.filter(
      (entry) => entry.kind === "session.start" && (entry.client as { application?: string }).application === name,
    );
    const ends = entries.filter((entry) => entry.kind === "session.end");
    const isOurs = (entry: Entry): boolean => sessions.some(({ session }) => session === entry.session);
    return sessions.length > 0 && ends.filter(isOurs).length === sessions.length ? entries.filter(isOurs) : [];
  };
  return of(await stack.settled((entries) => of(entries).length > 0));
}

const told = (entries: readonly Entry[]): string[] =>
  statements(entries).map(({ operation, outcome, sqlstate }) =>
    [operation, outcome, ...(sqlstate === undefined ? [] : [sqlstate])].join(" "),
  );

async function withPg(way: Way, application: string, work: (client: pg.Client) => Promise<unknown>): Promise<unknown> {
  const client = await stack.client(way, { application_name: application });
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

t.test("node-postgres: simple, parameters, prepared, errors inside a transaction", async (t) => {
  const entries = await bothWays(t, "pg statements", (way, application) =>
    withPg(way, application, async (client) => {
      const results: unknown[] = [];
      results.push(
        ((await client.query("SELECT 1 AS a; SELECT 2 AS b")) as unknown as pg.QueryResult[]).map(({ rows }) => rows),
      );
      results.push((await client.query("SELECT $1::int * 2 AS double, $2::text AS text", [21, "naïve — ✓"])).rows);
      for (const n of [1, 2, 3]) {
        const prepared = { name: "by id", text: "SELECT $1::int AS n", values: [n] };
        results.push((await client.query(prepared)).rows);
      }
      await client.query("BEGIN");
      await client.query("INSERT INTO notes VALUES ($1, $2)", [1, "in vain"]);
      const error = await client.query("INSERT INTO notes VALUES (1, 'again')").catch((e: pg.DatabaseError) => e);
      results.push((error as pg.DatabaseError).code, (error as pg.DatabaseError).constraint);
      await client.query("ROLLBACK");
      results.push((await client.query("SELECT count(*)::int AS n FROM notes")).rows);
      return results;
    }),
  );
  t.same(told(entries), [
    "SELECT completed",
    "SELECT completed",
    "SELECT completed",
    "SELECT completed",
    "SELECT completed",
    "SELECT completed",
    "BEGIN completed",
    "INSERT completed",
    "INSERT failed 23505",
    "ROLLBACK completed",
    "SELECT completed",
  ]);
  const insert = statements(entries)[8]!;
  t.match(insert, {
    class: "write",
    tx: "T",
    relations: [{ name: "notes", access: "write" }],
    actor: { login: "alice", auth: "scram-sha-256" },
    database: "vitrine_test",
  });
  const index = (await stack.entries()).findIndex(({ seq, epoch }) => seq === insert.seq && epoch === insert.epoch);
  const values = await stack.disclosed(index);
  t.equal(values.sql, "INSERT INTO notes VALUES (1, 'again')");
  t.match(values.error, /duplicate key value[\s\S]*\(id\)=\(1\)/);
  t.match(values["client.address"], /^127\.0\.0\.1:\d+$/);
  t.notMatch(JSON.stringify(insert), /again|127\.0\.0\.1/);
});

t.test("node-postgres: COPY both ways", async (t) => {
  const rows = Array.from({ length: 5000 }, (_, n) => `${n + 100}\tline ${n}\n`).join("");
  const entries = await bothWays(t, "pg copy", (way, application) =>
    withPg(way, application, async (client) => {
      await pipeline(Readable.from([rows]), client.query(copy.from("COPY notes FROM STDIN")));
      const hash = createHash("sha256");
      const sink = new Writable({
        write(chunk, _encoding, done) {
          hash.update(chunk);
          done();
        },
      });
      await pipeline(client.query(copy.to("COPY (SELECT * FROM notes ORDER BY id) TO STDOUT")), sink);
      const { rowCount } = await client.query("DELETE FROM notes WHERE id >= 100");
      return [hash.digest("hex"), rowCount];
    }),
  );
  t.same(
    statements(entries).map(({ tag, rows }) => [tag, rows]),
    [
      ["COPY 5000", 5000],
      ["COPY 5000", 5000],
      ["DELETE 5000", 5000],
    ],
  );
  t.ok((statements(entries)[0]!.bytes_in as number) >= rows.length);
  t.ok((statements(entries)[1]!.bytes_out as number) >= rows.length);
});

t.test("node-postgres: a result of 50 MB, a statement of 5 MB, parameters of 20 MB", async (t) => {
  const long = "x".repeat(5_000_000);
  const large = Buffer.alloc(20_000_000, 7);
  const entries = await bothWays(t, "pg large", (way, application) =>
    withPg(way, application, async (client) => {
      const wide = await client.query("SELECT repeat('y', 1000000) AS wide FROM generate_series(1, 50)");
      const text = await client.query(`SELECT length('${long}') AS n`);
      const bytes = await client.query("SELECT length($1::bytea) AS n, md5($1::bytea) AS md5", [large]);
      return [
        wide.rows.length,
        wide.rows.every(({ wide: value }) => value.length === 1_000_000),
        text.rows,
        bytes.rows,
      ];
    }),
  );
  const [wide, text, bytes] = statements(entries);
  t.ok((wide!.bytes_out as number) > 50_000_000);
  t.match(text, {
    operation: "SELECT",
    outcome: "completed",
    complete: true,
    sql: { bytes: long.length + "SELECT length('') AS n".length },
  });
  const all = await stack.entries();
  const at = (entry: Entry): number => all.findIndex(({ seq, epoch }) => seq === entry.seq && epoch === entry.epoch);
  t.equal((await stack.disclosed(at(text!))).sql, `SELECT length('${long}') AS n`);
  t.match((await stack.disclosed(at(bytes!))).params, { bytes: Number, sha256: /^[0-9a-f]{64}$/ });
});

t.test("postgres.js: pipelined, prepared, cursor, cancel, error", async (t) => {
  const entries = await bothWays(t, "postgres.js", async (way, application) => {
    const sql = postgres(stack.url(way), { max: 1, connection: { application_name: application }, fetch_types: false });
    try {
      const results: unknown[] = [];
      results.push(
        await Promise.all(Array.from({ length: 50 }, (_, n) => sql`SELECT ${n}::int AS n`.then(([row]) => row!.n))),
      );
      const seen: unknown[] = [];
      for await (const batch of sql`SELECT generate_series(1, 10) AS n`.cursor(4)) seen.push(batch.map(({ n }) => n));
      results.push(seen);
      results.push(await sql`SELECT nonsense`.catch((error) => error.code));
      const slow = sql`SELECT pg_sleep(30)`.execute();
      await underWay(database, "SELECT pg_sleep(30)");
      slow.cancel();
      results.push(await slow.catch((error: { code: string }) => error.code));
      results.push((await sql`SELECT 'after' AS word`)[0]!.word);
      return results;
    } finally {
      await sql.end();
    }
  });
  const lines = told(entries);
  t.equal(lines.filter((line) => line === "SELECT completed").length, 52);
  t.ok(lines.includes("SELECT failed 42703"));
  t.ok(lines.includes("SELECT cancelled 57014"));
  t.equal(lines.length, 54);
});

t.test("a wrong password is refused as the server refuses it, and recorded", async (t) => {
  const attempt = async (way: Way): Promise<unknown> =>
    stack.client(way, { password: "wrong", application_name: "intruder" }).then(
      () => "let in",
      (error: pg.DatabaseError) => [error.code, error.message],
    );
  t.same(await attempt("proxied"), await attempt("direct"));
  const entries = await stack.settled((all) =>
    all.some(({ kind, sqlstate }) => kind === "access.refused" && sqlstate === "28P01"),
  );
  const refused = entries.findIndex(({ kind }) => kind === "access.refused");
  t.match(entries[refused], {
    actor: { login: "alice" },
    database: "vitrine_test",
    by: "server",
    sqlstate: "28P01",
    client: { application: "intruder", tls: false },
  });
  t.match(await stack.disclosed(refused), { error: 'password authentication failed for user "alice"' });
});

const psql = await new Promise<boolean>((resolve) => {
  spawn("psql", ["--version"])
    .once("error", () => resolve(false))
    .once("close", (code) => resolve(code === 0));
});

t.test("psql", { skip: psql ? false : "psql is not installed" }, async (t) => {
  const entries = await bothWays(t, "psql", async (way, application) => {
    const child = spawn("psql", [stack.url(way), "-X", "-q", "-A", "-t"], {
      env: { ...process.env, PGAPPNAME: application },
    });
    // Apart, because how the two streams interleave is chance.
    const output = { stdout: "", stderr: "" };
    for (const name of ["stdout", "stderr"] as const) {
      child[name].on("data", (chunk) => {
        output[name] += chunk;
      });
    }
    child.stdin.end(
      [
        "SELECT 1; SELECT 2;",
        "BEGIN; SELECT 1/0; SELECT 3; ROLLBACK;",
        "\\copy (SELECT 4) TO STDOUT",
        "\\set FETCH_COUNT 2",
        "SELECT generate_series(1, 5);",
        "\\unset FETCH_COUNT",
        "SELECT 1 AS one \\gdesc",
        "DO $$ BEGIN RAISE NOTICE 'noticed'; END $$;",
        "\\dt",
      ].join("\n"),
    );
    await new Promise((resolve) => child.once("close", resolve));
    return output;
  });
  t.ok(told(entries).includes("SELECT failed 22012"));
  t.ok(told(entries).includes("COPY completed"));
  t.equal(entries.at(-1)?.reason, "client-terminated");
});

t.test("the audit passes, and the log's search that trusts nobody finds who did what", async (t) => {
  await stack.proxy.end("SIGTERM");
  t.same(schemaErrors(await stack.entries()), [], "every entry is as the schema says");
  const audit = await stack.verifier("audit", "--json");
  t.equal(audit.code, 0, audit.stdout + audit.stderr);
  const filtered = await stack.verifier(
    "audit",
    "--all",
    "--table",
    "notes",
    "--operation",
    "DELETE",
    "--user",
    "alice",
  );
  t.equal(filtered.code, 0, filtered.stdout + filtered.stderr);
  t.match(filtered.stdout, /DELETE/);
  t.notMatch(filtered.stdout, /COPY/);
});

t.test("the log's search and the audit find the same entries", async (t) => {
  const all = await stack.entries();
  const middle = String(all[Math.floor(all.length / 2)]!.time);
  const tokenFile = join(folder, "token");
  writeFileSync(tokenFile, TOKEN);
  const found = async (json: Promise<CommandResult>, list: "hits" | "entries"): Promise<number[]> => {
    const { code, stdout, stderr } = await json;
    t.equal(code, 0, stdout + stderr);
    const parsed = JSON.parse(stdout) as Record<string, { index: number }[]>;
    return parsed[list]!.map(({ index }) => index).sort((a, b) => a - b);
  };
  const questions: [string[], number][] = [
    [["--user", "alice", "--limit", "10000"], 50],
    [["--table", "notes", "--operation", "insert"], 2],
    [["--table", "public.notes"], 0],
    [["--database", DATABASE, "--operation", "ACCESS.REFUSED"], 1],
    [["--operation", "session.end", "--until", middle], 1],
    [["--since", middle, "--limit", "10000"], 5],
  ];
  for (const [options, least] of questions) {
    const search = runNode(VITRINE, ["search", "--log", stack.logUrl, "--token-file", tokenFile, "--json", ...options]);
    const [hits, entries] = await Promise.all([
      found(search, "hits"),
      found(stack.verifier("audit", "--all", "--json", "--state", join(folder, `${least}`), ...options), "entries"),
    ]);
    t.same(hits, entries, options.join(" "));
    t.ok(hits.length >= least, `${options.join(" ")}: ${hits.length}`);
  }
  const without = await runNode(VITRINE, ["search", "--log", stack.logUrl]);
  t.match([without.code, without.stderr], [1, /log_refused: the log answers 401, unauthorized/]);
});

t.end();
