// What the server says is the same, byte by byte, through the proxy and without it; and each execution is one entry.
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Postgres } from "@vitrine/cli";
import t from "tap";
import { errorField, type Message, message, RawClient, send, startupPacket } from "./support/raw-client.ts";
import { schemaErrors } from "./support/schema.ts";
import { DATABASE, type Entry, Stack, startDatabase, statements, temporaryFolder } from "./support/stack.ts";

const folder = temporaryFolder("fidelity");
let database: Postgres;
let stack: Stack;

t.before(async () => {
  database = await startDatabase(folder);
  const admin = await database.connect("postgres");
  await admin.query("CREATE ROLE raw LOGIN");
  const hba = join(folder, "postgres", "pg_hba.conf");
  const rules = readFileSync(hba, "utf8");
  writeFileSync(hba, `host all raw 127.0.0.1/32 trust\n${rules}`);
  await admin.query("SELECT pg_reload_conf()");
  await admin.query(`GRANT ALL ON DATABASE ${DATABASE} TO raw`);
  await admin.end();
  const owner = await database.connect(DATABASE);
  await owner.query("GRANT ALL ON SCHEMA public TO raw");
  await owner.end();
  stack = await (await Stack.create(database)).start();
});

t.after(async () => {
  await stack?.destroy();
  await database?.stop();
  rmSync(folder, { recursive: true, force: true });
});

interface Script {
  readonly name: string;
  /** Rounds: what is sent at once, and how many ReadyForQuery it is answered with. */
  readonly rounds: readonly { readonly send: readonly Buffer[]; readonly ready: number; readonly wait?: string }[];
  /** Operation, outcome and SQLSTATE of the entries it makes, in order. */
  readonly entries: readonly string[];
}

const INT4PL = 177;

