/** What came of a list of statements: each analyzed, run, and the two held against each other. */
import type { Analyzer, Statement } from "../../../src/statements/index.ts";
import { judge, judgeReadOnly } from "../oracle/judge.ts";
import type { Seen, Witness } from "../oracle/witness.ts";
import type { Run } from "./run.ts";

export interface Tried {
  readonly ran: number;
  readonly incomplete: number;
  /** By statement: what was said for certain, and was too little. */
  readonly wrong: ReadonlyMap<string, readonly string[]>;
  /** Those that ran, with what was said and seen. */
  readonly pairs: readonly (readonly [Run, Statement, Seen])[];
}

/** @param more other judges of the same pair */
export async function tryAll(
  analyzer: Analyzer,
  witness: Witness,
  runs: readonly Run[],
  more: (said: Statement, seen: Seen, run: Run) => readonly string[] = () => [],
): Promise<Tried> {
  const wrong = new Map<string, readonly string[]>();
  const pairs: [Run, Statement, Seen][] = [];
  let incomplete = 0;
  for (const run of runs) {
    const said = analyzer.analyze(Buffer.from(run.sql), "utf8");
    const [only] = said;
    if (said.length !== 1 || only === undefined) throw new Error(`not one statement: ${run.sql}`);
    const seen = await witness.run(run.sql, run.before);
    if (seen.error !== undefined) continue;
    if (!only.complete) incomplete++;
    const found = [...judge(only, seen, run.path), ...more(only, seen, run)];
    if (only.class === "read") found.push(...judgeReadOnly(only, await witness.readOnly(run.sql, run.before)));
    if (found.length > 0) wrong.set(run.sql, found);
    pairs.push([run, only, seen]);
  }
  return { ran: pairs.length, incomplete, wrong, pairs };
}
