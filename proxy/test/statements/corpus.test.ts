import t from "tap";
import { Analyzer } from "../../src/statements/index.ts";
import { BYPASSES } from "./corpus/bypasses.ts";
import type { Case } from "./corpus/case.ts";
import { COMMANDS } from "./corpus/commands.ts";
import { DEFINITIONS } from "./corpus/definitions.ts";
import { QUERIES } from "./corpus/queries.ts";
import { WRITES } from "./corpus/writes.ts";

const analyzer = await Analyzer.load();

/** What was said, in the corpus' own form. */
function said(sql: string): unknown[] {
  const statements = analyzer.analyze(Buffer.from(sql), "utf8");
  return statements.map((s) => {
    const relations = s.relations.map(
      ({ schema, name, access }) =>
        `${access === "write" ? "+" : ""}${schema === undefined ? "" : `${schema}.`}${name}`,
    );
    const rest = s.provenRead ? "proven" : s.incomplete;
    return [sql, s.operation, s.class, relations.join(" "), rest, s.complete];
  });
}

const GROUPS = { queries: QUERIES, writes: WRITES, definitions: DEFINITIONS, commands: COMMANDS, bypasses: BYPASSES };

for (const [name, cases] of Object.entries(GROUPS) as [string, readonly Case[]][]) {
  t.test(`corpus: ${name}`, async (t) => {
    const wrong: unknown[] = [];
    for (const [sql, operation, effect, relations, rest] of cases) {
      const complete = rest === undefined || rest === "proven";
      const expected = [sql, operation, effect, relations, rest, complete];
      const found = said(sql);
      if (JSON.stringify(found) !== JSON.stringify([expected])) wrong.push({ expected, found });
    }
    t.same(wrong, [], `${cases.length} statements`);
  });
}

t.test("the corpus is large enough to mean something", async (t) => {
  const all = Object.values(GROUPS).flat();
  t.ok(all.length >= 400, `${all.length}`);
  t.equal(new Set(all.map(([sql]) => sql)).size, all.length, "each statement once");
});
