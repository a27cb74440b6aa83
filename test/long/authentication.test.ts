// Clients that the proxy authenticates itself, with real drivers, before a real PostgreSQL.
import { spawnSync } from "node:child_process";
import { appendFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Postgres } from "@vitrine/cli";
import { formatVerifier, makeVerifier } from "@vitrine/proxy";
import pg from "pg";
import postgres from "postgres";
import t from "tap";
import { errorField, message, RawClient, startupPacket } from "../support/raw-client.ts";
import { until } from "../support/sessions.ts";
import { DATABASE, type Entry, PASSWORD, Stack, startDatabase, temporaryFolder, USER } from "../support/stack.ts";

const folder = temporaryFolder("authentication");
const users = join(folder, "users.txt");
let database: Postgres;
let stack: Stack;
const SECRET = `secret=${Buffer.alloc(32, 1).toString("base64")}`;
let copied = "";
/** What SASLprep changes, refuses or leaves: libpq and the proxy must come to the same keys. */
const STRANGE = [
  "I\u00adX",
  "\u2168",
  "\u00aa\u00a0b",
  "\u0627\u0031",
  "a\u0007b",
  "\u00e9\u0065\u0301",
  "\ufb01sh \u2460",
  "\ud83d\ude00",
  "\u0221",
  "\u00ad",
];

/** The same user in the file and at the server: what it proves to the one it proves to the other. */
async function verifierAtServer(role: string): Promise<string> {
  const admin = await database.connect("postgres");
  const { rows } = await admin.query("SELECT rolpassword FROM pg_authid WHERE rolname = $1", [role]);
  await admin.end();
  return (rows[0] as { rolpassword: string }).rolpassword;
}

t.before(async () => {
  database = await startDatabase(folder);
  const admin = await database.connect(DATABASE);
  await admin.query("CREATE ROLE shared LOGIN PASSWORD 'of the proxy'; GRANT ALL ON SCHEMA public TO shared");
  await admin.end();
  copied = `"${USER}" "${await verifierAtServer(USER)}" identity=alice@example.org groups=staff,analysts`;
  const own = formatVerifier(await makeVerifier("hers alone"));
  const prepared = await Promise.all(
    STRANGE.map(
      async (password, i) => `"strange${i}" "${formatVerifier(await makeVerifier(password))}" role=shared groups=staff`,
    ),
  );
  const other = formatVerifier(await makeVerifier(PASSWORD));
  writeFileSync(
    users,
    [
      SECRET,
      copied,
      `"ann" "${own}" identity=ann@example.org groups=staff role=shared`,
      `"late" "${own}" expires=2020-01-01T00:00:00Z role=shared`,
      // The server has another salt for this role, so its password cannot be passed through.
      `"shared" "${other}"`,
      `"nobody" "${own}" role=missing`,
      ...prepared,
      "",
    ].join("\n"),
    { mode: 0o600 },
  );
  writeFileSync(join(folder, "passwords"), `*:*:${DATABASE}:shared:of the proxy\n`, { mode: 0o600 });
  stack = await Stack.create(database, {
    rules: `version: 1
rules:
  - {name: staff, action: allow, who: {group: staff}, what: {class: any}}
`,
    proxyKeys: {
      auth: [{ user: "relayed", method: "relay" }, { method: "terminate" }],
      users,
      upstream_passwords: join(folder, "passwords"),
    },
  });
  await stack.start();
});

t.after(async () => {
  await stack?.destroy();
  await database?.stop();
  rmSync(folder, { recursive: true, force: true });
});

const as = (user: string, password: string, db = DATABASE): pg.ClientConfig => ({
  ...stack.connection(),
  user,
  password,
  database: db,
});

async function refusal(config: pg.ClientConfig): Promise<string> {
  const client = new pg.Client(config);
  client.on("error", () => undefined);
  try {
    await client.connect();
    await client.end();
    return "in";
  } catch (error) {
    return `${(error as pg.DatabaseError).code}: ${(error as Error).message}`;
  }
}

