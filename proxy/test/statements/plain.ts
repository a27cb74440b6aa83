import { factsOf } from "../../src/statements/facts.ts";
import { Grammar } from "../../src/statements/grammar.ts";
import { notUnderstood, type Statement, statement } from "../../src/statements/statement.ts";

const grammar = await Grammar.load();

/** What the grammar says of a text of one statement: no cache, no shape, nothing left out. */
export function plain(text: Buffer): readonly Statement[] {
  const start = text.toString("latin1").search(/[^ \t\n\v\f\r]/);
  const whole = text.toString("latin1").replace(/[ \t\n\v\f\r]+$/, "").length;
  const parsed = grammar.parse(text);
  if ("failed" in parsed) return [notUnderstood(start, whole, parsed.failed)];
  return (parsed.tree.stmts ?? []).map(({ stmt, stmt_location, stmt_len }) => {
    const from = stmt_location ?? 0;
    const to = stmt_len === undefined ? text.length : from + stmt_len;
    const inner = text.toString("latin1", from, to);
    const begin = from + inner.length - inner.trimStart().length;
    const end = from + inner.trimEnd().length;
    const own = parsed.tree.stmts?.length === 1 ? text : text.subarray(begin, end);
    return statement(begin, end, factsOf(stmt), grammar.fingerprint(own));
  });
}
