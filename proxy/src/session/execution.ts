import type { Decision } from "../access/index.ts";
import type { Intent } from "../audit/index.ts";
import type { Shown } from "../receipts/index.ts";
import { classOfCall, type Statement } from "../statements/index.ts";
import type { Judged, Reading } from "./judged.ts";
import type { Member } from "./values.ts";

/** What can be executed: a statement's text and what its grammar tells, shared by all its executions. */
export interface Subject {
  readonly protocol: "simple" | "extended" | "function";
  /** undefined when nothing is known of it, such as a statement prepared by SQL or a cursor */
  readonly statement: Statement | undefined;
  readonly sql: Buffer | undefined;
  /** Its text with the comments around it, of which the grammar takes no notice. */
  readonly commented?: Buffer;
  readonly functionOid: number | undefined;
  /** What a disclosure says of `sql`, once that was asked, read as UTF-8 or not. */
  shown?: { readonly utf8: boolean; readonly json: string };
}

/** A statement that was prepared by Parse. */
export interface Prepared {
  readonly subject: Subject;
  /** Number of the segment (what stands between two Syncs) that its Parse was sent in. */
  readonly segment: number;
  /** Whether the session's settings were known for certain when its text was read. */
  readonly settled: boolean;
  /** The proxy itself answers it; the server has empty text under the name. */
  readonly shown: Shown | undefined;
  /** What the access rules are asked about: all that its text holds. One that can be executed holds one, or none. */
  readonly judged: readonly Judged[];
}

export interface Parameters {
  readonly count: number;
  readonly member: Member;
}

/** A portal: a prepared statement bound to parameters. */
export interface Portal {
  /** The prepared statement's name. */
  readonly statement: string;
  readonly prepared: Prepared | undefined;
  /** Number of the segment that its Bind was sent in. */
  readonly segment: number;
  readonly parameters: Parameters | undefined;
  /** How the server read the names in it at its Bind; undefined where nothing is decided. */
  readonly bound?: Reading | undefined;
  /** Size of the Bind; counted with its first execution. */
  bytes: number;
  /** Written with its Bind; undefined once an Execute was answered, and where a Bind can run nothing. */
  announced?: Announced | undefined;
  /** The execution that PortalSuspended left open. */
  suspended: Execution | undefined;
  /** What its execution was held to, which has returned all that it may: nothing more is to come of the portal. */
  spent?: Quota;
  /** The proxy itself answers it, with the result format asked for; the server has no such portal. */
  readonly shown?: { readonly what: Shown; readonly format: number; done: boolean };
}

/**
 * An execution whose intent is written with the Bind: the server plans then, and runs what the planner evaluates. An
 * Execute carries it on; a portal that gets none ends with an entry all the same.
 */
export interface Announced {
  readonly execution: Execution;
  /** What the Bind, and an Execute behind it, have to wait for. */
  readonly wait: number;
  /** How many messages that ReadyForQuery answers stood before it. */
  readonly turn: number;
  /** An Execute that carries it on was sent. */
  taken: boolean;
}

/** Operations that are planned; of others nothing runs before they are executed, but what reads parameters. */
const PLANNED: ReadonlySet<string> = new Set(["SELECT", "INSERT", "UPDATE", "DELETE", "MERGE", "UNKNOWN"]);

/** Whether a Bind may run something: input of parameters, which a domain may check, and functions in what is planned. */
export function runsAtBind(prepared: Prepared | undefined, parameters: Parameters | undefined): boolean {
  if (parameters !== undefined || prepared === undefined) return true;
  const { statement } = prepared.subject;
  return statement === undefined ? prepared.judged.length > 0 : PLANNED.has(statement.operation);
}

/** What one execution may return (spec/access.md, `limits.rows` and `limits.bytes`). */
export interface Quota {
  /** Infinity: as many as there are. */
  readonly rows: number;
  readonly bytes: number;
  readonly allowed: Decision;
  /** COPY TO has no rows of its own: its messages are counted. */
  copied: number;
  /** There was a row, or a byte, more: what the decision has become. */
  beyond: Decision | undefined;
}

/** One execution on its way: what its entry will say. */
export interface Execution {
  readonly subject: Subject;
  readonly parameters: Parameters | undefined;
  intent: Intent | undefined;
  /** Members that say what the access rules decided, each behind a comma; empty where nothing was decided. */
  decided: string;
  /** What its rule lets it return. */
  quota: Quota | undefined;
  /** Its outcome is recorded, or its intent dropped: neither happens twice. */
  ended: boolean;
  /** RFC 3339, and the monotonic clock in milliseconds. */
  readonly start: string;
  readonly startedAt: number;
  rows: number;
  bytesIn: number;
  bytesOut: number;
  /** How often it was sent to a server. */
  attempts: number;
}

