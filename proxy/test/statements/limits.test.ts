import t from "tap";
import { Analyzer, type Statement } from "../../src/statements/index.ts";

type Assertions = Pick<typeof t, "equal" | "match">;

const analyzer = await Analyzer.load({ maxBytes: 1_000_000, maxTokens: 20_000 });
const bytes = (sql: string): Buffer => Buffer.from(sql);

function unknown(t: Assertions, found: readonly Statement[], why: string): void {
  t.equal(found.length, 1);
  t.match(found[0], {
    class: "unknown",
    complete: false,
    incomplete: why,
    provenRead: false,
    relations: [],
    functions: [],
  });
}

t.test("texts over the limit are not looked at", async (t) => {
  const text = Buffer.alloc(1_000_001, "x");
  unknown(t, analyzer.analyze(text, "utf8"), "too-large");
  t.same([analyzer.analyze(text, "utf8")[0]?.start, analyzer.analyze(text, "utf8")[0]?.end], [0, text.length]);
});

t.test("texts of too many tokens are not parsed", async (t) => {
  unknown(t, analyzer.analyze(bytes(`SELECT a${", a".repeat(40_000)}`), "utf8"), "too-large");
  unknown(t, analyzer.analyze(bytes("SELECT 1; ".repeat(20_000)), "utf8"), "too-large");
  unknown(t, analyzer.analyze(bytes(`/* x */ INSERT INTO t VALUES (1)${", (1)".repeat(40_000)}`), "utf8"), "too-large");
  const rows = analyzer.analyze(bytes(`INSERT INTO t VALUES (1)${", (1)".repeat(40_000)}`), "utf8");
  t.match(rows, [{ operation: "INSERT", complete: true }], "but rows of one shape are two rows");
  const literal = analyzer.analyze(bytes(`INSERT INTO t VALUES ('${"a b ".repeat(100_000)}')`), "utf8");
  t.match(literal, [{ operation: "INSERT", complete: true }], "and a string is one token");
});

t.test("a statement with more names than an entry can hold is unknown", async (t) => {
  const names = Array.from({ length: 3000 }, (_, i) => `relation_${i}`).join(", ");
  const found = analyzer.analyze(bytes(`SELECT * FROM ${names}`), "utf8");
  unknown(t, found, "too-large");
  t.equal(found[0]?.operation, "SELECT");
});

t.test("bytes that are not in the encoding", async (t) => {
  unknown(t, analyzer.analyze(Buffer.from("SELECT '\xe9'", "latin1"), "utf8"), "encoding");
  unknown(t, analyzer.analyze(Buffer.from("SELECT '\xe9' FROM t WHERE a = 1", "latin1"), "utf8"), "encoding");
  unknown(t, analyzer.analyze(Buffer.from("SELECT \xe9", "latin1"), "utf8"), "encoding");
  unknown(t, analyzer.analyze(bytes("SELECT 'é' FROM u"), "other"), "encoding");
  t.match(analyzer.analyze(bytes("SELECT 'é' FROM u"), "utf8"), [{ class: "read" }]);
  unknown(t, analyzer.analyze(bytes("SELECT 'é' FROM u"), "other"), "encoding");
  t.match(
    analyzer.analyze(bytes("SELECT 'e' FROM u"), "other"),
    [{ class: "read" }],
    "ASCII is the same in all of them",
  );
  t.match(analyzer.analyze(bytes("SELECT 'é' FROM v WHERE a = 2"), "utf8"), [{ class: "read" }]);
  const twin = Buffer.from("SELECT '\xe9' FROM v WHERE a = 3", "latin1");
  unknown(t, analyzer.analyze(twin, "utf8"), "encoding");
  const rows = (value: string): Buffer =>
    Buffer.from(`INSERT INTO v VALUES ${`('${value}'), `.repeat(5000)}('x')`, "latin1");
  t.match(analyzer.analyze(rows("y"), "utf8"), [{ class: "write" }]);
  unknown(t, analyzer.analyze(rows("\xe9"), "utf8"), "encoding");
  // In SJIS the second byte of this character is a backslash.
  unknown(
    t,
    analyzer.analyze(Buffer.from([...bytes("SELECT '"), 0x83, 0x5c, ...bytes("' FROM t")]), "other"),
    "encoding",
  );
});

