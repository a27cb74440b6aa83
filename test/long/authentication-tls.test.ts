// What the proxy's own authentication makes of TLS: bound logins, client certificates, passwords; and what it makes of
// servers, by each way in which a real PostgreSQL asks for a login.
import { chownSync, copyFileSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Postgres } from "@vitrine/cli";
import { formatVerifier, makeVerifier } from "@vitrine/proxy";
import postgres from "postgres";
import t, { type Test } from "tap";
import { version } from "../bench/machine.ts";
import { type Run, run } from "../support/go.ts";
import { type Certified, hasOpenssl, OpensslAuthority } from "../support/openssl.ts";
import { DATABASE, type Entry, Stack, startDatabase, temporaryFolder } from "../support/stack.ts";

const why = hasOpenssl() ? false : "no openssl to make certificates with";
const noPsql = version("psql", "--version") === undefined ? "no psql" : false;
const SECRET = `secret=${Buffer.alloc(32, 1).toString("base64")}`;
/** Each role has its own way in at the server, by pg_hba.conf; its password there is `of the proxy`. */
const ROLES = ["scram", "md5", "clear", "trusted"] as const;

const folder = temporaryFolder("authentication-tls");
const users = join(folder, "users");
let database: Postgres;
let authority: OpensslAuthority;
let ofProxy: Certified;

t.test("authentication and TLS", { skip: why }, async (t) => {
  authority = new OpensslAuthority(folder);
  ofProxy = authority.issue("proxy", "DNS:localhost,IP:127.0.0.1");
  database = await startDatabase(folder);
  t.teardown(async () => {
    await database.stop();
    rmSync(folder, { recursive: true, force: true });
  });
  await setUpServer();
  const verifier = formatVerifier(await makeVerifier("hers alone"));
  const lines = ROLES.map((role) => `"to-${role}" "${verifier}" role=${role}`);
  lines.push(`"card" "" role=scram`, `"mail" "" role=scram certificate=mail@example.org`);
  lines.push(`"own" "" role=own`);
  writeFileSync(users, [SECRET, ...lines, ""].join("\n"), { mode: 0o600 });
  writeFileSync(join(folder, "passwords"), "*:*:*:*:of the proxy\n", { mode: 0o600 });
  await t.test("clients", clients);
  await t.test("servers", servers);
});

async function setUpServer(): Promise<void> {
  const data = join(folder, "postgres");
  const owner = statSync(data);
  const ofServer = authority.issue("server", "DNS:localhost,IP:127.0.0.1");
  for (const [from, to] of [
    [ofServer.cert, "server.crt"],
    [ofServer.key, "server.key"],
    [authority.cert, "root.crt"],
  ] as const) {
    copyFileSync(from, join(data, to));
    chownSync(join(data, to), owner.uid, owner.gid);
  }
  const hba = join(data, "pg_hba.conf");
  const lines = ["scram scram-sha-256", "md5 md5", "clear password", "trusted trust"].map((line) => {
    const [role, method] = line.split(" ");
    return `host all ${role} 127.0.0.1/32 ${method}`;
  });
  lines.push("hostssl all own 127.0.0.1/32 cert");
  writeFileSync(hba, `${lines.join("\n")}\n${readFileSync(hba, "utf8")}`);
  const admin = await database.connect("postgres");
  for (const role of ROLES) {
    await admin.query(`SET password_encryption = '${role === "md5" ? "md5" : "scram-sha-256"}'`);
    await admin.query(`CREATE ROLE ${role} LOGIN PASSWORD 'of the proxy'`);
  }
  await admin.query("CREATE ROLE own LOGIN");
  await admin.query("ALTER SYSTEM SET ssl = on");
  await admin.query("ALTER SYSTEM SET ssl_ca_file = 'root.crt'");
  await admin.query("SELECT pg_reload_conf()");
  await admin.end();
}

async function stackOf(t: Test, keys: Record<string, unknown>, parameters = ""): Promise<Stack> {
  const stack = await Stack.create(database, {
    proxyKeys: {
      upstream: `postgres://127.0.0.1:${database.port}${parameters}`,
      users,
      upstream_passwords: join(folder, "passwords"),
      auth: [{ method: "terminate" }],
      ...keys,
    },
  });
  t.teardown(() => stack.destroy());
  return stack.start();
}

function psql(stack: Stack, user: string, parameters: string, password = "hers alone"): Promise<Run> {
  const to = `host=127.0.0.1 port=${stack.proxyPort} user=${user} dbname=${DATABASE} ${parameters}`;
  const environment = { PGPASSWORD: password, PGSSLROOTCERT: authority.cert };
  return run("psql", [to, "-XAtqc", "SELECT session_user"], folder, 60_000, environment);
}

