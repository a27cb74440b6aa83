import fc from "fast-check";
import t from "tap";
import { entryLines } from "../../cli/entry-text.ts";

const lines = (entry: object, disclosed: [string, unknown][] = []): string[] =>
  entryLines(entry, new Map(disclosed), new Set(disclosed.map(([name]) => name)));

t.test("a text stands as it is where all of it is seen, and in quotes where it is not", async (t) => {
  const shown = (value: unknown): string =>
    lines({ member: value })
      .join("\n")
      .replace(/^ {2}member +/, "");
  for (const text of ["SELECT 1", "a\\nb", "C:\\new", "it's (sealed", "é", "1 row", "a | b"])
    t.equal(shown(text), text);
  t.equal(shown("a\tb"), '"a\\tb"');
  t.equal(shown("a\u202eb"), '"a\\u202eb"');
  t.equal(shown("a\u00a0b"), '"a\\u00a0b"');
  t.equal(shown("\ud800"), '"\\ud800"');
  t.equal(shown(""), '""');
  t.equal(shown("true"), '"true"');
  t.equal(shown(true), "true");
  t.equal(shown("(sealed, 5 bytes, not disclosed)"), '"(sealed, 5 bytes, not disclosed)"');
  t.same(lines({ sql: "SELECT 1;\n\tSELECT 2\n" }), [
    "  sql  ",
    "       | SELECT 1;",
    '       | "\\tSELECT 2"',
    "       | ",
  ]);
});

t.test("a member with a dot in its name does not stand for an inner one", async (t) => {
  const sealed = { sealed: "A".repeat(43), bytes: 3 };
  const entry = { client: { address: sealed }, "client.address": sealed };
  t.same(lines(entry, [["client.address", "x"]]), [
    "  client.address           (sealed, disclosed:)",
    "                           | x",
    `  "client.address".sealed  ${sealed.sealed}`,
    '  "client.address".bytes   3',
  ]);
});

t.test("no two entries look alike", async (t) => {
  const text = fc.oneof(
    fc.string({ unit: fc.constantFrom("a", "\\", "n", '"', "\n", "\t", " ", "|", ".", "1", "\u200b", "\ud800") }),
    fc.constantFrom("(sealed, 1 bytes, not disclosed)", "{}", "[]", "null", "a\n| b", "(sealed, disclosed:)"),
  );
  const { value } = fc.letrec<{ value: unknown }>((tie) => ({
    value: fc.oneof(
      { depthSize: "small" },
      text,
      fc.constantFrom(null, true, 0, 1),
      fc.array(tie("value"), { maxLength: 2 }),
      fc.dictionary(text, tie("value"), { maxKeys: 2, noNullPrototype: true }),
    ),
  }));
  const entry = fc.dictionary(fc.constantFrom("a", "a.b", "b", "|"), value, { minKeys: 1, noNullPrototype: true });
  const seen = new Map<string, string>();
  fc.assert(
    fc.property(entry, (one) => {
      const json = JSON.stringify(one);
      // How wide the names are is no part of what is said.
      const shown = lines(one).join("\n");
      const other = seen.get(shown);
      seen.set(shown, json);
      return other === undefined || other === json;
    }),
    { numRuns: 10_000 },
  );
  t.ok(seen.size > 2000);
});