t.test("a login whose keys are the server's own is passed through, and recorded with who it is", async (t) => {
  const client = new pg.Client(as(USER, PASSWORD));
  await client.connect();
  const { rows } = await client.query("SELECT session_user::text AS who, 'passed' AS through");
  t.same(rows, [{ who: USER, through: "passed" }]);
  await client.end();
  const entries = await stack.settled((all) => all.some(({ kind }) => kind === "session.end"));
  for (const kind of ["session.start", "statement", "session.end"]) {
    const entry = entries.find((one) => one.kind === kind) as Entry;
    t.same(
      entry.actor,
      {
        login: USER,
        auth: "scram-sha-256",
        by: "proxy",
        identity: "alice@example.org",
        groups: ["analysts", "staff"],
      },
      kind,
    );
  }
});

t.test("a person behind a shared role: a password of the proxy's, and the group decides", async (t) => {
  const sql = postgres({ ...stack.connection(), user: "ann", password: "hers alone", max: 1 });
  t.same([...(await sql`SELECT session_user::text AS who`)], [{ who: "shared" }]);
  await sql.end();
  const entries = await stack.settled((all) => all.some((one) => one.kind === "statement" && one.role === "shared"));
  const statement = entries.find((one) => one.kind === "statement" && one.role === "shared")!;
  t.match(statement, { actor: { login: "ann", identity: "ann@example.org", groups: ["staff"] }, rule: "staff" });
});

t.test("psql", { skip: spawnSync("psql", ["--version"]).status === 0 ? false : "there is no psql" }, async (t) => {
  const { port } = stack.connection();
  const psql = (password: string, user = "ann"): { status: number | null; stdout: string; stderr: string } =>
    spawnSync("psql", ["-h", "127.0.0.1", "-p", String(port), "-U", user, "-d", DATABASE, "-Atc", "SELECT 1"], {
      encoding: "utf8",
      env: { ...process.env, PGPASSWORD: password, PGSSLMODE: "prefer", PGREQUIREAUTH: "scram-sha-256" },
    });
  t.equal(psql("hers alone").stdout, "1\n");
  for (const [i, password] of STRANGE.entries()) {
    const { stdout, stderr } = psql(password, `strange${i}`);
    t.equal(stdout, "1\n", `${JSON.stringify(password)}: ${stderr}`);
  }
  const wrong = psql("wrong");
  t.equal(wrong.status, 2);
  t.match(wrong.stderr, /FATAL: {2}password authentication failed for user "ann"/);
});

t.test("refusals: the same words whatever was wrong, and each is recorded", async (t) => {
  for (const [user, password] of [
    ["nobody", "wrong"],
    ["late", "hers alone"],
    ["unheard-of", "x"],
  ] as const) {
    t.equal(await refusal(as(user, password)), `28P01: password authentication failed for user "${user}"`);
  }
  const mine = ["nobody", "late", "unheard-of"];
  const refusedOf = (all: readonly Entry[]): Entry[] =>
    all.filter(({ kind, actor }) => kind === "access.refused" && mine.includes((actor as { login: string }).login));
  const refused = refusedOf(await stack.settled((all) => refusedOf(all).length === 3));
  t.same(
    refused.map((entry) => [(entry.actor as { login: string }).login, entry.by, entry.sqlstate]),
    [
      ["nobody", "proxy", "28P01"],
      ["late", "proxy", "28P01"],
      ["unheard-of", "proxy", "28P01"],
    ],
  );
});

t.test("a client whose startup parameters hold up its login takes no server from anybody else", async (t) => {
  const one = await Stack.create(database, {
    proxyKeys: {
      auth: [{ method: "terminate" }],
      users,
      upstream_passwords: join(folder, "passwords"),
      limits: { connect_timeout_ms: 5000 },
      breaker: { failures: 1, open_ms: 600_000 },
    },
  });
  t.teardown(() => one.destroy());
  await one.start();
  const at = { ...one.connection(), user: "ann", password: "hers alone", database: DATABASE };
  t.match(await refusal({ ...at, options: "-c post_auth_delay=15" }), /^08004: .*took more than 5 s/);
  t.equal(await refusal(at), "in");
});

