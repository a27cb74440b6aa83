// `vitrine proxy rules test` says of every statement of the corpus, alone and behind others, what a session is told.
import t from "tap";
import { ask, rules } from "../access/help.ts";
import { B, F, Stage } from "../session/stage.ts";
import { BYPASSES } from "../statements/corpus/bypasses.ts";
import { COMMANDS } from "../statements/corpus/commands.ts";
import { DEFINITIONS } from "../statements/corpus/definitions.ts";
import { QUERIES } from "../statements/corpus/queries.ts";
import { WRITES } from "../statements/corpus/writes.ts";

const RULES = `version: 1
user_schemas: true
rules:
  - {name: tables, action: deny, what: {reads: [public.u], writes: [s.t]}}
  - {name: trial, action: observe, what: {class: ddl}}
  - {name: lower, action: deny, what: {functions: ["*.lower"]}}
  - {name: where, action: deny, what: {without_where: true}}
  - {name: read, action: allow, what: {class: [read, session], reads: ["*.t", pg_catalog.*]}}
  - {name: write, action: allow, what: {class: [write, copy], reads: [public.*, s.*], writes: [public.*, s.*]}}
  - {name: define, action: allow, what: {class: [ddl, function], functions: [public.*]}}
`;

const corpus = [...QUERIES, ...WRITES, ...DEFINITIONS, ...COMMANDS, ...BYPASSES].map(([sql]) => sql);
const set = rules(RULES);

for (const path of ["public", "s, public", '"$user", public', "evil, pg_catalog"]) {
  t.test(`with the path ${path}`, async (t) => {
    const wrong: unknown[] = [];
    const decided = new Map<boolean, number>();
    const texts = corpus.flatMap((sql, i) => [
      sql,
      `${corpus[(i * 7 + 3) % corpus.length]}; ${sql}`,
      `SET search_path = s; ${sql}`,
    ]);
    for (const sql of texts) {
      const explained = await ask(set, sql, { path });
      const allowed = explained.every((one) => one.allowed);
      const stage = new Stage({ rules: RULES, user: "ann" });
      stage.server(B.status("search_path", path));
      const message = F.query(sql);
      stage.client(message);
      const passed = stage.forwarded.at(-1)?.bytes.equals(message) === true;
      stage.end();
      const entries = stage.spool.statements().map(({ rule, would_deny }) => `${rule} ${would_deny}`);
      const expected = explained
        .filter((one) => allowed || !one.allowed)
        .map(({ rule, observed }) => `${rule} ${observed}`);
      const same = allowed ? entries.join() === expected.join() : entries[0] === expected[0];
      if (passed !== allowed || !same) wrong.push({ sql, passed, entries, expected });
      decided.set(allowed, (decided.get(allowed) ?? 0) + 1);
    }
    t.same(wrong, [], `${texts.length} texts`);
    t.ok((decided.get(true) ?? 0) > 100 && (decided.get(false) ?? 0) > 100, JSON.stringify([...decided]));
  });
}
