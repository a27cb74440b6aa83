import t from "tap";
import { Analyzer, type SessionEffect, type Statement } from "../../src/statements/index.ts";

const analyzer = await Analyzer.load();
const analyze = (sql: string): readonly Statement[] => analyzer.analyze(Buffer.from(sql), "utf8");
const only = (sql: string): Statement => {
  const statements = analyze(sql);
  if (statements.length !== 1) throw new Error(`${statements.length} statements in ${sql}`);
  return statements[0]!;
};

t.test("functions are listed as written, qualified when written so, each once", async (t) => {
  const cases: readonly [string, string[]][] = [
    ["SELECT lower(a), lower(b), public.f(1), PG_CATALOG.upper('x') FROM t", ["lower", "pg_catalog.upper", "public.f"]],
    ['SELECT "My Func"(1), "a.b".c(2), "say""it"()', ['"My Func"', '"a.b".c', '"say""it"']],
    ['SELECT "lower"(1), LOWER(2)', ["lower"]],
    [
      "SELECT * FROM generate_series(1, 2), LATERAL unnest(a) WHERE f(g(h()))",
      ["f", "g", "generate_series", "h", "unnest"],
    ],
    [
      "SELECT trim(a), extract(year FROM b), c AT TIME ZONE 'UTC'",
      ["pg_catalog.btrim", "pg_catalog.extract", "pg_catalog.timezone"],
    ],
    ["CALL s.p(now())", ["now", "s.p"]],
    ["CREATE TRIGGER x BEFORE INSERT ON t EXECUTE FUNCTION audit.note()", ["audit.note"]],
    ["CREATE VIEW v AS SELECT f()", ["f"]],
    ["PREPARE p AS SELECT f()", ["f"]],
    ["COPY (SELECT f()) TO STDOUT", ["f"]],
    ["SELECT current_user, coalesce(a, b)", []],
  ];
  for (const [sql, functions] of cases) t.same(only(sql).functions, functions.sort(), sql);
});

t.test("relations are sorted by schema, name and access, and each stands once", async (t) => {
  t.same(only("INSERT INTO b.t SELECT * FROM b.t, a.z, z, a.z").relations, [
    { name: "z", access: "read" },
    { schema: "a", name: "z", access: "read" },
    { schema: "b", name: "t", access: "read" },
    { schema: "b", name: "t", access: "write" },
  ]);
  t.same(only("SELECT * FROM other.s.t").relations, [{ schema: "s", name: "t", access: "read" }]);
});

t.test("identifiers are cut where the server cuts them", async (t) => {
  t.equal(only(`SELECT * FROM ${"a".repeat(80)}`).relations[0]?.name, "a".repeat(63));
  const cut = only(`SELECT * FROM ${"é".repeat(40)}`).relations[0]?.name;
  t.equal(cut, "é".repeat(31), "and not within a character");
});

t.test("offsets are bytes, without white space around the statement", async (t) => {
  const sql = "  SELECT 'é' ;\n\t/* x */ INSERT INTO t VALUES ('ü') ; -- end\n";
  const bytes = Buffer.from(sql);
  t.same(
    analyze(sql).map(({ start, end, operation }) => [bytes.toString("utf8", start, end), operation]),
    [
      ["SELECT 'é'", "SELECT"],
      ["INSERT INTO t VALUES ('ü')", "INSERT"],
    ],
  );
  for (const [text, start, end] of [
    ["SELECT 1", 0, 8],
    ["\n SELECT 12 ; ", 2, 11],
    ["SELECT a FROM t  ", 0, 15],
    [" nonsense ", 1, 9],
  ] as const) {
    const found = only(text);
    t.same([found.start, found.end], [start, end], text);
    const again = only(text);
    t.same([again.start, again.end], [start, end], `${text}, remembered`);
  }
});

t.test("no statement in empty text", async (t) => {
  for (const sql of ["", " ", ";", " ; ;", "-- nothing", "/* nothing */;"]) t.same(analyze(sql), [], sql);
});

t.test("members are the facts as JSON, in one order", async (t) => {
  const facts = only("SELECT f() FROM s.t");
  t.equal(
    facts.members,
    '"operation":"SELECT","class":"function","relations":[{"schema":"s","name":"t","access":"read"}],' +
      `"functions":["f"],"fingerprint":"${facts.fingerprint}","complete":false,"incomplete":"opaque"`,
  );
  for (const sql of ["SELECT 1", "SELEC", 'SELECT * FROM "q""\u0001\u2028é"']) {
    const members = `{${only(sql).members}}`;
    t.equal(JSON.stringify(JSON.parse(members)), members, "compact form");
  }
});

