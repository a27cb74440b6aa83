// What went past the proxy is found by what PostgreSQL says of itself: a backend, a statement, lines of its own log; and
// an honest run has nothing to find.
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Postgres } from "@vitrine/cli";
import type pg from "pg";
import t from "tap";
import { DATABASE, ROOT, runNode, Stack, startDatabase, temporaryFolder } from "../support/stack.ts";

const folder = temporaryFolder("reconcile");
const SERVER_LOG = join(folder, "postgres.log");
let database: Postgres;
let stack: Stack;

interface Finding {
  readonly code: string;
  readonly message: string;
  readonly pid?: number;
  readonly sql?: string;
  readonly count?: number;
}

interface Answer {
  readonly status: number;
  readonly verdict: string;
  readonly findings: readonly Finding[];
  readonly compared: unknown;
  readonly text: string;
}

t.before(async () => {
  const first = await startDatabase(folder);
  const admin = await first.connect("postgres");
  await admin.query("ALTER SYSTEM SET shared_preload_libraries = 'pg_stat_statements'");
  await admin.query("ALTER SYSTEM SET log_connections = 'on'");
  await admin.query("ALTER SYSTEM SET log_timezone = 'UTC'");
  await admin.query("ALTER SYSTEM SET log_line_prefix = '%m [%p] '");
  await admin.end();
  await first.stop();
  database = await startDatabaseAgain();
  const owner = await database.connect(DATABASE);
  await owner.query("CREATE EXTENSION pg_stat_statements");
  await owner.query("CREATE TABLE public.orders (id int, note text); GRANT ALL ON public.orders TO alice");
  await owner.query("CREATE ROLE auditor LOGIN PASSWORD 'reads'; GRANT pg_read_all_stats TO auditor");
  await owner.end();
  stack = await (await Stack.create(database)).start();
  await reset();
});

t.after(async () => {
  await stack?.destroy();
  await database?.stop();
  rmSync(folder, { recursive: true, force: true });
});

async function startDatabaseAgain(): Promise<Postgres> {
  const { startPostgres } = await import("@vitrine/cli");
  return startPostgres({
    folder: join(folder, "postgres"),
    passwordFile: join(folder, "superuser"),
    logFile: SERVER_LOG,
  });
}

/** Everything counts from now on. */
async function reset(): Promise<void> {
  const admin = await database.connect(DATABASE);
  await admin.query("SELECT pg_stat_reset()");
  await admin.query("SELECT pg_stat_statements_reset()");
  await admin.end();
}

async function reconcile(...options: string[]): Promise<Answer> {
  const url = `postgres://auditor:reads@127.0.0.1:${database.port}/${DATABASE}`;
  const vkey = join(stack.folder, "log.vkey");
  const common = ["--log", stack.logUrl, "--vkey", vkey, "--state", join(stack.folder, "auditor"), "--json"];
  const args = ["reconcile", ...common, "--database", url, "--except", "postgres", ...options];
  const { code, stdout, stderr } = await runNode(join(ROOT, "cli/bin/vitrine.js"), args);
  const json =
    stdout === "" ? { verdict: stderr, findings: [], compared: {} } : (JSON.parse(stdout) as Omit<Answer, "text">);
  return { ...json, status: code, text: stdout + stderr };
}

let works = 0;

/** What an application does, until the log has it. */
async function work(client: pg.Client): Promise<void> {
  for (let i = 0; i < 3; i++) await client.query("INSERT INTO public.orders VALUES ($1, $2)", [i, `note ${i}`]);
  await client.query("SELECT * FROM public.orders WHERE id IN (1, 2, 3)");
  await client.query("SELECT * FROM public.orders WHERE id IN (4, 5)");
  await client.query("BEGIN; UPDATE public.orders SET note = 'x' WHERE id = 1; COMMIT");
  await client.query({ name: "kept", text: "SELECT note FROM public.orders WHERE id = $1", values: [1] });
  await client.query({ name: "kept", text: "SELECT note FROM public.orders WHERE id = $1", values: [2] });
  await t.rejects(client.query("SELECT * FROM nowhere"));
  await t.rejects(client.query("SELECT 1/0"));
  await client.query("SET work_mem = '8MB'");
  await client.query("CREATE TABLE IF NOT EXISTS public.orders (id int)");
  works += 1;
  await stack.settled((all) => all.filter(({ operation }) => operation === "CREATE TABLE").length === works);
}

t.test("an honest run", async (t) => {
  const client = await stack.client();
  await work(client);
  const answer = await reconcile("--wait", "5");
  t.same(answer.findings, [], answer.text);
  t.same([answer.status, answer.verdict], [0, "PASS"]);
  await client.end();
  t.equal((await reconcile("--wait", "5")).verdict, "PASS", "and when its session is over");
  const logged = await reconcile("--server-log", SERVER_LOG, "--except", "auditor");
  t.same(logged.findings, [], logged.text);
  t.match(logged.compared, { lines: { checked: 1 } }, "its one connection");
});

