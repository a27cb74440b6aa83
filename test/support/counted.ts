/** The record against pg_stat_statements: how often each statement was executed, and how many rows it had. */
import { fingerprint, loadModule } from "libpg-query";
import type pg from "pg";
import type { Entry } from "./stack.ts";

await loadModule();

/** Executions of what is one statement but for its constants. */
export interface Count {
  /** One text of it. */
  readonly text: string;
  calls: number;
  rows: number;
  /** Executions, beyond the first of a session, that may have been of a prepared statement. */
  again: number;
}

/** By fingerprint; where the constants are part of the tree (FETCH 5), by the command. */
export type Counts = Map<string, Count>;

/** A number or a name in these is no constant to the grammar, but one to pg_stat_statements. */
const BY_COMMAND = /^\s*(FETCH|MOVE|DECLARE|CLOSE|SAVEPOINT|RELEASE|ROLLBACK TO|DEALLOCATE|COPY)\b/i;
/** What the planner plans: all else the server executes as a utility command. */
const PLANNED = /^[\s(]*(SELECT|INSERT|UPDATE|DELETE|MERGE|WITH|VALUES|TABLE)\b/i;
/** Utility commands whose rows the server counts. */
const WITH_ROWS = /^\s*(FETCH|COPY|CREATE TABLE|CREATE MATERIALIZED VIEW|REFRESH)\b/i;
const PREPARE = /^\s*PREPARE\s+(?!TRANSACTION\b)("[^"]+"|\w+)\s*(?:\([^)]*\))?\s+AS\s+([\s\S]*)$/i;
/** They say that the transaction is to end, and are done; what fails is its end. */
const ENDINGS: readonly (string | undefined)[] = ["COMMIT", "PREPARE TRANSACTION"];

async function keyOf(text: string): Promise<string> {
  const command = BY_COMMAND.exec(text)?.[1]?.toUpperCase();
  if (command !== undefined) return command;
  for (const constant of ["1", "'x'"]) {
    try {
      return await fingerprint(text.replace(/\$\d+(?: \/\*, \.\.\. \*\/)?/g, constant));
    } catch {
      // What a parameter stands for is not everywhere what may stand there: the other one, or the text itself.
    }
  }
  return text.replace(/\s+/g, " ").trim();
}

async function add(counts: Counts, text: string, calls: number, rows: number): Promise<Count> {
  const key = await keyOf(text);
  const count = counts.get(key) ?? { text, calls: 0, rows: 0, again: 0 };
  count.calls += calls;
  count.rows += rows;
  counts.set(key, count);
  return count;
}

/**
 * What the server counted for one role since its counters were last reset: statements of clients, not those within
 * functions. The text of an EXECUTE is that of its PREPARE.
 */
export async function counted(client: pg.Client, role: string): Promise<Counts> {
  const { rows } = await client.query<{ query: string; calls: string; rows: string }>(
    `SELECT query, calls, rows FROM pg_stat_statements s JOIN pg_roles r ON r.oid = s.userid
     WHERE rolname = $1 AND toplevel AND dbid = (SELECT oid FROM pg_database WHERE datname = current_database())`,
    [role],
  );
  const counts: Counts = new Map();
  for (const { query, calls, rows: returned } of rows) {
    await add(counts, PREPARE.exec(query)?.[2] ?? query, Number(calls), Number(returned));
  }
  return counts;
}

/**
 * The same of what was recorded. Not counted by the server, and so not here: what failed; PREPARE, which executes
 * nothing; what was only bound; calls by number. EXECUTE counts as the statement that was prepared.
 * @param entries of statements, with their texts in the clear
 * @param deallocations whether the server counts DEALLOCATE: PostgreSQL 17 and later
 */
export async function recordedCounts(entries: readonly Entry[], deallocations: boolean): Promise<Counts> {
  const counts: Counts = new Map();
  const prepared = new Map<string, string>();
  const seen = new Set<string>();
  for (const { session, sql, operation, outcome, protocol, rows, executed } of entries) {
    if (executed === false) continue;
    if (typeof sql !== "string" || (outcome !== "completed" && !ENDINGS.includes(operation))) continue;
    let text = sql;
    if (operation === "PREPARE") {
      const [, name, inner] = PREPARE.exec(text) ?? [];
      prepared.set(`${session} ${name}`, inner ?? text);
      continue;
    }
    if (operation === "EXECUTE")
      text = prepared.get(`${session} ${/^\s*EXECUTE\s+("[^"]+"|\w+)/i.exec(text)?.[1]}`) ?? text;
    if (!deallocations && operation?.startsWith("DEALLOCATE")) continue;
    const count = await add(counts, text, 1, rows ?? 0);
    if (protocol === "extended" && seen.has(`${session} ${text}`)) count.again++;
    seen.add(`${session} ${text}`);
  }
  return counts;
}

/**
 * Reconciles what is left when statements are compared one by one: the server has one count for statements that mean
 * the same (`INSERT INTO t VALUES (1)`, `INSERT INTO t (a) VALUES (1)`), under the text that it saw first.
 */
function head(text: string): string {
  return text
    .trim()
    .split(/[\s(]+/, 3)
    .join(" ")
    .toLowerCase();
}

/**
 * @param withRows whether the server counts all rows of a portal that is executed in portions: PostgreSQL 17 and later
 * @returns a line for each statement that one side has more often, or with other rows, than the other
 */
export function differences(server: Counts, record: Counts, withRows: boolean): string[] {
  const lines = new Map<string, { text: string[]; calls: number; rows: number }>();
  for (const key of new Set([...server.keys(), ...record.keys()])) {
    const [theirs, ours] = [server.get(key), record.get(key)];
    const text = (theirs ?? ours)!.text;
    const utility = !PLANNED.test(text);
    const calls = (theirs?.calls ?? 0) - (ours?.calls ?? 0);
    // The server counts a prepared utility command once: executing it takes the mark from it by which it is counted.
    if (utility && calls < 0 && -calls <= (ours?.again ?? 0)) continue;
    const rows = !withRows || (utility && !WITH_ROWS.test(text)) ? 0 : (theirs?.rows ?? 0) - (ours?.rows ?? 0);
    if (calls === 0 && rows === 0) continue;
    const shown = text.replace(/\s+/g, " ").slice(0, 120);
    const line = `${theirs?.calls ?? 0} calls and ${theirs?.rows ?? 0} rows by the server's count, ${ours?.calls ?? 0} and ${ours?.rows ?? 0} by the record: ${shown}`;
    const group = lines.get(head(text)) ?? { text: [], calls: 0, rows: 0 };
    lines.set(head(text), { text: [...group.text, line], calls: group.calls + calls, rows: group.rows + rows });
  }
  return [...lines.values()].filter(({ calls, rows }) => calls !== 0 || rows !== 0).flatMap(({ text }) => text);
}