const NOT_KNOWN =
  '"operation":"UNKNOWN","class":"unknown","relations":[],"functions":[],"complete":false,"incomplete":"opaque"';
const NOT_TAKEN =
  '"operation":"UNKNOWN","class":"unknown","relations":[],"functions":[],"complete":false,"incomplete":"too-large"';
const functionCall = (oid: number | undefined): string =>
  `"operation":"FUNCTION CALL","class":"${classOfCall(oid)}","relations":[],"functions":[],"complete":false,"incomplete":"opaque"`;
const IMPLICIT_COMMIT = '"operation":"COMMIT","class":"session","relations":[],"functions":[],"complete":true';

/** The server ends an implicit transaction at Sync; when that fails, this is what failed. */
export const COMMIT_AT_SYNC: Subject = {
  protocol: "extended",
  statement: undefined,
  sql: undefined,
  functionOid: undefined,
};

/** The same of several statements in one Query. */
export const COMMIT_OF_QUERY: Subject = { ...COMMIT_AT_SYNC, protocol: "simple" };

/** A statement that the proxy would not take in. */
export const TOO_LARGE: Readonly<Record<"simple" | "extended", Subject>> = {
  simple: { protocol: "simple", statement: undefined, sql: undefined, functionOid: undefined },
  extended: { protocol: "extended", statement: undefined, sql: undefined, functionOid: undefined },
};

/** Of which nothing was seen but its use. */
export const NOT_SEEN: Subject = {
  protocol: "extended",
  statement: undefined,
  sql: undefined,
  functionOid: undefined,
};

export function subjectOf(portal: Portal | undefined): Subject {
  return portal?.prepared?.subject ?? NOT_SEEN;
}

/** The members that an intent states: everything but the outcome (spec/entry.md, kind `statement`). */
export function intentMembers(who: string, execution: Execution, sql: Member | undefined): string {
  const { subject, parameters } = execution;
  let text = `${who},"protocol":"${subject.protocol}",${grammarMembers(subject)}`;
  if (sql !== undefined) text += `,"sql":${sql.json}`;
  if (subject.functionOid !== undefined) text += `,"function_oid":${subject.functionOid}`;
  if (parameters !== undefined) {
    text += `,"params":${parameters.member.json},"params_count":${parameters.count}`;
  }
  if (execution.decided !== "") text += execution.decided;
  return `${text},"start":"${execution.start}"`;
}

function grammarMembers(subject: Subject): string {
  if (subject.statement !== undefined) return subject.statement.members;
  if (subject === COMMIT_AT_SYNC || subject === COMMIT_OF_QUERY) return IMPLICIT_COMMIT;
  if (subject === TOO_LARGE.simple || subject === TOO_LARGE.extended) return NOT_TAKEN;
  return subject.protocol === "function" ? functionCall(subject.functionOid) : NOT_KNOWN;
}

export type Outcome = "completed" | "failed" | "denied" | "cancelled" | "unknown";

export interface Result {
  readonly outcome: Outcome;
  readonly sqlstate?: string | undefined;
  readonly tag?: string | undefined;
  readonly error?: Member | undefined;
  /** Its portal was bound, and not executed. */
  readonly unexecuted?: true;
}

const PLAIN_TAG = /^[A-Z0-9 ]*$/;

/** The members that become known with the outcome. */
export function outcomeMembers(
  n: number,
  tx: string,
  execution: Execution,
  result: Result,
  rows: number,
  now: number,
): string {
  const duration = Math.max(0, Math.round((now - execution.startedAt) * 1000));
  let text = `"n":${n},"tx":"${tx}","duration_us":${duration},"outcome":"${result.outcome}"`;
  if (result.sqlstate !== undefined) text += `,"sqlstate":"${result.sqlstate}"`;
  if (result.tag !== undefined) {
    text += `,"tag":${PLAIN_TAG.test(result.tag) ? `"${result.tag}"` : JSON.stringify(result.tag)}`;
  }
  text += `,"rows":${rows},"bytes_in":${execution.bytesIn},"bytes_out":${execution.bytesOut}`;
  if (result.error !== undefined) text += `,"error":${result.error.json}`;
  if (result.unexecuted) text += ',"executed":false';
  if (execution.attempts > 1) text += `,"attempts":${execution.attempts}`;
  return text;
}