const SCRIPTS: readonly Script[] = [
  {
    name: "simple query",
    rounds: [{ send: [send.query("SELECT 1 AS one, 'two' AS two")], ready: 1 }],
    entries: ["SELECT completed"],
  },
  {
    name: "empty query, comment only",
    rounds: [{ send: [send.query(""), send.query(" -- nothing\n")], ready: 2 }],
    entries: [],
  },
  {
    name: "several statements in one string",
    rounds: [
      {
        send: [
          send.query(
            "CREATE TABLE several (a int); INSERT INTO several VALUES (1), (2); SELECT a + 0 AS a FROM several",
          ),
        ],
        ready: 1,
      },
    ],
    entries: ["CREATE TABLE completed", "INSERT completed", "SELECT completed"],
  },
  {
    name: "an error in the middle of a string ends it",
    rounds: [{ send: [send.query("SELECT 1; SELECT 1/0; SELECT 2")], ready: 1 }],
    entries: ["SELECT completed", "SELECT failed 22012"],
  },
  {
    name: "a syntax error",
    rounds: [{ send: [send.query("SELEC 1")], ready: 1 }],
    entries: ["UNKNOWN failed 42601"],
  },
  {
    name: "a transaction with an error inside",
    rounds: [
      { send: [send.query("BEGIN")], ready: 1 },
      { send: [send.query("SELECT nonsense")], ready: 1 },
      { send: [send.query("SELECT 1")], ready: 1 },
      { send: [send.query("ROLLBACK")], ready: 1 },
    ],
    entries: ["BEGIN completed", "SELECT failed 42703", "SELECT failed 25P02", "ROLLBACK completed"],
  },
  {
    name: "extended query, unnamed",
    rounds: [
      {
        send: [send.parse("SELECT $1::int + 1"), send.bind(["41"]), send.describe("P"), send.execute(), send.sync()],
        ready: 1,
      },
    ],
    entries: ["SELECT completed"],
  },
  {
    name: "a named statement, described, executed twice, closed",
    rounds: [
      { send: [send.parse("SELECT $1::text", "s1"), send.describe("S", "s1"), send.sync()], ready: 1 },
      {
        send: [
          send.bind(["a"], "s1"),
          send.execute(),
          send.bind([null], "s1"),
          send.execute(),
          send.close("S", "s1"),
          send.sync(),
        ],
        ready: 1,
      },
    ],
    entries: ["SELECT completed", "SELECT completed"],
  },
  {
    name: "a pipeline of several segments",
    rounds: [
      {
        send: [
          send.parse("SELECT 1"),
          send.bind(),
          send.execute(),
          send.sync(),
          send.parse("SELECT 2"),
          send.bind(),
          send.execute(),
          send.sync(),
          send.query("SELECT 3"),
        ],
        ready: 3,
      },
    ],
    entries: ["SELECT completed", "SELECT completed", "SELECT completed"],
  },
  {
    name: "an error in a pipeline skips everything up to Sync, a Query too",
    rounds: [
      {
        send: [
          send.parse("SELECT 1"),
          send.bind(),
          send.execute(),
          send.parse("SELECT 1/0"),
          send.bind(),
          send.execute(),
          send.parse("SELECT 'skipped'"),
          send.bind(),
          send.execute(),
          send.query("SELECT 'skipped too'"),
          send.sync(),
          send.query("SELECT 'after'"),
        ],
        ready: 2,
      },
    ],
    entries: ["SELECT completed", "SELECT failed 22012", "SELECT completed"],
  },
  {
    name: "an error while the pipeline is still being sent",
    rounds: [
      { send: [send.parse("SELECT nonsense"), send.flush()], ready: 0, wait: "E" },
      { send: [send.bind(), send.execute(), send.query("SELECT 1"), send.sync()], ready: 1 },
    ],
    entries: ["SELECT failed 42703"],
  },
  {
    name: "a Bind that fails",
    rounds: [
      { send: [send.parse("SELECT $1::int", "b1"), send.bind(["x"], "b1"), send.execute(), send.sync()], ready: 1 },
      { send: [send.bind(["1"], "no such"), send.execute(), send.sync()], ready: 1 },
    ],
    entries: ["SELECT failed 22P02", "UNKNOWN failed 26000"],
  },
  {
    name: "a name that is taken keeps the statement it names",
    rounds: [
      { send: [send.parse("SELECT 'first'", "taken"), send.sync()], ready: 1 },
      {
        send: [
          send.parse("DELETE FROM several", "taken"),
          send.sync(),
          send.bind([], "taken"),
          send.execute(),
          send.sync(),
        ],
        ready: 2,
      },
    ],
    entries: ["DELETE failed 42P05", "SELECT completed"],
  },
  {
    name: "what was skipped did not rename anything",
    rounds: [
      { send: [send.parse("SELECT 'kept'", "swap"), send.sync()], ready: 1 },
      {
        send: [
          send.parse("SELECT nonsense"),
          send.close("S", "swap"),
          send.parse("SELECT count(*) FROM several", "swap"),
          send.sync(),
          send.bind([], "swap"),
          send.execute(),
          send.sync(),
        ],
        ready: 2,
      },
    ],
    entries: ["SELECT failed 42703", "SELECT completed"],
  },
  {
    name: "a portal read in portions is one execution",
    rounds: [
      {
        send: [
          send.parse("SELECT generate_series(1, 5)"),
          send.bind(),
          send.execute("", 2),
          send.execute("", 2),
          send.execute("", 2),
          send.sync(),
        ],
        ready: 1,
      },
    ],
    entries: ["SELECT completed"],
  },
  {
    name: "a portal left half read ends with its transaction",
    rounds: [
      {
        send: [send.parse("SELECT generate_series(1, 5)"), send.bind(), send.execute("", 2), send.sync()],
        ready: 1,
      },
    ],
    entries: ["SELECT completed"],
  },
  {
    name: "COPY in, simple",
    rounds: [
      { send: [send.query("COPY several FROM STDIN")], ready: 0, wait: "G" },
      { send: [send.copyData("7\n"), send.copyData("8\n9\n"), send.copyDone()], ready: 1 },
    ],
    entries: ["COPY completed"],
  },
  {
    name: "COPY in, everything sent ahead",
    rounds: [
      {
        send: [
          send.query("COPY several FROM STDIN"),
          send.copyData("10\n"),
          send.copyDone(),
          send.query("SELECT count(*) FROM several"),
        ],
        ready: 2,
      },
    ],
    entries: ["COPY completed", "SELECT completed"],
  },
  {
    name: "COPY in, extended: the Sync sent ahead is swallowed",
    rounds: [
      {
        send: [send.parse("COPY several FROM STDIN"), send.bind(), send.execute(), send.sync()],
        ready: 0,
        wait: "G",
      },
      { send: [send.copyData("11\n"), send.flush(), send.copyDone(), send.sync()], ready: 1 },
    ],
    entries: ["COPY completed"],
  },
  {
    name: "COPY in that the client gives up",
    rounds: [
      { send: [send.query("COPY several FROM STDIN")], ready: 0, wait: "G" },
      { send: [send.copyData("12\n"), send.copyFail("changed my mind")], ready: 1 },
    ],
    entries: ["COPY cancelled 57014"],
  },
  {
    name: "COPY in with bad data: what follows is ignored",
    rounds: [
      { send: [send.query("COPY several FROM STDIN")], ready: 0, wait: "G" },
      { send: [send.copyData("not a number\n"), send.copyData("13\n"), send.copyDone()], ready: 1 },
      { send: [send.query("SELECT 1")], ready: 1 },
    ],
    entries: ["COPY failed 22P02", "SELECT completed"],
  },
  {
    name: "COPY out",
    rounds: [{ send: [send.query("COPY (SELECT generate_series(1, 3)) TO STDOUT")], ready: 1 }],
    entries: ["COPY completed"],
  },
  {
    name: "function call",
    rounds: [{ send: [send.functionCall(INT4PL, ["40", "2"])], ready: 1 }],
    entries: ["FUNCTION CALL completed"],
  },
  {
    name: "function call that fails",
    rounds: [{ send: [send.functionCall(INT4PL, ["40", "x"]), send.query("SELECT 1")], ready: 2 }],
    entries: ["FUNCTION CALL failed 22P02", "SELECT completed"],
  },
  {
    name: "notices and a notification",
    rounds: [
      { send: [send.query("LISTEN here; NOTIFY here, 'hello'")], ready: 1 },
      { send: [send.query("DO $$ BEGIN RAISE NOTICE 'seen'; END $$")], ready: 1 },
    ],
    entries: ["LISTEN completed", "NOTIFY completed", "DO completed"],
  },
  {
    name: "a deferred constraint fails at Sync",
    rounds: [
      {
        send: [
          send.query(
            "CREATE TABLE deferred (a int PRIMARY KEY, b int REFERENCES deferred DEFERRABLE INITIALLY DEFERRED)",
          ),
        ],
        ready: 1,
      },
      {
        send: [send.parse("INSERT INTO deferred VALUES (1, 2)"), send.bind(), send.execute(), send.sync()],
        ready: 1,
      },
    ],
    entries: ["CREATE TABLE completed", "INSERT completed", "COMMIT failed 23503"],
  },
  {
    name: "prepared by SQL and executed by name in the protocol",
    rounds: [
      { send: [send.query("PREPARE by_sql AS SELECT 5")], ready: 1 },
      { send: [send.bind([], "by_sql"), send.execute(), send.sync()], ready: 1 },
      { send: [send.query("EXECUTE by_sql"), send.query("DEALLOCATE by_sql")], ready: 2 },
    ],
    entries: ["PREPARE completed", "UNKNOWN completed", "EXECUTE completed", "DEALLOCATE completed"],
  },
  {
    name: "clean up",
    rounds: [{ send: [send.query("DROP TABLE several, deferred")], ready: 1 }],
    entries: ["DROP TABLE completed"],
  },
];

