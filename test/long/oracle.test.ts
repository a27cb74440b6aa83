// What the proxy recorded is what the server counted and audited: execution by execution, row by row.
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type Postgres, startPostgres } from "@vitrine/cli";
import t, { type Test } from "tap";
import { auditLines, unequal } from "../support/audited.ts";
import { counted, differences, recordedCounts } from "../support/counted.ts";
import { startAudited } from "../support/debian-postgres.ts";
import { type OracleClient, oracleClients } from "../support/oracle-clients.ts";
import { DATABASE, type Entry, Stack, startDatabase, temporaryFolder, USER } from "../support/stack.ts";

/** Differences that are as they should be: docs/record-oracle.md says why. */
const REASONS: readonly (readonly [client: string, line: RegExp])[] = [
  ["asyncpg", /^1 calls and 15 rows by the server's count, 1 and 5 by the record: SELECT n FROM seen ORDER BY n$/],
];

const folder = temporaryFolder("oracle");

interface Upstream {
  readonly database: Postgres;
  readonly major: number;
  /** Where pgAudit's lines are. */
  readonly logFile?: string;
}

/** The embedded server, with its counters on. */
async function counting(): Promise<Upstream> {
  const first = await startDatabase(folder);
  const setup = await first.connect("postgres");
  await setup.query("ALTER SYSTEM SET shared_preload_libraries = 'pg_stat_statements'");
  await setup.end();
  await first.stop();
  const database = await startPostgres({
    folder: join(folder, "postgres"),
    passwordFile: join(folder, "superuser"),
    logFile: join(folder, "postgres.log"),
  });
  return { database, major: 18 };
}

/** The entries behind the first `from`, up to the end of all sessions that began before this call. */
async function entriesSince(stack: Stack, from: number): Promise<Entry[]> {
  const mark = `mark ${from}`;
  await (await stack.client("proxied", { application_name: mark })).end();
  const all = await stack.settled((entries) => {
    const since = entries.slice(from);
    const starts = since.filter(({ kind }) => kind === "session.start");
    const marked = starts.some(({ client }) => (client as { application?: string }).application === mark);
    return marked && since.filter(({ kind }) => kind === "session.end").length === starts.length;
  });
  return all.slice(from);
}

/** Nothing of the record could be missing, or there twice, and not be found. */
async function sensitive(t: Test, entries: readonly Entry[], { major }: Upstream): Promise<void> {
  const whole = await recordedCounts(entries, major >= 17);
  const chosen = entries.filter(
    ({ outcome, operation }, i) =>
      outcome === "completed" && /^(SELECT|INSERT|UPDATE|DELETE|MERGE)$/.test(operation ?? "") && i % 7 === 0,
  );
  const unnoticed = [];
  for (const entry of chosen.slice(0, 40)) {
    const fewer = await recordedCounts(
      entries.filter((other) => other !== entry),
      major >= 17,
    );
    if (differences(whole, fewer, false).length === 0) unnoticed.push(entry.sql);
  }
  t.same(unnoticed, [], `one execution less is found out, ${Math.min(40, chosen.length)} times`);
}

async function compare(t: Test, client: OracleClient, stack: Stack, upstream: Upstream): Promise<void> {
  const { database, major, logFile } = upstream;
  const admin = await database.connect(DATABASE);
  t.teardown(() => admin.end());
  const from = (await stack.entries()).length;
  const logFrom = logFile === undefined ? 0 : readFileSync(logFile).length;
  await admin.query("SELECT pg_stat_statements_reset()");
  await client.work(stack.connection("proxied"));

  const all = await entriesSince(stack, from);
  const entries = all.filter(({ kind }) => kind === "statement");
  const server = await counted(admin, USER);
  const found = differences(server, await recordedCounts(entries, major >= 17), major >= 17);
  const left = found.filter((line) => !REASONS.some(([who, what]) => who === client.name && what.test(line)));
  const calls = [...server.values()].reduce((sum, count) => sum + count.calls, 0);
  t.same(left, [], `${server.size} statements, ${calls} executions, ${found.length - left.length} with a reason`);
  t.ok(calls >= 20, "it did something");
  await sensitive(t, entries, upstream);

  if (logFile === undefined) return;
  const lines = auditLines(readFileSync(logFile).subarray(logFrom).toString());
  let audited = 0;
  for (const { session, server: reported } of all.filter(({ kind }) => kind === "session.start")) {
    const own = lines.filter(({ pid }) => pid === (reported as { pid: number }).pid);
    audited += own.length;
    t.same(
      unequal(
        entries.filter((entry) => entry.session === session),
        own,
      ),
      [],
      `session ${session}: ${own.length} lines`,
    );
  }
  t.ok(audited >= 20, `${audited} audited`);
}

async function hold(t: Test, upstream: Upstream, tools: string): Promise<void> {
  mkdirSync(tools, { recursive: true });
  const { database, major } = upstream;
  const admin = await database.connect(DATABASE);
  await admin.query("CREATE EXTENSION pg_stat_statements");
  await admin.end();
  // The texts are needed as they were.
  const proxyKeys = { sealed: ["params", "error", "client.address"] };
  const stack = await (await Stack.create(database, { proxyKeys })).start();
  try {
    for (const client of await oracleClients(tools, major)) {
      await t.test(client.name, { skip: client.skip }, (t) => compare(t, client, stack, upstream));
    }
    await stack.proxy.end("SIGTERM");
    const audit = await stack.verifier("audit");
    t.equal(audit.code, 0, audit.stdout);
  } finally {
    await stack.destroy();
    await database.stop();
  }
}

t.test("PostgreSQL 18, pg_stat_statements", { timeout: 400_000 }, async (t) => {
  await hold(t, await counting(), join(folder, "tools"));
});

const audited = await startAudited(join(folder, "audited"));

t.test(
  "PostgreSQL 15, pg_stat_statements and pgAudit",
  { skip: typeof audited === "string" ? audited : false, timeout: 400_000 },
  async (t) => {
    if (typeof audited === "string") return;
    await hold(t, { ...audited, major: 15 }, join(folder, "tools-15"));
  },
);

t.end();
