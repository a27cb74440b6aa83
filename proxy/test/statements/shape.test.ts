import assert from "node:assert/strict";
import fc from "fast-check";
import t from "tap";
import { Analyzer } from "../../src/statements/index.ts";
import { sample, shapeOf } from "../../src/statements/shape.ts";
import { EXPRESSION_PLACES, STATEMENT_PLACES } from "./constant-places.ts";
import { BYPASSES } from "./corpus/bypasses.ts";
import { QUERIES } from "./corpus/queries.ts";
import { WRITES } from "./corpus/writes.ts";
import { plain } from "./plain.ts";
import { property } from "./property.ts";

const shape = (sql: string): string | undefined => {
  const found = shapeOf(Buffer.from(sql));
  return found?.bytes.toString("utf8").replace(/[\x01-\x03]/g, (c) => "?ids"[c.charCodeAt(0)]!);
};

t.test("constants are taken out where they cannot be mistaken", async (t) => {
  const cases: readonly [string, string | undefined][] = [
    ["SELECT 1, 'a', 1.5 FROM t2", "SELECT i, s, d FROM t2"],
    ["select -1+2 - 3", "select -i+i - i"],
    ["SELECT 'it''s', ''", "SELECT s, s"],
    ["SELECT 'a\\' FROM t", "SELECT s FROM t"],
    ["SELECT 'a'\n  'b'", "SELECT s\n  s"],
    ['SELECT "a""1" FROM "t 2"', 'SELECT "a""1" FROM "t 2"'],
    ["SELECT $1, a1$2, t.c3", "SELECT $1, a1$2, t.c3"],
    ["SELECT 999999999, 1000000000", "SELECT i, 1000000000"],
    ["SELECT 1e5, 0x1F, 1_000, 1., 1.5e3", "SELECT 1e5, 0x1F, 1_000, 1., 1.5e3"],
    ["SELECT a1, 1a", "SELECT a1, 1a"],
    ["SELECT 1;", "SELECT i;"],
    ["WITH x AS (SELECT 1) SELECT 2 FROM x", "WITH x AS (SELECT i) SELECT i FROM x"],
    ["SELECT a/2, a-2, a & 2", "SELECT a/i, a-i, a & i"],
    ["SELECT 1, nextval('a'), 2", "SELECT i, nextval('a'), i"],
    ["SELECT setval(('a'), 1 + (2)), (3)", "SELECT setval(('a'), 1 + (2)), (i)"],
    ["SELECT \"currval\" ('a'), currval, 'b'", "SELECT \"currval\" ('a'), currval, s"],
    // not for shapes
    ["SELECT .5", undefined],
    ["SELECT 1; SELECT 2", undefined],
    ["SELECT 1 -- x", undefined],
    ["SELECT 1 /* x */", undefined],
    ["SELECT $$1$$", undefined],
    ["SELECT $a$1$a$", undefined],
    ["SELECT E'1'", undefined],
    ["SELECT e'\\''", undefined],
    ["SELECT U&'1'", undefined],
    ['SELECT U&"1"', undefined],
    ["SELECT N'1', B'1'", undefined],
    ["SELECT 1'1'", undefined],
    ["SELECT 'open", undefined],
    ['SELECT "open', undefined],
    ['SELECT "\u0001"', undefined],
    ["SELECT \\1", undefined],
    ["SELECT \u0001", undefined],
    ["EXPLAIN (ANALYZE 1) DELETE FROM t", undefined],
    ["SET x = 1", undefined],
    ["selects 1", undefined],
    ["", undefined],
  ];
  for (const [sql, expected] of cases) t.equal(shape(sql), expected, sql);
});

t.test("rows and elements behind the second are left out when they are like one before", async (t) => {
  const cases: readonly [string, string][] = [
    ["INSERT INTO t VALUES (1)", "INSERT INTO t VALUES (i)"],
    ["INSERT INTO t VALUES (1), (2)", "INSERT INTO t VALUES (i), (i)"],
    [
      "INSERT INTO t VALUES (1), (2),\n(3),(4) ON CONFLICT DO NOTHING;",
      "INSERT INTO t VALUES (i), (i) ON CONFLICT DO NOTHING;",
    ],
    ["INSERT INTO t VALUES (1), (NULL), (3), (NULL), ('x'), (4)", "INSERT INTO t VALUES (i), (NULL), (i), (s)"],
    ["INSERT INTO t VALUES (f(1, (2))), (f(1, (2))), (f(3, (4)))", "INSERT INTO t VALUES (f(i, (i))), (f(i, (i)))"],
    ["SELECT * FROM (VALUES (1), (2), (3)) v WHERE a IN (4)", "SELECT * FROM (VALUES (i), (i)) v WHERE a IN (i)"],
    ["SELECT a IN (1, 2, 3, 4)", "SELECT a IN (i, i)"],
    ["SELECT a IN (1, 'x', 2, 3, 4, 5)", "SELECT a IN (i, s, i, i)"],
    ["SELECT a IN (1, 2, 3 + 4, 5, 6, 7)", "SELECT a IN (i, i, i + i, i, i)"],
    ["SELECT a IN (1, 2, -3, 4)", "SELECT a IN (i, i, -i, i)"],
    ["SELECT a IN (1, 2, (3), 4)", "SELECT a IN (i, i, (i), i)"],
    ["SELECT f(1, 2, 3), (1, 2, 3)", "SELECT f(i, i, i), (i, i, i)"],
    ["SELECT a IN (SELECT 1, 2, 3)", "SELECT a IN (SELECT i, i, i)"],
    ["SELECT a NOT IN ('a','b','c') AND b IN (1,2,3)", "SELECT a NOT IN (s,s) AND b IN (i,i)"],
  ];
  for (const [sql, expected] of cases) t.equal(shape(sql), expected, sql);
});

