// A statement that the rules deny, everywhere in the protocol that one can stand, before a real server: the server does
// not see it, the client is told in its place, transactions and pipelines go on as after any error, the log says so.
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Postgres } from "@vitrine/cli";
import type pg from "pg";
import t from "tap";
import { errorField, type Message, type RawClient, send } from "./support/raw-client.ts";
import { login, recorded, told, trust, until } from "./support/sessions.ts";
import { DATABASE, Stack, startDatabase, statements, temporaryFolder } from "./support/stack.ts";

const RULES = `version: 1
rules:
  - {name: cards, action: deny, what: {reads: [public.cards], writes: [public.cards]}, hint: not here}
  - {name: trial, action: observe, what: {reads: [public.watched]}}
  - {name: few, action: allow, what: {class: read, reads: [public.many]}, limits: {rows: 5}}
  - {name: rare, action: allow, what: {class: read, reads: [public.seldom]}, limits: {statements_per_minute: 2}}
  - {name: thin, action: allow, what: {class: read, reads: [public.wide]}, limits: {bytes: 250}}
  - {name: often, action: allow, what: {class: read, reads: [public.often]}, limits: {statements_per_minute: 2}}
  - {name: path, action: allow, what: {class: read, reads: [public.*, pg_catalog.*]}}
  - {name: rest, action: allow, what: {class: [session, write, copy, ddl], writes: [public.*], reads: [public.*]}}
`;

const folder = temporaryFolder("rules");
let database: Postgres;
let stack: Stack;
let owner: pg.Client;

t.before(async () => {
  database = await startDatabase(folder);
  await trust(database, folder);
  owner = await database.connect(DATABASE);
  await owner.query(`
    CREATE TABLE cards (number text); INSERT INTO cards VALUES ('4111');
    CREATE TABLE kept (a int); CREATE TABLE watched (a int); CREATE TABLE seldom (a int);
    CREATE TABLE often (a int); CREATE TABLE wide AS SELECT repeat('x', 83) a FROM generate_series(1, 100000);
    CREATE TABLE many AS SELECT generate_series(1, 100000) a;
    CREATE TABLE five AS SELECT 1 a; CREATE TABLE noise (a int);
    CREATE SCHEMA hr; CREATE TABLE hr.kept (a int); INSERT INTO hr.kept VALUES (7);
    GRANT ALL ON SCHEMA hr TO raw, alice; GRANT ALL ON ALL TABLES IN SCHEMA public, hr TO raw, alice`);
  stack = await (await Stack.create(database, { rules: RULES })).start();
});