async function clients(t: Test): Promise<void> {
  const stack = await stackOf(t, {
    tls: { mode: "prefer", cert: ofProxy.cert, key: ofProxy.key, client_ca: authority.cert, client_cert: "optional" },
    auth: [
      { user: ["card", "mail"], method: "certificate" },
      { user: "to-md5", method: "password" },
      { method: "terminate" },
    ],
    // What each of the roles asks for at the server is not the matter here.
    upstream_auth: ["scram-sha-256", "md5", "password", "trust"],
  });
  const wanted: [string, string][] = [];
  const ca = readFileSync(authority.cert, "utf8");
  await t.test("psql", { skip: noPsql }, async (t) => {
    const bound = await psql(stack, "to-scram", "sslmode=verify-full channel_binding=require");
    t.match(bound, { stdout: "scram\n" }, bound.stderr);
    wanted.push(["to-scram", "scram-sha-256-plus"]);
    const unbound = await psql(stack, "to-scram", "sslmode=require channel_binding=disable");
    t.match(unbound, { stdout: "scram\n" }, unbound.stderr);
    wanted.push(["to-scram", "scram-sha-256"]);
    t.match((await psql(stack, "to-scram", "sslmode=disable channel_binding=require")).stderr, /channel binding/);
    const wrong = await psql(stack, "to-scram", "sslmode=require channel_binding=require", "wrong");
    t.match(wrong.stderr, /password authentication failed for user "to-scram"/);
    for (const [user, names, certificate] of [
      ["card", undefined, "card"],
      ["mail", "email:mail@example.org", "somebody"],
    ] as const) {
      const own = authority.issue(certificate, names);
      const shown = `sslmode=require sslcert=${own.cert} sslkey=${own.key}`;
      const good = await psql(stack, user, shown);
      t.match(good, { stdout: "scram\n" }, good.stderr);
      wanted.push([user, "certificate"]);
      const other = await psql(stack, user === "card" ? "mail" : "card", shown);
      t.match(other.stderr, /certificate authentication failed for user/);
    }
    t.match((await psql(stack, "card", "sslmode=require")).stderr, /requires a valid client certificate/);
  });
  await t.test("drivers", async () => {
    const config = { user: "to-scram", password: "hers alone" };
    const client = await stack.client("proxied", { ...config, ssl: { ca }, enableChannelBinding: true } as object);
    await client.end();
    wanted.push(["to-scram", "scram-sha-256-plus"]);
    const sql = postgres({ ...stack.connection(), ...config, ssl: { ca }, max: 1 });
    await sql`SELECT 1`;
    await sql.end();
    wanted.push(["to-scram", "scram-sha-256"]);
  });
  await t.test("a password in the clear, inside TLS only", async (t) => {
    const config = { user: "to-md5", password: "hers alone" };
    await t.rejects(stack.client("proxied", config), { code: "28000", message: /over TLS only/ });
    await t.rejects(stack.client("proxied", { ...config, password: "x", ssl: { ca } }), { code: "28P01" });
    await (await stack.client("proxied", { ...config, ssl: { ca } })).end();
    wanted.push(["to-md5", "password"]);
  });
  const starts = (entries: readonly Entry[]): Entry[] => entries.filter(({ kind }) => kind === "session.start");
  const entries = starts(await stack.settled((all) => starts(all).length >= wanted.length));
  t.same(
    entries.map(({ actor, client }) => [
      (actor as { login: string }).login,
      (actor as { auth: string }).auth,
      (actor as { by: string }).by,
      (client as { tls: boolean }).tls,
    ]),
    wanted.map(([user, auth]) => [user, auth, "proxy", true]),
  );
}

/** @returns the role that the server knows, or the SQLSTATE and the words of the refusal */
async function ask(stack: Stack, user: string): Promise<string> {
  try {
    const client = await stack.client("proxied", { user, password: "hers alone" });
    const { rows } = await client.query("SELECT session_user::text AS who");
    await client.end();
    return (rows[0] as { who: string }).who;
  } catch (error) {
    const { code, message } = error as { code: string; message: string };
    return `${code} ${message}`;
  }
}

async function servers(t: Test): Promise<void> {
  const ask4 = async (stack: Stack): Promise<string[]> => {
    const answers: string[] = [];
    for (const role of ROLES) answers.push(await ask(stack, `to-${role}`));
    return answers;
  };
  const no = /^08001 the database server is not trusted: /;
  await t.test("what is not listed is not accepted, and nothing else is tried", async (t) => {
    t.match(await ask4(await stackOf(t, {})), ["scram", no, no, no]);
    t.match(await ask4(await stackOf(t, { upstream_auth: ["md5"] })), [no, "md5", no, no]);
    t.match(await ask4(await stackOf(t, { upstream_auth: ["trust"] })), [no, no, no, "trusted"]);
    const clear = await stackOf(t, { upstream_auth: ["password"] });
    t.match(await ask4(clear), [no, no, /without TLS/, no]);
  });
  const root = `sslrootcert=${encodeURIComponent(authority.cert)}`;
  await t.test("bound to the server's TLS connection", async (t) => {
    const plus = { upstream_auth: ["scram-sha-256-plus"] };
    t.match(await ask4(await stackOf(t, plus, `?sslmode=verify-full&${root}`)), ["scram", no, no, no]);
    t.match(await ask(await stackOf(t, plus, "?sslmode=disable"), "to-scram"), no);
    const clear = await stackOf(t, { upstream_auth: ["password"] }, `?sslmode=verify-full&${root}`);
    t.match(await ask4(clear), [no, no, "clear", no]);
  });
  await t.test("by the proxy's certificate", async (t) => {
    const own = authority.issue("own");
    const shown = `&sslcert=${encodeURIComponent(own.cert)}&sslkey=${encodeURIComponent(own.key)}`;
    const trusting = { auth: [{ method: "trust" }] };
    const keys = { ...trusting, upstream_auth: ["certificate"] };
    t.equal(await ask(await stackOf(t, keys, `?sslmode=verify-full&${root}${shown}`), "own"), "own");
    const unlisted = await stackOf(t, trusting, `?sslmode=verify-full&${root}${shown}`);
    t.match(await ask(unlisted, "own"), no);
  });
}
