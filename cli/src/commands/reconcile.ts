import { setTimeout as sleep } from "node:timers/promises";
import { Analyzer, type Statement } from "@vitrine/proxy";
import { openLog } from "@vitrine/verifier/node";
import type { ReconcileCommand } from "../args/reconcile.ts";
import { printable, printableJson } from "../printable.ts";
import { compareBackends, compareCounters, compareStatements, type Terms } from "../reconcile/compare.ts";
import { readDatabase, type Snapshot } from "../reconcile/database.ts";
import {
  bySeverity,
  FINDING_VERDICTS,
  type Finding,
  MAY_SETTLE,
  VERDICT_STATUS,
  type Verdict,
  verdictOf,
} from "../reconcile/findings.ts";
import { Follower } from "../reconcile/follow.ts";
import { LogBook } from "../reconcile/log-book.ts";
import { readServerLog } from "../reconcile/server-log.ts";
import { ServerLogCheck } from "../reconcile/server-log-check.ts";

/** Findings that are listed; the others are counted. */
const LISTED = 50;

interface Outcome {
  readonly snapshot: Snapshot;
  readonly findings: readonly Finding[];
  readonly book: LogBook;
  readonly size: number;
  readonly lines: { readonly checked: number; readonly early: number };
}

/**
 * `vitrine reconcile`: holds what a database says of itself against the log.
 *
 * @returns the exit status, by the verdict
 * @throws CliError `usage`, `upstream_unreachable`; VerifierError `usage`, `log_unreachable`. None of them ends with a
 * verdict's status.
 */
export async function runReconcile(command: ReconcileCommand): Promise<number> {
  const session = await openLog(command.log);
  try {
    // The database first: whatever it has seen by then the log has, a moment later.
    const snapshot = await readDatabase(command.database);
    const outcome = await compare(
      command,
      snapshot,
      new Follower(session, new LogBook(command.sources, command.since)),
    );
    const verdict = verdictOf(outcome.findings);
    const text = command.log.json
      ? [printableJson(asJson(command, outcome, verdict))]
      : report(command, outcome, verdict);
    process.stdout.write(`${text.join("\n")}\n`);
    return VERDICT_STATUS[verdict];
  } finally {
    session.close();
  }
}

async function compare(command: ReconcileCommand, snapshot: Snapshot, follower: Follower): Promise<Outcome> {
  const analyzer = await Analyzer.load();
  const read = (sql: string): Statement | undefined => analyzer.analyze(Buffer.from(sql), "utf8")[0];
  const own = new Set(snapshot.asked.map((sql) => read(sql)!.fingerprint));
  const statements = snapshot.statements?.filter(({ sql }) => !own.has(read(sql)?.fingerprint));
  const seen: Snapshot = { ...snapshot, statements };
  const terms: Terms = {
    except: new Set(command.except),
    pools: new Set(command.pools),
    skewMs: command.skewMs,
    read,
  };
  const { book } = follower;
  const deadline = performance.now() + command.waitMs;
  await follower.read();
  const check = new ServerLogCheck(book, terms, snapshot);
  for (const path of command.serverLogs) for await (const event of readServerLog(path)) check.add(event);
  for (;;) {
    const findings = [
      ...nothingRecorded(book, command.sources),
      ...compareBackends(seen, book, terms),
      ...compareStatements(seen, book, terms),
      ...check.findings(),
      ...compareCounters(seen, book, terms),
    ];
    // What has just happened may be on its way to the log.
    const mayWait = follower.findings().length === 0 && performance.now() < deadline;
    if (mayWait && findings.some(({ code }) => MAY_SETTLE.has(code))) {
      await sleep(500);
      await follower.read();
      continue;
    }
    const lines = { checked: check.checked, early: check.early };
    // What is listed must hold what decides.
    const all = bySeverity([...follower.findings(), ...findings]);
    return { snapshot: seen, findings: all, book, size: follower.size, lines };
  }
}

/** Then nothing says since when everything should be in the log, and what follows says little. */
function nothingRecorded(book: LogBook, sources: readonly string[]): Finding[] {
  if (book.since !== undefined) return [];
  const of = sources.length === 0 ? "any proxy" : sources.join(", ");
  const message = `the log has no entries of ${of}: is it the right log, and --source a name that stands in its entries?`;
  return [{ code: "log_unproven", message }];
}

function asJson(
  { log, except, pools, serverLogs }: ReconcileCommand,
  { snapshot, findings, book, size, lines }: Outcome,
  verdict: Verdict,
): Record<string, unknown> {
  return {
    command: "reconcile",
    verdict,
    log: log.log,
    size,
    since: book.since === undefined ? null : new Date(book.since).toISOString(),
    sessions: book.sessions,
    statements: book.statements,
    server: { version: snapshot.version, database: snapshot.database, time: new Date(snapshot.now).toISOString() },
    compared: {
      backends: snapshot.backends.length,
      statements: snapshot.statements?.length ?? null,
      transactions: snapshot.databases.map(({ database, transactions }) => ({ database, transactions })),
      lines: serverLogs.length === 0 ? null : lines,
    },
    except,
    pools,
    findings,
  };
}

function report(
  { log, except, pools, serverLogs }: ReconcileCommand,
  { snapshot, findings, book, size, lines }: Outcome,
  verdict: Verdict,
): string[] {
  const since = book.since === undefined ? "" : ` since ${new Date(book.since).toISOString()}`;
  const counted = snapshot.statements === undefined ? "no statements" : `${snapshot.statements.length} texts counted`;
  const head: [string, string][] = [
    ["Log", `${log.log}, ${size} entries: ${book.sessions} sessions and ${book.statements} statements${since}`],
    ["Server", `PostgreSQL ${snapshot.version}: ${snapshot.backends.length} backends, ${counted}`],
  ];
  if (serverLogs.length > 0)
    head.push(["Its log", `${lines.checked} lines compared; ${lines.early} are from before the log begins`]);
  if (except.length > 0) head.push(["Left out", `what these roles do: ${except.join(", ")}`]);
  if (pools.length > 0) head.push(["Pools", `backends of these roles are not told apart: ${pools.join(", ")}`]);
  const more = findings.length - LISTED;
  return [
    ...head.map(([name, value]) => `${name.padEnd(8)}  ${printable(value)}`),
    "",
    ...findings
      .slice(0, LISTED)
      .flatMap(({ code, message, sql }) => [
        `${FINDING_VERDICTS[code].padEnd(10)}  ${code}: ${printable(message)}`,
        ...(sql === undefined ? [] : [`            ${printable(sql)}`]),
      ]),
    ...(more > 0 ? [`… and ${more} more`] : []),
    ...(findings.length > 0 ? [""] : []),
    verdict,
    conclusion(verdict, serverLogs.length > 0),
  ];
}

function conclusion(verdict: Verdict, hasLog: boolean): string {
  switch (verdict) {
    case "FAIL":
      return "The database has seen what the log has not, or the log contradicts itself: the findings say what.";
    case "NOT PROVEN":
      return "Nothing contradicts; the findings say what could not be compared.";
    case "PASS":
      return `Established: every backend now, and every statement that the server has counted${hasLog ? " or logged" : ""}, is in the log. Not established: what was over and was not counted, what somebody with a superuser's rights removed from the counters, and what functions and triggers did inside a statement.`;
  }
}