const withoutPids = (messages: readonly Message[]): string[] =>
  messages.map(({ type, bytes }) => (type === "A" ? "A" : `${type} ${bytes.subarray(5).toString("latin1")}`));

async function play(client: RawClient, script: Script, pieces?: number): Promise<string[]> {
  const heard: string[] = [];
  for (const round of script.rounds) {
    const bytes = Buffer.concat(round.send);
    if (pieces === undefined) client.write(bytes);
    else await client.writeSlowly(bytes, pieces);
    const messages =
      round.wait === undefined
        ? await client.ready(round.ready)
        : await client.until((seen) => seen.some(({ type }) => type === round.wait));
    heard.push(...withoutPids(messages));
  }
  return heard;
}

const login = (port: number, application: string): Promise<RawClient> =>
  RawClient.login(port, { user: "raw", database: DATABASE, application_name: application });

const told = ({ operation, outcome, sqlstate }: Entry): string =>
  [operation, outcome, ...(sqlstate === undefined ? [] : [sqlstate])].join(" ");

async function recorded(application: string): Promise<Entry[]> {
  const ended = (entries: readonly Entry[]): string | undefined => {
    const start = entries.find(
      (entry) =>
        entry.kind === "session.start" && (entry.client as { application: string }).application === application,
    );
    return entries.some((entry) => entry.kind === "session.end" && entry.session === start?.session)
      ? start?.session
      : undefined;
  };
  const entries = await stack.settled((all) => ended(all) !== undefined);
  const session = ended(entries);
  return entries.filter((entry) => entry.session === session);
}

