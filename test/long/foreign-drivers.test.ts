// Drivers of other languages see through the proxy what they see without it. Their suites stand in test/drivers.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { version } from "../bench/machine.ts";
import { type Connection, foreignDrivers } from "../support/foreign.ts";
import { type Run, run } from "../support/go.ts";
import { hasOpenssl, OpensslAuthority } from "../support/openssl.ts";
import { until } from "../support/sessions.ts";
import { Stack, startDatabase, statements, temporaryFolder, USER } from "../support/stack.ts";

const folder = temporaryFolder("foreign-drivers");
const tools = join(folder, "tools");
mkdirSync(tools, { recursive: true });
const drivers = await foreignDrivers(tools);
const database = await startDatabase(folder);
const noOpenssl = hasOpenssl() ? false : "no openssl to make a certificate with";
const stack = await (await Stack.create(database, { proxyKeys: encryption() })).start();

function encryption(): Record<string, unknown> {
  if (noOpenssl !== false) return {};
  const { cert, key } = new OpensslAuthority(folder).issue("proxy");
  return { tls: { mode: "prefer", cert, key } };
}

const pooled = await Promise.all(["session", "transaction"].map((mode) => pooling(mode)));

/** A proxy that authenticates the tests' user itself, with what the server knows of the password, and pools. */
async function pooling(mode: string): Promise<{ readonly name: string; readonly stack: Stack }> {
  const admin = await database.connect("postgres");
  const { rows } = await admin.query("SELECT rolpassword FROM pg_authid WHERE rolname = $1", [USER]);
  await admin.end();
  const users = join(folder, `users-${mode}`);
  const secret = `secret=${Buffer.alloc(32, 1).toString("base64")}`;
  writeFileSync(users, `${secret}\n"${USER}" "${(rows[0] as { rolpassword: string }).rolpassword}"\n`, { mode: 0o600 });
  const made = await Stack.create(database, {
    proxyKeys: { auth: [{ method: "terminate" }], users, pool: { mode, size: 10 } },
  });
  return { name: `${mode} pooling`, stack: await made.start() };
}

/** Lines of a suite that differ from what they are without a proxy, by their steps, and what they are. */
function differences(lines: readonly string[], direct: readonly string[]): string[] {
  const steps = Math.max(lines.length, direct.length);
  return Array.from({ length: steps }, (_, i) => i)
    .filter((i) => lines[i] !== direct[i])
    .map((i) => `${direct[i]} -> ${lines[i]}`);
}

for (const driver of drivers) {
  t.test(driver.name, { skip: driver.skip }, async (t) => {
    const direct = await driver.suite(stack.connection("direct"));
    t.equal(direct.code, 0, direct.stderr);
    const lines = direct.stdout.trimEnd().split("\n");
    t.ok(lines.length > 20, `${lines.length} steps`);
    for (const way of [{ name: "relayed", stack }, ...pooled]) {
      const proxied = await driver.suite(way.stack.connection("proxied"));
      t.equal(proxied.code, 0, `${way.name}: ${proxied.stderr}`);
      t.same(differences(proxied.stdout.trimEnd().split("\n"), lines), [], way.name);
    }
    await t.test("over TLS", { skip: noOpenssl }, async (t) => {
      const encrypted = await driver.suite({ ...stack.connection("proxied"), sslmode: "require" });
      t.equal(encrypted.code, 0, encrypted.stderr);
      t.same(encrypted.stdout.trimEnd().split("\n"), lines);
    });
  });
}

const PIPELINE = `\\startpipeline
SELECT 1;
UPDATE pgbench_branches SET bbalance = bbalance + 1 WHERE bid = 1;
SELECT bbalance FROM pgbench_branches WHERE bid = 1;
\\endpipeline
`;

t.test("pgbench in every mode", { skip: version("pgbench", "--version") === undefined && "no pgbench" }, async (t) => {
  const pgbench = ({ host, port, user, password, database }: Connection, ...args: string[]): Promise<Run> =>
    run("pgbench", ["-h", host, "-p", String(port), "-U", user, ...args, database], tools, 120_000, {
      PGPASSWORD: password,
      PGSSLMODE: "disable",
    });
  const made = await pgbench(stack.connection("proxied"), "-i", "-q", "-s", "1");
  t.equal(made.code, 0, made.stderr);
  writeFileSync(join(tools, "pipeline.sql"), PIPELINE);
  const count = async (): Promise<number> =>
    (await stack.entries()).filter(({ kind, outcome }) => kind === "statement" && outcome === "completed").length;
  for (const [mode, script, statementsEach] of [
    ["simple", ["-b", "tpcb-like"], 7],
    ["extended", ["-b", "tpcb-like"], 7],
    ["prepared", ["-b", "tpcb-like"], 7],
    ["extended", ["-f", join(tools, "pipeline.sql")], 3],
    ["prepared", ["-f", join(tools, "pipeline.sql")], 3],
  ] as const) {
    const before = await count();
    const args = ["-n", "-M", mode, ...script, "-c", "4", "-j", "2", "-t", "50"];
    const ran = await pgbench(stack.connection("proxied"), ...args);
    t.match(ran.stdout, /processed: 200\/200\n.*failed transactions: 0 /, `${mode} ${script[1]}: ${ran.stderr}`);
    // pgbench asks the server a few things of its own before it begins.
    await until("all are logged", async () => (await count()) - before >= 200 * statementsEach);
    t.ok((await count()) - before <= 200 * statementsEach + 40, "one entry a statement");
  }
});

t.test("all of it is in the logs, and the audits pass", async (t) => {
  for (const way of [{ name: "relayed", stack }, ...pooled]) {
    await way.stack.proxy.end("SIGTERM");
    const all = await way.stack.settled((entries) => entries.at(-1)?.kind === "source.stop");
    const run = drivers.filter(({ skip }) => skip === false);
    t.ok(statements(all).length >= 100 * run.length, `${way.name}: ${statements(all).length} statements`);
    const audit = await way.stack.verifier("audit");
    t.equal(audit.code, 0, `${way.name}: ${audit.stdout}`);
  }
});

t.test("the end", async () => {
  for (const each of [stack, ...pooled.map((way) => way.stack)]) await each.destroy();
  await database.stop();
});
t.end();