t.test("a backend past the proxy", async (t) => {
  const direct = await stack.client("direct", { application_name: "psql at night" });
  const { rows } = await direct.query("SELECT pg_backend_pid() AS pid");
  const answer = await reconcile("--wait", "0");
  t.equal(answer.status, 1, answer.text);
  const found = answer.findings.filter(({ code }) => code === "backend_unlogged");
  t.same(
    found.map(({ pid }) => pid),
    [rows[0].pid],
  );
  t.match(found[0]!.message, /\(psql at night\) of alice in vitrine_test, from 127\.0\.0\.1/);
  await direct.end();
});

t.test("statements past the proxy, though nobody is there any more", async (t) => {
  await reset();
  const client = await stack.client();
  await work(client);
  const direct = await stack.client("direct");
  await direct.query("DELETE FROM public.orders WHERE id = 3");
  // The same as through the proxy, once more.
  await direct.query("UPDATE public.orders SET note = 'y' WHERE id = 2");
  await direct.end();
  const answer = await reconcile("--wait", "5");
  t.equal(answer.status, 1);
  t.match(
    answer.findings.filter(({ code }) => code === "statement_unlogged").map(({ count, sql }) => [count, sql]),
    [
      [1, /^DELETE FROM public\.orders WHERE id = \$1/],
      [1, /^UPDATE public\.orders SET note = \$1 WHERE id = \$2/],
    ].sort(),
    answer.text,
  );
  await client.end();
});

t.test("connections in the server's own log", async (t) => {
  const direct = await stack.client("direct");
  const pid = Number((await direct.query("SELECT pg_backend_pid() AS pid")).rows[0].pid);
  await direct.end();
  const answer = await reconcile("--server-log", SERVER_LOG, "--wait", "0");
  const found = answer.findings.filter(({ code }) => code === "connection_unlogged").map(({ pid }) => pid);
  t.ok(found.includes(pid), answer.text);
  const proxied = await stack.client();
  const own = Number((await proxied.query("SELECT pg_backend_pid() AS pid")).rows[0].pid);
  await proxied.end();
  await stack.settled((all) => {
    const count = (wanted: string): number => all.filter(({ kind }) => kind === wanted).length;
    return count("session.start") === 3 && count("session.end") === 3;
  });
  const again = await reconcile("--server-log", SERVER_LOG, "--wait", "3");
  t.notOk(again.findings.some((one) => one.pid === own));
});

t.test("what the server let in and then refused, and is no access past the proxy", async (t) => {
  await t.rejects(stack.client("proxied", { database: "nodb" }), { code: "3D000" });
  const line = /connection authorized: user=alice database=nodb/;
  t.match(readFileSync(SERVER_LOG, "utf8"), line, "the server let it in");
  const answer = await reconcile("--server-log", SERVER_LOG, "--wait", "5");
  t.notOk(
    answer.findings.some(({ message }) => /nodb/.test(message)),
    answer.text,
  );
});

t.test("a connection that replicates never came through the proxy", async (t) => {
  const admin = await database.connect(DATABASE);
  await admin.query("ALTER ROLE alice REPLICATION");
  const options = { replication: "database", application_name: "a copy" } as pg.ClientConfig;
  const direct = await stack.client("direct", options);
  const pid = (direct as unknown as { processID: number }).processID;
  const answer = await reconcile("--server-log", SERVER_LOG, "--wait", "0");
  const found = answer.findings.filter((one) => one.pid === pid).map(({ code }) => code);
  t.same(found, ["backend_unlogged", "connection_unlogged"], answer.text);
  t.match(answer.findings.find((one) => one.pid === pid)?.message, /\(a copy\) of alice that replicates/);
  await direct.end();
  await admin.query("ALTER ROLE alice NOREPLICATION");
  await admin.end();
});

t.test("what counts more often than it was executed is no accusation", async (t) => {
  const admin = await database.connect(DATABASE);
  await admin.query(`CREATE TABLE public.ruled (id int); CREATE TABLE public.copies (id int);
    CREATE RULE twice AS ON INSERT TO public.ruled DO ALSO INSERT INTO public.copies VALUES (new.id);
    CREATE TABLE public.once (id int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED);
    GRANT ALL ON public.ruled, public.copies, public.once TO alice`);
  await reset();
  const client = await stack.client();
  await client.query("INSERT INTO public.ruled VALUES (1)");
  await client.query("INSERT INTO public.once VALUES (1)");
  await t.rejects(client.query("INSERT INTO public.once VALUES (1)"), { code: "23505" });
  const answer = await reconcile("--wait", "5");
  t.same(
    answer.findings.map(({ code, count, sql }) => [code, count, sql?.slice(0, 24)]).sort(),
    [
      ["statements_unclear", 1, "INSERT INTO public.once "],
      ["statements_unclear", 1, "INSERT INTO public.ruled"],
    ],
    answer.text,
  );
  await client.end();
  await admin.end();
});

