import fc from "fast-check";
import t from "tap";
import { Analyzer } from "../../src/statements/index.ts";
import { qualifiedName } from "../../src/statements/sequence-calls.ts";
import { property } from "./property.ts";

const analyzer = await Analyzer.load();
const relations = (sql: string): unknown => {
  const [said] = analyzer.analyze(Buffer.from(sql), "utf8");
  return said?.complete
    ? said.relations.map(({ schema, name, access }) => [schema ?? "", name, access])
    : said?.incomplete;
};

t.test("a name in a string is read as regclass reads it", async (t) => {
  const cases: readonly [string, readonly string[] | undefined][] = [
    ["q", ["q"]],
    ["S.Q", ["s", "q"]],
    [' s . "Q" ', ["s", "Q"]],
    ['"a""b.c".d', ['a"b.c', "d"]],
    ["db.s.q", ["db", "s", "q"]],
    ["É", ["É"]],
    ["q1$", ["q1$"]],
    ["16384", undefined],
    ["-", undefined],
    ["", undefined],
    [" ", undefined],
    ["a b", undefined],
    ["a.", undefined],
    [".a", undefined],
    ['"a', undefined],
    ['""', undefined],
    ["a.b.c.d", undefined],
    ["x".repeat(64), undefined],
  ];
  for (const [text, parts] of cases) t.same(qualifiedName(text), parts, text);
});

t.test("what is quoted comes back, whatever it holds", async (t) => {
  const name = fc.string({ unit: "grapheme", minLength: 1, maxLength: 10 }).filter((s) => Buffer.byteLength(s) < 64);
  const names = fc.array(name, { minLength: 1, maxLength: 3 });
  property(
    t,
    fc.property(names, (parts) => {
      const text = parts.map((part) => `"${part.replaceAll('"', '""')}"`).join(".");
      return JSON.stringify(qualifiedName(text)) === JSON.stringify(parts);
    }),
  );
  property(
    t,
    fc.property(fc.string({ unit: "binary" }), (text) => {
      const parts = qualifiedName(text);
      return parts === undefined || (parts.length <= 3 && parts.every((part) => part !== ""));
    }),
  );
});

t.test("each text has its own sequence, however alike it looks", async (t) => {
  const of = (name: string): unknown => [["", name, "write"]];
  t.same(relations("SELECT nextval('one'), 1"), of("one"));
  t.same(relations("SELECT nextval('two'), 2"), of("two"));
  t.same(relations("SELECT NEXTVAL ( 'three' ), 2"), of("three"));
  t.same(relations("SELECT \"nextval\"('four'), 2"), of("four"));
  t.same(relations("SELECT pg_catalog.setval(('five')::regclass, 7), 2"), of("five"));
  t.same(relations("SELECT setval(CAST('six' AS pg_catalog.regclass), (8)), 2"), of("six"));
  t.same(relations("SELECT currval('s.\"Seven\"')"), [["s", "Seven", "read"]]);
  for (const sql of [
    "SELECT nextval($1)",
    "SELECT nextval(16384)",
    "SELECT nextval('1')",
    "SELECT nextval('a' || 'b')",
  ])
    t.equal(relations(sql), "opaque", sql);
  t.equal(relations("SELECT lastval()"), "opaque");
  // A column, and a constant behind it.
  t.same(relations("SELECT nextval, 'x' FROM t"), [["", "t", "read"]]);
});

t.test("a name with control characters, in a long text of which only the shape is parsed", async (t) => {
  const many = `SELECT ${"'x', ".repeat(5000)}`;
  for (const name of ["s\x01", "s\x02", "s\x03", "s\x04", "\x01"])
    t.same(relations(`${many}nextval('"${name}"')`), [["", name, "write"]], JSON.stringify(name));
  t.same(relations(`${many}nextval('s1')`), [["", "s1", "write"]]);
});