t.test("a sample has the shape it was made of", async (t) => {
  for (const sql of ["SELECT 5, 'a', 2.25 FROM t", "INSERT INTO t VALUES ('é', 1), (2, 3)"]) {
    const first = Buffer.from(shapeOf(Buffer.from(sql))!.bytes);
    t.same(shapeOf(sample(first))?.bytes, first, sql);
  }
});

const integer = fc.integer({ min: 0, max: 2 ** 40 }).map(String);
const string = fc
  .string({ unit: fc.constantFrom(..."ab1 '\\%;-(é,\n$"), maxLength: 8 })
  .map((s) => `'${s.replaceAll("'", "''")}'`);
const decimal = fc.tuple(fc.nat(999), fc.nat(999)).map(([a, b]) => `${a}.${b}`);

/** A statement and the same with other constants. */
type Twins = [string, string];
const same = (text: string): fc.Arbitrary<Twins> => fc.constant([text, text]);
const twins = (constant: fc.Arbitrary<string>): fc.Arbitrary<Twins> => fc.tuple(constant, constant);
const join = (...parts: (string | fc.Arbitrary<Twins>)[]): fc.Arbitrary<Twins> =>
  fc
    .tuple(...parts.map((part) => (typeof part === "string" ? same(part) : part)))
    .map((all) => [all.map(([a]) => a).join(""), all.map(([, b]) => b).join("")]);
/** Lists may differ in length as well. */
const list = (item: fc.Arbitrary<Twins>, separator: string): fc.Arbitrary<Twins> =>
  fc
    .array(item, { minLength: 1, maxLength: 6 })
    .map((all) => [all.map(([a]) => a).join(separator), all.map(([, b]) => b).join(separator)]);

const grammar = fc.letrec<{ e: Twins; q: Twins; s: Twins }>((tie) => ({
  e: fc.oneof(
    { maxDepth: 3, depthIdentifier: "e" },
    twins(integer),
    twins(string),
    twins(decimal),
    fc.constantFrom("a", "t.b", '"c 1"', "NULL", "$1", "current_date", "a1", "1e3", "ｚ").chain(same),
    join(tie("e"), " + ", tie("e")),
    join(tie("e"), "-", tie("e")),
    join("- ", tie("e")),
    join("(", tie("e"), ")"),
    join(tie("e"), " = ", tie("e")),
    join("f(", list(tie("e"), ", "), ")"),
    join("lower(", tie("e"), ")"),
    join("nextval(", twins(string), ")"),
    join(tie("e"), " IN (", list(tie("e"), ","), ")"),
    join("a IN (", list(twins(integer), ", "), ")"),
    join("a NOT IN (", list(fc.oneof(twins(string), twins(integer)), " , "), ")"),
    join("position(", tie("e"), " IN (", tie("e"), "))"),
    join("a IN (", tie("q"), ")"),
    join("ARRAY[", list(tie("e"), ","), "]"),
    join("CASE WHEN ", tie("e"), " THEN ", tie("e"), " END"),
    join("(", tie("e"), ")::", fc.constantFrom("text", "status", "numeric(5,2)").chain(same)),
    join("interval ", twins(string)),
    join("date ", twins(string)),
    join("interval ", twins(string), " hour"),
    join("extract(", twins(string), " FROM a)"),
    join("(", tie("q"), ")"),
    join("a LIKE ", twins(string), " ESCAPE ", twins(string)),
    join("a AT TIME ZONE ", twins(string)),
    join("a BETWEEN ", tie("e"), " AND (", tie("e"), ")"),
    join("a[", tie("e"), ":", twins(integer), "]"),
    join("json_value(a, ", twins(string), ")"),
    join("xmlparse(CONTENT ", twins(string), ")"),
  ),
  q: fc.oneof(
    { maxDepth: 2, depthIdentifier: "q" },
    join("SELECT ", list(tie("e"), ", "), " FROM t WHERE ", tie("e"), " ORDER BY 1 LIMIT ", twins(integer)),
    join("SELECT ", tie("e"), " FROM t TABLESAMPLE system (", tie("e"), ") REPEATABLE (", tie("e"), ")"),
    join("VALUES ", list(join("(", tie("e"), ", ", tie("e"), ")"), ", ")),
    join("SELECT 1 UNION SELECT ", tie("e")),
    join("SELECT * FROM (VALUES ", list(join("(", tie("e"), ")"), ",\n"), ") v (a), t OFFSET ", tie("e")),
    join("SELECT a FROM t GROUP BY GROUPING SETS ((", tie("e"), "), (a)) HAVING ", tie("e"), " FOR UPDATE"),
    join("SELECT * FROM json_table(a, ", twins(string), " COLUMNS (x int PATH ", twins(string), ")) j"),
  ),
  s: fc.oneof(
    join("SELECT ", list(tie("e"), ", "), " FROM u WHERE ", tie("e")),
    join("INSERT INTO t VALUES ", list(join("(", list(tie("e"), ","), ")"), ", ")),
    join(
      "INSERT INTO t (a, b) VALUES ",
      list(join("(", twins(integer), ", ", twins(string), ")"), ","),
      " RETURNING ",
      tie("e"),
    ),
    join("INSERT INTO t ", tie("q"), " ON CONFLICT (a) DO UPDATE SET b = ", tie("e")),
    join("UPDATE t SET a = ", tie("e"), " WHERE ", tie("e")),
    join("DELETE FROM t WHERE ", tie("e"), ";"),
    join("WITH x AS (", tie("q"), ") SELECT * FROM x, t WHERE ", tie("e"), " ; "),
    join(" \nWITH x AS (DELETE FROM u WHERE ", tie("e"), " RETURNING ", tie("e"), ") TABLE x"),
  ),
}));