t.test("whose role is gone, and where pg_stat_statements lives in another schema", async (t) => {
  const admin = await database.connect(DATABASE);
  await admin.query("CREATE ROLE gone LOGIN SUPERUSER PASSWORD 'gone'");
  await reset();
  const direct = await stack.client("direct", { user: "gone", password: "gone" });
  await direct.query("SELECT note FROM public.orders WHERE note <> 'x'");
  await direct.end();
  await admin.query("DROP ROLE gone");
  await admin.query("CREATE SCHEMA counters; GRANT USAGE ON SCHEMA counters TO auditor");
  await admin.query("ALTER EXTENSION pg_stat_statements SET SCHEMA counters");
  const answer = await reconcile("--wait", "0");
  t.match(
    answer.findings.map(({ code, message }) => [code, message]),
    [["statement_unlogged", /1 of 1 calls by role \d+ in vitrine_test/]],
    answer.text,
  );
  await admin.query("ALTER EXTENSION pg_stat_statements SET SCHEMA public");
  await admin.end();
});

t.test(
  "connections that come while it compares are no finding, and what a plain log says of excepted roles",
  async (t) => {
    let going = true;
    const busy = (async () => {
      while (going) {
        const client = await stack.client();
        await client.query("SELECT 1");
        await client.end();
      }
    })();
    const started = new Date().toISOString();
    const admin = await database.connect("postgres");
    await admin.query("ALTER SYSTEM SET log_statement = 'all'");
    await admin.query("SELECT pg_reload_conf()");
    await admin.end();
    const other = await database.connect("postgres");
    await other.query("SELECT 'of an excepted role'");
    await other.end();
    for (let i = 0; i < 3; i++) {
      const options = ["--server-log", SERVER_LOG, "--except", "auditor", "--wait", "10", "--since", started];
      const answer = await reconcile(...options);
      t.notOk(
        answer.findings.some(({ code }) => code === "connection_unlogged" || code === "statement_unlogged"),
        answer.text,
      );
    }
    going = false;
    await busy;
  },
);

t.test("counters from before the proxy are not taken for anything", async (t) => {
  const answer = await reconcile("--since", "2999-01-01", "--wait", "0");
  t.notOk(answer.findings.some(({ code }) => code === "statement_unlogged"));
  t.ok(answer.findings.some(({ code }) => code === "statements_early"));
  t.equal(answer.verdict, "NOT PROVEN");
});

t.test("a source that the log has not, and a state that is damaged", async (t) => {
  const answer = await reconcile("--source", "nobody.example", "--wait", "0");
  t.match(answer.findings.find(({ code }) => code === "log_unproven")?.message, /no entries of nobody\.example/);
  const kept = join(stack.folder, "auditor");
  const files = readdirSync(kept).filter((name) => name.endsWith(".json"));
  t.equal(files.length, 1);
  const text = readFileSync(join(kept, files[0]!), "utf8");
  writeFileSync(join(kept, files[0]!), text.replace(/"size": ?\d+/, '"size":1'));
  const damaged = await reconcile("--wait", "0");
  t.match([damaged.status, damaged.text], [64, /^vitrine: usage: .*damaged or edited/m], "1 would be the verdict FAIL");
  writeFileSync(join(kept, files[0]!), text);
});

t.test("a database that does not let us see, and one that cannot be reached", async (t) => {
  const vkey = join(stack.folder, "log.vkey");
  const args = ["reconcile", "--log", stack.logUrl, "--vkey", vkey, "--state", join(stack.folder, "other"), "--json"];
  const client = await stack.client("direct");
  await client.query("SELECT 1");
  const admin = await database.connect(DATABASE);
  const blind = await runNode(join(ROOT, "cli/bin/vitrine.js"), [
    ...args,
    "--database",
    stack.url("direct"),
    "--wait",
    "0",
  ]);
  const { findings } = JSON.parse(blind.stdout) as { findings: Finding[] };
  t.ok(
    findings.some(({ code }) => code === "backends_hidden"),
    blind.stdout,
  );
  await admin.end();
  await client.end();
  const none = await runNode(join(ROOT, "cli/bin/vitrine.js"), [
    ...args,
    "--database",
    "postgres://x:secret@127.0.0.1:1/x",
  ]);
  t.match(none.stderr, /^vitrine: upstream_unreachable: --database cannot be read/);
  t.equal(none.code, 69, "1 would be the verdict FAIL");
  t.notMatch(none.stderr, "secret");
});
t.end();