t.test("fingerprints leave constants out, and each statement of a text has its own", async (t) => {
  t.match(only("SELECT 1").fingerprint, /^[0-9a-f]{16}$/);
  t.equal(only("SELECT * FROM t WHERE a = 1").fingerprint, only("SELECT * FROM t WHERE a = 'x'").fingerprint);
  t.not(only("SELECT * FROM t").fingerprint, only("SELECT * FROM u").fingerprint);
  t.same(
    analyze("SELECT a FROM t; DELETE FROM u").map((s) => s.fingerprint),
    [only("SELECT a FROM t").fingerprint, only("DELETE FROM u").fingerprint],
  );
});

t.test("effects on the session", async (t) => {
  const cases: readonly [string, SessionEffect | undefined][] = [
    ["BEGIN", { kind: "transaction", verb: "begin", chain: false }],
    ["START TRANSACTION", { kind: "transaction", verb: "begin", chain: false }],
    ["COMMIT AND CHAIN", { kind: "transaction", verb: "commit", chain: true }],
    ["ROLLBACK", { kind: "transaction", verb: "rollback", chain: false }],
    ["SAVEPOINT a", { kind: "transaction", verb: "savepoint", chain: false, name: "a" }],
    ["RELEASE a", { kind: "transaction", verb: "release", chain: false, name: "a" }],
    ["ROLLBACK TO a", { kind: "transaction", verb: "rollback-to", chain: false, name: "a" }],
    ["PREPARE TRANSACTION 'g'", { kind: "transaction", verb: "prepare", chain: false, name: "g" }],
    ["COMMIT PREPARED 'g'", { kind: "transaction", verb: "commit-prepared", chain: false, name: "g" }],
    ["ROLLBACK PREPARED 'g'", { kind: "transaction", verb: "rollback-prepared", chain: false, name: "g" }],
    ["EXECUTE p(1)", { kind: "execute", name: "p" }],
    ["DEALLOCATE p", { kind: "deallocate", name: "p" }],
    ["DEALLOCATE ALL", { kind: "deallocate" }],
    ["SET Search_Path TO a, 'B', c", { kind: "set", name: "search_path", local: false, value: "a, B, c" }],
    ["SET LOCAL x.y = 5", { kind: "set", name: "x.y", local: true, value: "5" }],
    ["SET x = on", { kind: "set", name: "x", local: false, value: "on" }],
    ["SET x TO DEFAULT", { kind: "set", name: "x", local: false }],
    ["SET NAMES 'latin1'", { kind: "set", name: "client_encoding", local: false, value: "latin1" }],
    ["SET ROLE admin", { kind: "set", name: "role", local: false, value: "admin" }],
    ["RESET x", { kind: "reset", name: "x" }],
    ["RESET ALL", { kind: "reset" }],
    ["DISCARD ALL", { kind: "discard", what: "all" }],
    ["DISCARD TEMPORARY", { kind: "discard", what: "temp" }],
    ["DECLARE c CURSOR WITH HOLD FOR SELECT 1", { kind: "declare", name: "c", hold: true }],
    ["DECLARE c CURSOR FOR SELECT 1", { kind: "declare", name: "c", hold: false }],
    ["FETCH NEXT FROM c", { kind: "fetch", name: "c" }],
    ["CLOSE c", { kind: "close", name: "c" }],
    ["CLOSE ALL", { kind: "close" }],
    ["LISTEN c", { kind: "listen", name: "c" }],
    ["UNLISTEN c", { kind: "unlisten", name: "c" }],
    ["UNLISTEN *", { kind: "unlisten" }],
    ["SELECT set_config('a.b', 'c', true)", { kind: "set-config", local: true }],
    ["SELECT set_config('a.b', 'c', true), set_config('a.b', 'c', false)", { kind: "set-config", local: false }],
    ["SELECT set_config('a.b', $1, $2)", { kind: "set-config", local: false }],
    ["CREATE TEMP TABLE t (a int)", { kind: "temporary" }],
    ["SELECT 1 INTO TEMP t", { kind: "temporary" }],
    ["CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS $$SELECT 1$$", { kind: "temporary" }],
    ["CREATE TABLE t (a int)", undefined],
    ["SELECT 'pg_temp' FROM pg_temp.t", undefined],
    ["SELECT 1", undefined],
  ];
  for (const [sql, effect] of cases) t.same(only(sql).effect, effect, sql);
});

t.test("what PREPARE prepares can be looked up by a later EXECUTE", async (t) => {
  const { effect } = only("PREPARE p AS DELETE FROM s.t WHERE f(a)");
  t.match(effect, {
    kind: "prepare",
    name: "p",
    inner: { operation: "DELETE", class: "function", functions: ["f"], complete: false, provenRead: false },
  });
});