t.test("twins are told apart by nothing but their constants", async (t) => {
  const analyzer = await Analyzer.load();
  let remembered = 0;
  property(
    t,
    fc.property(grammar.s, (texts) => {
      for (const sql of texts) {
        const text = Buffer.from(sql);
        if (shapeOf(text)?.changed) remembered++;
        assert.deepEqual(analyzer.analyze(text, "utf8"), plain(text), sql);
      }
    }),
    { numRuns: 1500 },
  );
  t.ok(remembered > 1000, `${remembered} had a shape of their own`);
});

t.test("no place that takes a constant lets its value through", async (t) => {
  const analyzer = await Analyzer.load();
  const wrong: unknown[] = [];
  const values = [
    [1, "a"],
    [3, "b"],
    [25, "$.x"],
    [77, "zz top"],
    [0, ""],
    [1_000_000, "\\"],
  ] as const;
  for (const place of [...EXPRESSION_PLACES.map((e) => `select ${e} from t`), ...STATEMENT_PLACES]) {
    for (const [number, word] of values) {
      let n = 0;
      const sql = place.replace(/#/g, () => String(number * ++n)).replace(/'\$'/g, () => `'${word}${++n}'`);
      const text = Buffer.from(sql);
      const found = JSON.stringify(analyzer.analyze(text, "utf8"));
      if (found !== JSON.stringify(plain(text))) wrong.push({ sql, found, plain: plain(text) });
    }
  }
  t.same(wrong, []);
});

t.test("the corpus, with every number changed", async (t) => {
  const analyzer = await Analyzer.load();
  const wrong: unknown[] = [];
  for (const [sql] of [...QUERIES, ...WRITES, ...BYPASSES]) {
    for (const changed of [
      sql,
      sql.replace(/\d/g, "7"),
      sql.replace(/\d+/g, "123456"),
      sql.replaceAll("'a", "'bc d"),
    ]) {
      const text = Buffer.from(changed);
      const found = JSON.stringify(analyzer.analyze(text, "utf8"));
      if (found !== JSON.stringify(plain(text))) wrong.push({ changed, found, plain: plain(text) });
    }
  }
  t.same(wrong, []);
});

t.test("a long text is what its rows say", async (t) => {
  const analyzer = await Analyzer.load();
  const rows = (n: number, row: (i: number) => string): string =>
    Array.from({ length: n }, (_, i) => row(i)).join(",\n");
  const texts = [
    `INSERT INTO s.t (a, b) VALUES ${rows(5000, (i) => `(${i}, 'name ${i}''s')`)} RETURNING a`,
    `INSERT INTO t VALUES ${rows(3000, (i) => (i % 7 === 3 ? `(NULL, f(${i}))` : `(${i}, DEFAULT)`))};`,
    `SELECT * FROM t WHERE id IN (${rows(9000, String)}) AND g(id)`,
    `SELECT '${"x".repeat(50_000)}' FROM t`,
    `UPDATE t SET a = v.a FROM (VALUES ${rows(4000, (i) => `(${i}, '${i}'::my_type)`)}) v (id, a) WHERE t.id = v.id`,
    `DELETE FROM t WHERE ${rows(2000, (i) => `a = ${i}`).replaceAll(",\n", " OR ")}`,
  ];
  for (const sql of texts) {
    const text = Buffer.from(sql);
    t.same(analyzer.analyze(text, "utf8"), plain(text), sql.slice(0, 60));
  }
});