t.test("what the server refuses", async (t) => {
  t.match(await refusal(as("ann", "hers alone", "no_such_db")), /^08004: .*there is none/, "no password for it");
  t.match(await refusal(as(USER, PASSWORD, "no_such_db")), /^3D000: database "no_such_db" does not exist/);
  t.match(await refusal(as("nobody", "hers alone")), /^08004: /);
  const admin = await database.connect("postgres");
  await admin.query("ALTER ROLE shared PASSWORD 'another'");
  await admin.end();
  const direct = await refusal({ ...as("shared", PASSWORD), application_name: "own" });
  t.match(direct, /^(in|08004)/);
});

t.test("clients that the server authenticates go on as ever", async (t) => {
  const admin = await database.connect("postgres");
  await admin.query("CREATE ROLE relayed LOGIN PASSWORD 'r'");
  await admin.end();
  const client = new pg.Client(as("relayed", "r"));
  await client.connect();
  await t.rejects(client.query("SELECT 1"), { code: "42501" }, "it is in no group");
  await client.end();
  const entries = await stack.settled((all) =>
    all.some((one) => one.kind === "session.end" && (one.actor as { login: string }).login === "relayed"),
  );
  const start = entries.find(
    (one) => one.kind === "session.start" && (one.actor as { login: string }).login === "relayed",
  );
  t.same(start?.actor, { login: "relayed", auth: "scram-sha-256" });
});

t.test("the users file is read again while the proxy runs; one with an error changes nothing", async (t) => {
  t.match(await refusal(as("bea", "new here")), /^28P01/);
  appendFileSync(users, `"bea" "${formatVerifier(await makeVerifier("new here"))}" role=relayed groups=staff\n`);
  process.kill(stack.proxy.pid!, "SIGHUP");
  await until("she is let in", async () => !/^28P01/.test(await refusal(as("bea", "new here"))));
  const answer = await refusal(as("bea", "new here"));
  t.match(answer, /^08004: the database server asks for a password of role "relayed", and there is none/);
  appendFileSync(users, "this is no user\n");
  process.kill(stack.proxy.pid!, "SIGHUP");
  await until("it is told", () => stack.proxy.output.includes("the users stay as they were"));
  t.match(await refusal(as("bea", "new here")), /^08004/);
  t.equal(await refusal(as(USER, PASSWORD)), "in");
  let changes: Entry[] = [];
  await until("the log has those at the start, and those with bea", async () => {
    changes = (await stack.entries()).filter(({ kind }) => kind === "users.change");
    return changes.length === 2;
  });
  t.equal(changes[1]?.previous_users, changes[0]?.users);
});

t.test("a client that says nothing true: every refusal is the protocol's", async (t) => {
  const sends: [string, Buffer][] = [
    ["a mechanism that was not offered", message("p", "SCRAM-SHA-1\0\0\0\0\x01n")],
    ["garbage", message("p", Buffer.alloc(300, 0xff))],
    ["an endless message", message("p", Buffer.alloc(60_000))],
    ["nothing", message("p")],
    [
      "two at once",
      Buffer.concat([message("p", "SCRAM-SHA-256\0\0\0\0\x0cn,,n=,r=abcd"), message("p", "x"), message("p", "y")]),
    ],
    ["a statement", Buffer.from("Q\0\0\0\x0dSELECT 1\0", "latin1")],
  ];
  for (const [what, bytes] of sends) {
    const client = await RawClient.open(stack.proxyPort);
    client.write(startupPacket({ user: USER }));
    await client.until((messages) => messages.some(({ type }) => type === "R"));
    client.write(bytes);
    const answers = await client.until((messages) => messages.some(({ type }) => type === "E"));
    const error = answers.find(({ type }) => type === "E");
    t.match(error === undefined ? "none" : errorField(error, "C"), /^(08P01|28000)$/, what);
    client.socket.destroy();
  }
});

t.end();