t.test("names beyond ASCII, where the database is in another encoding", async (t) => {
  const said = (sql: string): string[] =>
    analyzer
      .analyze(bytes(sql), "strings")
      .map((one) => `${one.class} ${one.relations.map(({ name }) => name).join()}`);
  t.same(said("SELECT 'é', \"a\" FROM t"), ["read t"]);
  t.same(said("SELECT 'é' FROM t WHERE a = 7; DELETE FROM u"), ["read t", "write u"]);
  t.same(said("INSERT INTO t VALUES ($1, 'é' || 'é''é') -- é\n, 1.5"), ["unknown "], "rejected, as in any encoding");
  t.same(said("SELECT a-1, a/2, a&b, a$b, 1e5, $1 -- é\n, 'é' /* é /* */ é */ FROM t"), ["read t"]);
  const names = [
    "SELECT é",
    'SELECT "é"',
    "SELECT é'a'",
    "SELECT E'é'",
    "SELECT $$é$$",
    "SELECT $é$a$é$",
    'SELECT U&"é"',
  ];
  for (const sql of [
    ...names,
    "SELECT U&'é'",
    "SELECT 'é",
    "SELECT 'é', \"",
    "SELECT 1 /* é */ */ é",
    "SELECT currval('é')",
  ])
    unknown(t, analyzer.analyze(bytes(sql), "strings"), "encoding");
});

t.test("a NUL ends nothing", async (t) => {
  unknown(t, analyzer.analyze(bytes("SELECT 1\0; DROP TABLE t"), "utf8"), "syntax");
  unknown(t, analyzer.analyze(bytes("\0"), "utf8"), "syntax");
});

t.test("backslashes when standard_conforming_strings is off", async (t) => {
  const sql = bytes("SELECT 'a\\'; DELETE FROM t; --'");
  t.equal(analyzer.analyze(sql, "utf8").length, 2, "on: the string ends before the semicolon");
  unknown(t, analyzer.analyze(sql, "utf8", false), "analysis");
  t.match(analyzer.analyze(bytes("SELECT 'a'"), "utf8", false), [{ class: "read" }]);
});

/** Waits for another instance of the grammar, as long as the test may take. */
async function recovered(analyzer: Analyzer, table: string): Promise<readonly Statement[]> {
  for (;;) {
    const found = analyzer.analyze(bytes(`SELECT a FROM ${table}`), "utf8");
    if (found[0]?.incomplete !== "analysis") return found;
    await new Promise((resolve) => setImmediate(resolve));
  }
}

t.test("nesting beyond what can be parsed is unknown, and the next text is understood", async (t) => {
  const deep: readonly [string, string][] = [
    ["parentheses", `SELECT ${"(".repeat(20_000)}1${")".repeat(20_000)}`],
    ["sums", `SELECT ${"1+".repeat(50_000)}1`],
    ["subqueries", `SELECT ${"(SELECT ".repeat(3_000)}1${")".repeat(3_000)}`],
    ["CASE", `SELECT ${"CASE WHEN ".repeat(5_000)}1${" THEN 1 END".repeat(5_000)}`],
    ["arrays", `SELECT ${"ARRAY[".repeat(5_000)}1${"]".repeat(5_000)}`],
    ["unions", `SELECT 1${" UNION SELECT 1".repeat(60_000)}`],
  ];
  const analyzer = await Analyzer.load();
  const exitCode = process.exitCode;
  for (const [name, sql] of deep) {
    const found = analyzer.analyze(bytes(sql), "utf8");
    if (found[0]?.incomplete === undefined)
      t.match(found, [{ operation: "SELECT", class: "read" }], `${name} survived`);
    else unknown(t, found, "analysis");
    t.match(await recovered(analyzer, `after_${name}`), [{ class: "read", complete: true }], `after ${name}`);
    t.equal(process.exitCode, exitCode, "the C library's exit() does not become ours");
  }
  unknown(t, analyzer.analyze(bytes(deep[0]![1]), "utf8"), "analysis");
  unknown(t, analyzer.analyze(bytes(deep[2]![1]), "utf8"), "analysis");
});

t.test("many bad texts in a row leave the analyzer as it was", async (t) => {
  const analyzer = await Analyzer.load();
  const bad = bytes(`SELECT ${"(SELECT ".repeat(3_000)}1${")".repeat(3_000)}`);
  for (let i = 0; i < 30; i++) {
    unknown(t, analyzer.analyze(bad, "utf8"), "analysis");
    await new Promise((resolve) => setImmediate(resolve));
  }
  t.match(await recovered(analyzer, "t"), [{ class: "read", complete: true }]);
});

t.test("what is remembered stays within the bound", async (t) => {
  const analyzer = await Analyzer.load({ cacheBytes: 100_000 });
  for (let i = 0; i < 2_000; i++) {
    analyzer.analyze(bytes(`SELECT * FROM t${i}`), "utf8");
    analyzer.analyze(bytes(`SELECT 1 FROM t${i}`), "utf8");
  }
  t.ok(analyzer.cachedBytes <= 100_000, `${analyzer.cachedBytes}`);
  t.ok(analyzer.cachedBytes >= 40_000, "and is used");
  const none = await Analyzer.load({ cacheBytes: 0 });
  t.same(none.analyze(bytes("SELECT 1"), "utf8"), none.analyze(bytes("SELECT 1"), "utf8"));
  t.equal(none.cachedBytes, 0);
});