t.after(async () => {
  await owner?.end();
  await stack?.destroy();
  await database?.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** Types of the messages, an ErrorResponse with its SQLSTATE, ReadyForQuery with its status. */
function shown(messages: readonly Message[]): string {
  return messages
    .filter(({ type }) => type !== "S" && type !== "N")
    .map((one) => {
      if (one.type === "E") return `E${errorField(one, "C")}`;
      return one.type === "Z" ? `Z${one.bytes.toString("latin1", 5)}` : one.type;
    })
    .join(" ");
}

async function ask(client: RawClient, ready: number, ...parts: Buffer[]): Promise<string> {
  client.write(...parts);
  return shown(await client.ready(ready));
}

const DENIED = "SELECT * FROM cards";

t.test("wherever it stands: simple, extended, pipelines, transactions", async (t) => {
  const cases: [string, number, Buffer[], string][] = [
    ["a Query", 1, [send.query(DENIED)], "E42501 ZI"],
    ["whole strings", 1, [send.query(`INSERT INTO kept VALUES (1); ${DENIED}; SELECT 1`)], "E42501 ZI"],
    ["a CTE that writes", 1, [send.query("WITH x AS (DELETE FROM cards RETURNING *) SELECT * FROM x")], "E42501 ZI"],
    ["DO", 1, [send.query("DO 'begin delete from cards; end'")], "E42501 ZI"],
    ["what is no SQL", 1, [send.query("SELEC")], "E42501 ZI"],
    ["COPY", 1, [send.query("COPY cards TO STDOUT")], "E42501 ZI"],
    ["COPY of a query", 1, [send.query("COPY (SELECT * FROM cards) TO STDOUT")], "E42501 ZI"],
    [
      "COPY FROM, with data sent ahead",
      2,
      [send.query("COPY cards FROM STDIN"), send.copyData("1\n"), send.copyDone(), send.query("SELECT 1")],
      "E42501 ZI T D C ZI",
    ],
    [
      "a transaction",
      5,
      ["BEGIN", "INSERT INTO kept VALUES (2)", DENIED, "SELECT 1", "COMMIT"].map(send.query),
      "C ZT C ZT E42501 ZE E25P02 ZE C ZI",
    ],
    [
      "a savepoint",
      6,
      ["BEGIN", "SAVEPOINT a", DENIED, "ROLLBACK TO a", "SELECT 1", "COMMIT"].map(send.query),
      "C ZT C ZT E42501 ZE C ZT T D C ZT C ZI",
    ],
    ["queries behind one another", 3, ["SELECT 1", DENIED, "SELECT 2"].map(send.query), "T D C ZI E42501 ZI T D C ZI"],
    [
      "Parse to Execute",
      1,
      [send.parse(DENIED), send.bind(), send.describe("P"), send.execute(), send.sync()],
      "E42501 ZI",
    ],
    [
      "a pipeline in one segment: what stands before is rolled back, what stands behind skipped",
      1,
      [
        send.parse("INSERT INTO kept VALUES (3)"),
        ...[send.bind(), send.execute(), send.parse(DENIED), send.bind(), send.execute()],
        ...[send.parse("INSERT INTO kept VALUES (4)"), send.bind(), send.execute(), send.sync()],
      ],
      "1 2 C E42501 ZI",
    ],
    [
      "a pipeline of segments",
      3,
      [
        ...[send.parse("SELECT 1"), send.bind(), send.execute(), send.sync()],
        ...[send.parse(DENIED), send.bind(), send.execute(), send.sync()],
        ...[send.parse("SELECT 2"), send.bind(), send.execute(), send.sync()],
      ],
      "1 2 D C ZI E42501 ZI 1 2 D C ZI",
    ],
    [
      "an error before it: it is skipped, and no denial is told",
      2,
      [send.parse("SELECT 1/0"), send.bind(), send.parse(DENIED), send.sync(), send.query("SELECT 1")],
      "1 E22012 ZI T D C ZI",
    ],
    ["Flush: the denial is told at once", 1, [send.parse(DENIED), send.flush(), send.sync()], "E42501 ZI"],
    ["a FunctionCall", 2, [send.functionCall(1397, ["1"]), send.query("SELECT 1")], "E42501 ZI T D C ZI"],
    ["a large FunctionCall", 1, [send.functionCall(1397, ["x".repeat(9_000_000)])], "E42501 ZI"],
    ["nothing", 1, [send.query("")], "I ZI"],
    ["nothing, prepared", 1, [send.parse(""), send.bind(), send.execute(), send.sync()], "1 2 I ZI"],
  ];
  const client = await login(stack.proxyPort, "everywhere");
  for (const [name, ready, parts, expected] of cases) t.equal(await ask(client, ready, ...parts), expected, name);
  t.equal(await ask(client, 1, send.parse("SELECT 1"), send.parse(DENIED, "n"), send.sync()), "1 E42501 ZI");
  t.equal(await ask(client, 1, send.bind(), send.execute(), send.sync()), "2 D C ZI", "the unnamed statement lives on");
  client.write(send.parse("SELECT 1"), send.sync(), send.functionCall(1397, ["1"]));
  t.equal(shown(await client.ready(2)), "1 ZI E42501 ZI");
  t.equal(await ask(client, 1, send.bind(), send.execute(), send.sync()), "2 D C ZI", "after a FunctionCall as well");
  await client.end();
  t.equal((await owner.query("SELECT count(*)::int n FROM kept")).rows[0].n, 0, "nothing came of them");
  t.equal((await owner.query("SELECT count(*)::int n FROM cards")).rows[0].n, 1);
  const { all, end } = await recorded(stack, "everywhere");
  const denied = statements(all).filter(({ outcome }) => outcome === "denied");
  t.ok(denied.every(({ sqlstate, error, rule }) => sqlstate === "42501" && error !== undefined && rule !== undefined));
  t.equal(denied.length, 19);
  t.equal(end.failed, statements(all).filter(({ outcome }) => outcome !== "completed").length);
});

t.test("a denial is told at once, without a Sync or a Flush behind it", async (t) => {
  const client = await login(stack.proxyPort, "at once");
  const heard = async (...parts: Buffer[]): Promise<string> => {
    client.write(...parts);
    return shown(await client.until((seen) => seen.some(({ type }) => type === "E")));
  };
  t.equal(await heard(send.parse(DENIED)), "E42501");
  t.equal(
    await ask(client, 1, send.bind(), send.execute(), send.sync()),
    "ZI",
    "and the rest of its segment is skipped",
  );
  const run = [send.parse("SELECT 1"), send.bind(), send.execute()];
  t.equal(await heard(...run, send.parse(DENIED)), "1 2 D C E42501", "with what came before it");
  t.equal(await ask(client, 2, send.query("SELECT 'skipped'"), send.sync(), send.query("SELECT 1")), "ZI T D C ZI");
  await client.end();
  const { all } = await recorded(stack, "at once");
  t.same(statements(all).map(told), [
    "SELECT denied 42501",
    "SELECT completed",
    "SELECT denied 42501",
    "SELECT completed",
  ]);
});

t.test("pipelines at random: as if the server itself had refused", async (t) => {
  const proxied = await login(stack.proxyPort, "random");
  const direct = await login(database.port, "random");
  const texts = [DENIED, DENIED, "SELECT 1", "INSERT INTO noise VALUES (9)", "BEGIN", "ROLLBACK", "SELECT 1/0", ""];
  let seed = 7;
  const pick = <T>(list: readonly T[]): T => {
    seed = (seed * 48271) % 2147483647;
    return list[seed % list.length]!;
  };
  type Step = (refused: string) => Buffer;
  const sql = (text: string, refused: string): string => (text === DENIED ? refused : text);
  for (let run = 0; run < 60; run++) {
    const steps: Step[] = [];
    let ready = 0;
    const segments = 1 + (run % 3);
    for (let i = 0; i < segments; i++) {
      for (let k = 0; k < 1 + (run % 4); k++) {
        const text = pick(texts);
        const name = pick(["", "", "a", "b"]);
        const kind = pick(["parse", "run", "run", "bind", "close", "flush"]);
        if (kind === "parse" || kind === "run") steps.push((refused) => send.parse(sql(text, refused), name));
        if (kind === "bind" || kind === "run") steps.push(() => Buffer.concat([send.bind([], name), send.execute()]));
        if (kind === "close") steps.push(() => send.close("S", name));
        if (kind === "flush") steps.push(() => send.flush());
      }
      const text = pick(texts);
      const last = pick(["sync", "query"]);
      // A Query behind an error is skipped: the Sync behind it is what is answered for certain.
      if (last === "query") steps.push((refused) => Buffer.concat([send.sync(), send.query(sql(text, refused))]));
      else steps.push(() => send.sync());
      ready += last === "query" ? 2 : 1;
    }
    const both = await Promise.all([
      ask(proxied, ready, ...steps.map((step) => step(DENIED))),
      ask(direct, ready, ...steps.map((step) => step("refused"))),
    ]);
    const [got, expected] = [both[0], both[1].replaceAll("E42601", "E42501")];
    if (got !== expected) t.equal(got, expected, `run ${run}`);
    const ends = await Promise.all(
      [proxied, direct].map((one) => ask(one, 2, send.query("ROLLBACK"), send.query("DEALLOCATE ALL"))),
    );
    if (ends[0] !== ends[1]) t.equal(ends[0], ends[1], `after run ${run}`);
  }
  await Promise.all([proxied.end(), direct.end()]);
  const { all, end } = await recorded(stack, "random");
  t.equal(end.reason, "client-terminated");
  t.ok(statements(all).filter(({ outcome }) => outcome === "denied").length > 20);
});

t.test("what the client reads, byte by byte as well as at once", async (t) => {
  const client = await login(stack.proxyPort, "told");
  client.write(send.query(DENIED));
  const [error] = await client.ready();
  const fields = ["S", "V", "C", "M", "D", "H", "R"].map((field) => errorField(error!, field));
  t.same(fields, [
    ...["ERROR", "ERROR", "42501", "the access rules do not permit this statement"],
    ...['rule "cards": read of cards', "not here", "vitrine"],
  ]);
  await client.writeSlowly(Buffer.concat([send.parse(DENIED), send.bind(), send.execute(), send.sync()]), 1);
  t.equal(shown(await client.ready()), "E42501 ZI");
  await client.end();
});

t.test("node-postgres: the session lives on, also inside its own transaction", async (t) => {
  const client = await stack.client();
  await t.rejects(client.query(DENIED), { code: "42501", detail: 'rule "cards": read of cards', hint: "not here" });
  await t.rejects(client.query("SELECT * FROM cards WHERE number = $1", ["1"]), { code: "42501" });
  await t.rejects(client.query({ name: "p", text: DENIED }), { code: "42501" });
  t.same((await client.query("SELECT $1::int a", [3])).rows, [{ a: 3 }]);
  await client.query("BEGIN");
  await t.rejects(client.query(DENIED), { code: "42501" });
  await t.rejects(client.query("SELECT 1"), { code: "25P02" });
  await client.query("ROLLBACK");
  t.equal((await client.query("SELECT 1 a")).rows[0].a, 1);
  await client.end();
});

t.test("PREPARE and EXECUTE", async (t) => {
  const client = await login(stack.proxyPort, "prepared");
  const query = (sql: string): Promise<string> => ask(client, 1, send.query(sql));
  t.equal(await query(`PREPARE p AS ${DENIED}`), "E42501 ZI");
  t.equal(await query("PREPARE p AS SELECT 1"), "C ZI");
  t.equal(await query("EXECUTE p"), "T D C ZI");
  t.equal(await ask(client, 1, send.bind([], "p"), send.execute(), send.sync()), "2 D C ZI", "by the protocol");
  t.equal(await query("DEALLOCATE p; PREPARE p AS SELECT 2; EXECUTE p"), "C C T D C ZI");
  t.equal(await query("PREPARE q (xml) AS SELECT $1"), "C ZI");
  const reads = "EXECUTE q(query_to_xml('SELECT * FROM cards', true, true, ''))";
  const told = await owner.query(`PREPARE q (xml) AS SELECT $1; ${reads}`);
  t.match(JSON.stringify(told), /4111/, "as the server's answer shows");
  t.equal(await query(reads), "E42501 ZI", "what it is given reads the table");
  const explained = await owner.query(`EXPLAIN VERBOSE ${reads}`);
  t.match(JSON.stringify(explained.rows), /4111/, "and is computed to be explained");
  t.equal(await query(`EXPLAIN VERBOSE ${reads}`), "E42501 ZI");
  t.equal(await query("DEALLOCATE p"), "C ZI");
  t.equal(await query("EXECUTE p"), "E42501 ZI", "nothing is known of it");
  await client.end();
});

t.test("names follow the search_path, at Execute too", async (t) => {
  const client = await login(stack.proxyPort, "names");
  const run = [send.bind([], "k"), send.execute(), send.sync()];
  t.equal(await ask(client, 1, send.parse("SELECT * FROM kept", "k"), ...run), "1 2 C ZI");
  t.equal(await ask(client, 1, send.query("SET search_path = hr")), "C ZI");
  t.equal(await ask(client, 1, send.query("SELECT * FROM kept")), "E42501 ZI");
  t.equal(await ask(client, 1, ...run), "2 E42501 ZI", "prepared when it meant another table");
  t.equal(await ask(client, 1, send.query("SET search_path = public")), "C ZI");
  t.equal(await ask(client, 1, ...run), "2 C ZI");
  t.equal(await ask(client, 2, send.query("SET search_path = hr"), send.query("SELECT * FROM kept")), "C ZI E42501 ZI");
  t.equal(await ask(client, 1, send.query("RESET search_path")), "C ZI");
  t.equal(
    await ask(client, 3, ...["BEGIN", "SET LOCAL search_path = hr", "ROLLBACK"].map(send.query)),
    "C ZT C ZT C ZI",
  );
  t.equal(await ask(client, 1, send.query("SELECT * FROM kept")), "T C ZI");
  await client.end();
});

t.test(
  "trap 48: a portal is what was bound, whatever the search_path is when it is executed or fetched from",
  async (t) => {
    const client = await login(stack.proxyPort, "portals");
    const path = (schema: string): Promise<string> => ask(client, 1, send.query(`SET search_path = ${schema}`));
    const bind = [send.bind([], "k", "c"), send.sync()];
    const uses = [[send.execute("c"), send.sync()], [send.query("FETCH ALL FROM c")]];
    for (const use of uses) {
      t.equal(await ask(client, 1, send.query("BEGIN")), "C ZT");
      t.equal(await ask(client, 1, send.parse("SELECT a FROM kept", "k"), ...bind), "1 2 ZT");
      t.match(await ask(client, 1, ...use), /^(T )?C ZT$/, "nobody has changed the path: public.kept, which is empty");
      t.equal(await ask(client, 1, send.close("P", "c"), send.sync()), "3 ZT");
      t.equal(await path("hr"), "C ZT");
      t.equal(await ask(client, 1, ...bind), "2 ZT", "hr.kept, which has a row");
      t.equal(await path("public"), "C ZT");
      t.equal(await ask(client, 1, ...use), "E42501 ZE");
      t.equal(await ask(client, 1, send.query("ROLLBACK")), "C ZI");
      t.equal(await ask(client, 1, send.query("DEALLOCATE ALL")), "C ZI");
    }
    await client.end();
    const { all } = await recorded(stack, "portals");
    t.same(
      statements(all)
        .filter(({ outcome }) => outcome === "denied")
        .map(told),
      ["SELECT denied 42501", "FETCH denied 42501"],
    );
  },
);

t.test("limits: statements a minute, and rows", async (t) => {
  const client = await login(stack.proxyPort, "limits");
  const query = (sql: string): Promise<string> => ask(client, 1, send.query(sql));
  t.equal(await query("SELECT * FROM seldom"), "T C ZI");
  t.equal(
    await ask(client, 1, send.parse("SELECT * FROM seldom"), send.bind(), send.execute(), send.sync()),
    "1 2 C ZI",
  );
  t.equal(await query("SELECT * FROM seldom"), "E42501 ZI");

  t.equal(await query("SELECT * FROM many LIMIT 5"), "T D D D D D C ZI");
  t.equal(await query("SELECT * FROM many LIMIT 6"), "T D D D D D E42501 ZI", "it ends before it is cancelled");
  t.equal(await query("SELECT * FROM many"), "T D D D D D E42501 ZI");
  t.equal(await query("SELECT a.a FROM many a, many b"), "T D D D D D E42501 ZI", "it never ends by itself");
  const extended = (sql: string): Buffer[] => [send.parse(sql), send.bind(), send.execute()];
  t.equal(
    await ask(
      client,
      2,
      ...extended("SELECT * FROM many LIMIT 9"),
      ...extended("SELECT 1"),
      send.sync(),
      send.query("SELECT 1"),
    ),
    "1 2 D D D D D E42501 ZI T D C ZI",
    "what stands behind it in its segment is not told",
  );
  t.equal(await query("SELECT 1"), "T D C ZI");

  // What has returned too much is over, though its portal is still there for the server.
  const portal = [send.parse("SELECT * FROM many"), send.bind([], "", "c"), send.sync()];
  const more = (rows: number): Buffer[] => [send.execute("c", rows), send.sync()];
  t.equal(await ask(client, 2, send.query("BEGIN"), ...portal), "C ZT 1 2 ZT");
  t.equal(await ask(client, 1, ...more(3)), "D D D s ZT");
  t.equal(await ask(client, 1, ...more(3)), "D D E42501 ZT", "the server has ended the piece before it is cancelled");
  t.match(await ask(client, 1, ...more(3)), /^E42501 Z[TE]$/);
  t.equal(await ask(client, 3, send.query("ROLLBACK"), send.query("BEGIN"), ...portal), "C ZI C ZT 1 2 ZT");
  const pieces = Array.from({ length: 6 }, () => more(2)).flat();
  t.equal(await ask(client, 6, ...pieces), `D D s ZT D D s ZT D E42501 ZT${" E42501 ZT".repeat(3)}`);
  t.equal(await query("ROLLBACK"), "C ZI");
  await client.end();
  const { all } = await recorded(stack, "limits");
  const many = statements(all).filter(({ rule, relations }) => rule === "few" && (relations as []).length > 0);
  t.same(
    many.map(({ outcome, rows }) => `${outcome} ${rows}`),
    ["completed 5", ...Array(5).fill("denied 5"), "denied 0", "denied 5", ...Array(3).fill("denied 0")],
  );
});

t.test("limits: bytes, and statements a minute in one pipeline", async (t) => {
  const client = await login(stack.proxyPort, "bytes");
  const query = (sql: string): Promise<string> => ask(client, 1, send.query(sql));
  const extended = (sql: string): Buffer[] => [send.parse(sql), send.bind(), send.execute()];
  t.equal(await query("SELECT a FROM wide LIMIT 2"), "T D D C ZI");
  t.equal(await query("SELECT a FROM wide LIMIT 3"), "T D D E42501 ZI");
  t.equal(await ask(client, 1, ...extended("SELECT a FROM wide"), send.sync()), "1 2 D D E42501 ZI");
  const often = extended("SELECT * FROM often");
  t.equal(await ask(client, 1, ...often, ...often, ...often, ...often, send.sync()), "1 2 C 1 2 C 1 2 E42501 ZI");
  t.equal(await query("SELECT 1"), "T D C ZI");
  await client.end();
  const { all } = await recorded(stack, "bytes");
  t.same(
    statements(all).map(({ rule, outcome, rows }) => `${rule} ${outcome} ${rows}`),
    [
      ...["thin completed 2", "thin denied 2", "thin denied 2"],
      ...["often completed 0", "often completed 0", "often denied 0", "few completed 1"],
    ],
  );
});

t.test("traps 43 and 50: a function as a column, and what tells without rows, before a real server", async (t) => {
  const file = "SELECT ('PG_VERSION'::text).pg_read_file AS version";
  t.match((await owner.query(file)).rows[0].version, /^\d+/, "PostgreSQL takes it for a call");
  const client = await login(stack.proxyPort, "covert");
  t.equal(await ask(client, 1, send.query(file)), "E42501 ZI");
  const told: [string, string, string, string[]][] = [
    ["EXPLAIN SELECT * FROM kept", "EXPLAIN", "read", []],
    ["NOTIFY a, 'x'", "NOTIFY", "write", []],
    ["SELECT pg_try_advisory_lock(4111)", "SELECT", "session", ["pg_try_advisory_lock"]],
    ["SELECT lo_create(0)", "SELECT", "write", ["lo_create"]],
  ];
  for (const [sql] of told) t.match(await ask(client, 1, send.query(sql)), /C ZI$/, sql);
  await client.end();
  const { all } = await recorded(stack, "covert");
  t.same(
    statements(all).map(({ operation, class: kind, functions, outcome }) => [operation, kind, functions, outcome]),
    [
      ["SELECT", "admin", ["pg_read_file"], "denied"],
      ...told.map(([, operation, kind, functions]) => [operation, kind, functions, "completed"]),
    ],
  );
});

t.test("what is allowed says by which rule, and what a trial rule would have done", async (t) => {
  const client = await login(stack.proxyPort, "allowed");
  for (const sql of ["SELECT * FROM watched", "BEGIN", "COMMIT", "SELECT 1"]) await ask(client, 1, send.query(sql));
  await client.end();
  const { all } = await recorded(stack, "allowed");
  t.same(
    statements(all).map(({ rule, would_deny }) => [rule, would_deny]),
    [
      ["path", "trial"],
      [undefined, undefined],
      [undefined, undefined],
      ["few", undefined],
    ],
  );
});

t.test("a change counts for sessions that are there, once the log has it; a bad one changes nothing", async (t) => {
  const client = await login(stack.proxyPort, "reload");
  const file = join(stack.folder, "rules.yaml");
  t.equal(await ask(client, 1, send.parse("SELECT * FROM five", "f"), send.sync()), "1 ZI");
  writeFileSync(file, "version: 2\n");
  await until("it is told", () => stack.proxy.output.includes("stay as they were"));
  const run = [send.bind([], "f"), send.execute(), send.sync()];
  t.equal(await ask(client, 1, ...run), "2 D C ZI");
  writeFileSync(file, RULES.replace("reads: [public.cards]", "reads: [public.five]"));
  process.kill(stack.proxy.pid!, "SIGHUP");
  await until("it is told", () => /access rules [0-9a-f]{16}: 8 in force/.test(stack.proxy.output));
  t.equal(await ask(client, 1, ...run), "2 E42501 ZI", "prepared before");
  t.equal(await ask(client, 1, send.query("SELECT number FROM cards")), "T D C ZI");
  writeFileSync(file, RULES);
  await until("it is seen without a signal", async () => (await ask(client, 1, ...run)) === "2 D C ZI");
  await client.end();
  const { all } = await recorded(stack, "reload");
  const [first, second, third, ...later] = statements(all).map(told);
  t.same(
    [first, second, third, later.at(-1)],
    [...["SELECT completed", "SELECT denied 42501", "SELECT completed"], "SELECT completed"],
  );
  const entries = await stack.entries();
  const changes = entries.filter(({ kind }) => kind === "rules.change");
  t.equal(changes.length, 3);
  t.equal(changes[1]?.previous_rules, changes[0]?.rules);
  t.same([changes[2]?.previous_rules, changes[2]?.rules], [changes[1]?.rules, changes[0]?.rules]);
});

t.test("an auditor accepts all of it", async (t) => {
  await stack.proxy.end("SIGTERM");
  const audit = await stack.verifier("audit", "--all", "--json");
  t.equal(audit.code, 0, audit.stdout + audit.stderr);
});
t.end();