t.test("the same bytes, and one entry an execution", async (t) => {
  for (const pieces of [undefined, 1, 7]) {
    const application = `fidelity ${pieces ?? "whole"}`;
    const direct = await login(database.port, application);
    const expected = new Map<string, string[]>();
    for (const script of SCRIPTS) expected.set(script.name, await play(direct, script));
    await direct.end();
    const proxied = await login(stack.proxyPort, application);
    for (const script of SCRIPTS) {
      t.same(await play(proxied, script, pieces), expected.get(script.name), `${script.name}, ${application}`);
    }
    await proxied.end();
    const entries = await recorded(application);
    t.same(
      statements(entries).map(told),
      SCRIPTS.flatMap(({ entries: wanted }) => wanted),
      `the entries of ${application}`,
    );
    t.same(
      statements(entries).map(({ n }) => n),
      statements(entries).map((_, i) => i + 1),
    );
    const end = entries.at(-1)!;
    t.match(end, {
      kind: "session.end",
      reason: "client-terminated",
      statements: statements(entries).length,
      failed: statements(entries).filter(({ outcome }) => outcome !== "completed").length,
      rows: statements(entries).reduce((sum, { rows }) => sum + (rows ?? 0), 0),
    });
  }
});

t.test("startup: encryption is refused with N, the protocol version is negotiated by the server", async (t) => {
  const client = await RawClient.open(stack.proxyPort);
  const answers: string[] = [];
  client.socket.prependListener("data", (chunk: Buffer) => answers.push(chunk.toString("latin1")));
  client.write(Buffer.from("0000000804d21630", "hex"));
  await new Promise((resolve) => client.socket.once("data", resolve));
  client.write(Buffer.from("0000000804d2162f", "hex"));
  await new Promise((resolve) => client.socket.once("data", resolve));
  t.same(answers, ["N", "N"]);
  client.socket.destroy();

  for (const version of [196610, 196608 + 99]) {
    const hear = async (port: number): Promise<string[]> => {
      const one = await RawClient.open(port);
      one.write(startupPacket({ user: "raw", database: DATABASE }, version));
      const messages = await one.ready();
      await one.end();
      return messages.filter(({ type }) => type !== "K").map(({ type, bytes }) => type + bytes.toString("latin1", 5));
    };
    t.same(await hear(stack.proxyPort), await hear(database.port), `protocol ${version}`);
  }
});

t.test("what cannot be passed on is refused with a clear error, and recorded", async (t) => {
  const refused = async (packet: Buffer): Promise<string> => {
    const client = await RawClient.open(stack.proxyPort);
    client.write(packet);
    const messages = await client.until(() => client.closed);
    return `${messages.map(({ type }) => type).join("")} ${messages[0] === undefined ? "" : errorField(messages[0], "C")}`;
  };
  const user = { user: "raw", database: DATABASE, application_name: "refusals" };
  t.equal(await refused(startupPacket({ ...user, replication: "true" })), "E 0A000");
  t.equal(await refused(Buffer.concat([startupPacket(user), send.query("SELECT 1")])), "E 08P01");
  t.equal(await refused(Buffer.concat([Buffer.from("0000000804d2162f", "hex"), Buffer.from("x")])), "E 08P01");
  t.equal(await refused(Buffer.from("160301", "hex")), " ");

  const unknown = await login(stack.proxyPort, "refusals");
  unknown.write(message("y", "?"));
  const [error] = await unknown.until(() => unknown.closed);
  t.equal(errorField(error!, "C"), "08P01");
  const entries = await recorded("refusals");
  t.equal(entries.at(-1)?.reason, "protocol-error");
  const all = await stack.entries();
  t.match(
    all.find((entry) => entry.kind === "access.refused" && entry.sqlstate === "0A000"),
    { by: "proxy", actor: { login: "raw" }, database: DATABASE },
  );
});

t.test("the audit passes over all of it", async (t) => {
  await stack.proxy.end("SIGTERM");
  t.same(schemaErrors(await stack.entries()), [], "every entry is as the schema says");
  const audit = await stack.verifier("audit");
  t.equal(audit.code, 0, audit.stdout + audit.stderr);
});

t.end();
