import type { Statement } from "@vitrine/proxy";
import type { Backend, Counted, Snapshot } from "./database.ts";
import type { Finding } from "./findings.ts";
import type { LogBook, LoggedSession } from "./log-book.ts";

export interface Terms {
  /** Roles that are not expected to come through the proxy. */
  readonly except: ReadonlySet<string>;
  /** Roles as which the proxy itself connects: their server processes serve one client after the other. */
  readonly pools: ReadonlySet<string>;
  /** How far the clocks of server and proxy may be apart, in milliseconds. */
  readonly skewMs: number;
  /** Says what a text is; its first statement. */
  readonly read: (sql: string) => Statement | undefined;
}

/** From the start of a server process to the end of its client's login, at most. */
export const LOGIN_MS = 120_000;
/** A text is shown up to here. */
const SHOWN = 200;

/** Whether the session may be the one that this process was started for. */
export function fits(session: Pick<LoggedSession, "start">, started: number, { skewMs }: Terms): boolean {
  return session.start >= started - skewMs && session.start <= started + LOGIN_MS + skewMs;
}

/** Processes that serve clients, against the sessions of the log. */
export function compareBackends(snapshot: Snapshot, book: LogBook, terms: Terms): Finding[] {
  const findings: Finding[] = [];
  let hidden = 0;
  for (const backend of snapshot.backends) {
    const { pid, user, database, start, replicates } = backend;
    if (pid === snapshot.pid || (user !== null && (terms.except.has(user) || (terms.pools.has(user) && !replicates))))
      continue;
    if (start === null) {
      hidden += 1;
      continue;
    }
    // It has not logged in yet.
    if (user === null) continue;
    const known =
      !replicates &&
      book.onPid(pid).some((one) => one.login === user && one.database === database && fits(one, start, terms));
    // A session of a pool names no process, and the proxy's role need not be its login.
    if (!known) findings.push(unlogged(backend, !replicates && database !== null && book.hasPooled(database)));
  }
  if (hidden > 0) {
    const message = `${hidden} backends of other roles are not shown to us; connect as a member of pg_read_all_stats`;
    findings.push({ code: "backends_hidden", message, count: hidden });
  }
  return findings;
}

function unlogged(backend: Backend, pooled: boolean): Finding {
  const { pid, user, database, application, address, start, replicates } = backend;
  const from = address === null ? "a Unix socket" : address;
  const named = application === null || application === "" ? "" : ` (${application})`;
  const where = replicates ? "that replicates" : `in ${database}`;
  const message = `backend ${pid}${named} of ${user} ${where}, from ${from}, since ${new Date(start!).toISOString()}, is no session in the log${pooled ? `; if it is a connection of the proxy's own pool, say --pool ${user}` : ""}`;
  return { code: "backend_unlogged", message, pid, user: user ?? undefined, database: database ?? undefined };
}

/** Statements that begin so have no effect on data, and pg_stat_statements shows some of them as no grammar reads. */
const OF_THE_SESSION =
  /^\s*(?:FETCH|MOVE|CLOSE|SAVEPOINT|RELEASE|ROLLBACK|COMMIT|PREPARE\s+TRANSACTION|DEALLOCATE|SET|SHOW|RESET)\b/i;

interface Group {
  /** Null: it has been dropped. */
  readonly database: string | null;
  readonly fingerprint: string;
  readonly users: Set<string>;
  readonly sql: string;
  /** The text is a PREPARE's, and what is counted are EXECUTEs of it: in the log these say a name, and no more. */
  readonly executed: boolean;
  /** Rules of its tables may make more than one call of it. */
  readonly ruled: boolean;
  calls: number;
  /** Since when the earliest of its rows counts; null: that cannot be told. */
  since: number | null;
}

/** A group with more calls than the log has statements. */
interface Excess {
  readonly group: Group;
  readonly excess: number;
  /** Why it says nothing by itself; undefined: it does. */
  readonly doubt: string | undefined;
}

/** Calls that the server has counted, against the statements of the log. */
export function compareStatements(snapshot: Snapshot, book: LogBook, terms: Terms): Finding[] {
  const { statements, whyNot, evicted } = snapshot;
  if (statements === undefined) {
    const message = `statements are not counted: ${whyNot}; put pg_stat_statements into shared_preload_libraries, and create the extension in ${snapshot.database}`;
    return [{ code: "statements_missing", message }];
  }
  const { groups, unread } = group(statements, snapshot, terms);
  const findings: Finding[] = [...uncounted(snapshot), ...unread];
  const beyond = new Map<string | null, Excess[]>();
  for (const one of groups) {
    const from = (one.since ?? Number.NEGATIVE_INFINITY) - terms.skewMs;
    const excess = one.calls - (one.executed ? 0 : book.completed(one.database, one.fingerprint, from));
    if (excess <= 0) continue;
    const of = beyond.get(one.database) ?? [];
    beyond.set(one.database, of);
    of.push({ group: one, excess, doubt: doubtOf(one, excess, book.failed(one.database, one.fingerprint, from)) });
  }
  for (const [database, list] of beyond) findings.push(...judge(database, list, book, terms));
  if (evicted > 0) {
    const message = `pg_stat_statements has thrown out statements ${evicted} times: what it counted of them is gone; raise pg_stat_statements.max`;
    findings.push({ code: "statements_unclear", message, count: evicted });
  }
  return findings;
}

/** What pg_stat_statements is told not to count. */
function uncounted({ track, trackUtility }: Snapshot): Finding[] {
  const missing = (what: string, setting: string): Finding[] => [
    { code: "statements_missing", message: `${what} not counted: ${setting}; set it otherwise` },
  ];
  if (track === "none") return missing("statements are", "pg_stat_statements.track is none");
  if (trackUtility !== "off") return [];
  return missing("utility commands (CREATE, COPY, VACUUM …) are", "pg_stat_statements.track_utility is off");
}

function group(
  rows: readonly Counted[],
  { ruled, database: ours }: Snapshot,
  { except, read }: Terms,
): { groups: Iterable<Group>; unread: Finding[] } {
  const groups = new Map<string, Group>();
  const unread: Finding[] = [];
  for (const { user, database, sql, calls, since } of rows) {
    if (except.has(user) || OF_THE_SESSION.test(sql)) continue;
    const statement = read(sql);
    const executed = statement?.effect?.kind === "prepare";
    if (statement?.class === "session" && !executed) continue;
    const fingerprint = statement?.fingerprint;
    if (fingerprint === undefined) {
      const message = `${calls} calls of a text that is not shown, or that no grammar reads, by ${user} in ${nameOf(database)}`;
      const at = { database: database ?? undefined, user };
      unread.push({ code: "statements_unclear", message, ...at, count: calls, sql: shown(sql) });
      continue;
    }
    const key = `${database ?? ""}\n${fingerprint}`;
    const known = groups.get(key);
    if (known === undefined) {
      const names = statement?.relations ?? [];
      const isRuled =
        database === ours &&
        names.some((one) => ruled.some(({ schema, name }) => name === one.name && schema === (one.schema ?? schema)));
      const users = new Set([user]);
      groups.set(key, { database, fingerprint, users, sql, executed, ruled: isRuled, calls, since });
    } else {
      known.calls += calls;
      known.users.add(user);
      known.since = known.since === null || since === null ? null : Math.min(known.since, since);
    }
  }
  return { groups: groups.values(), unread };
}

function nameOf(database: string | null): string {
  return database ?? "a database that is gone";
}

function doubtOf({ ruled }: Group, excess: number, failed: number): string | undefined {
  if (ruled) return "a table of theirs has rules, and each of a rule's actions counts as a call";
  if (excess <= failed) return `${failed} of the log failed, perhaps at their commit, and then they were counted`;
  return undefined;
}

/** What is too much in one database: each text, or as many of all as the log cannot tell. */
function judge(database: string | null, list: readonly Excess[], book: LogBook, { skewMs }: Terms): Finding[] {
  const isEarly = ({ group: { since } }: Excess): boolean =>
    since === null || since < (book.since ?? Number.POSITIVE_INFINITY);
  const plain = list.filter((one) => !isEarly(one) && one.doubt === undefined);
  const sum = plain.reduce((total, { excess }) => total + excess, 0);
  const from = Math.min(...plain.map(({ group: { since } }) => since!)) - skewMs;
  const unclear = plain.length === 0 ? 0 : book.unclear(database, from);
  // What was executed by name is the first that those statements of the log could be.
  const byName = plain.reduce((total, { group, excess }) => total + (group.executed ? excess : 0), 0);
  const couldBe = (group: Group): boolean => sum <= unclear || (group.executed && byName <= unclear);
  return list.map((one): Finding => {
    const { users, sql, calls, since } = one.group;
    const who = [...users].sort().join(", ");
    const what = `${one.excess} of ${calls} calls by ${who} in ${nameOf(database)} are not in the log`;
    const common = { database: database ?? undefined, user: who, count: one.excess, sql: shown(sql) };
    if (isEarly(one)) {
      const when = since === null ? "nobody knows when" : new Date(since).toISOString();
      const message = `${what}, counted since ${when}, before everything went through the proxy; pg_stat_statements_reset() begins anew`;
      return { code: "statements_early", message, ...common };
    }
    if (one.doubt !== undefined) return { code: "statements_unclear", message: `${what}; ${one.doubt}`, ...common };
    if (!couldBe(one.group)) return { code: "statement_unlogged", message: what, ...common };
    const message = `${what}; ${unclear} statements of the log could be these (EXECUTE, texts that were not understood, unknown ends)`;
    return { code: "statements_unclear", message, ...common };
  });
}

/** Sessions that the server has counted: a coarse check, for it does not say whose they were. */
export function compareCounters(snapshot: Snapshot, book: LogBook, { except, pools, skewMs }: Terms): Finding[] {
  const findings: Finding[] = [];
  // Excepted roles are counted with the others, and a pool's connections instead of the sessions that used them.
  if (except.size > 0 || pools.size > 0) return findings;
  for (const { database, sessions, since } of snapshot.databases) {
    if (sessions === null || since === null || book.since === undefined || since < book.since) continue;
    const began = book.began(database, since - skewMs);
    if (began.sessions === 0 && database !== snapshot.database) continue;
    const own = database === snapshot.database && !isLogged(snapshot, book) ? 1 : 0;
    const excess = sessions - own - began.sessions - began.refused;
    if (excess <= 0) continue;
    const message = `the server counts ${sessions} sessions in ${database} since ${new Date(since).toISOString()}, and the log has ${began.sessions}`;
    findings.push({ code: "sessions_unlogged", message, database, count: excess });
  }
  return findings;
}

/** We may have come through the proxy ourselves. */
function isLogged({ pid, backends }: Snapshot, book: LogBook): boolean {
  const start = backends.find((one) => one.pid === pid)?.start ?? 0;
  return book.onPid(pid).some((one) => one.start >= start - LOGIN_MS);
}

/** Commands about roles have passwords in them, and the server keeps their texts as they are. */
const PASSWORD = /\b(password\s*=?\s*)(?:[eu]?&?'(?:[^']|'')*'?|\$(\w*)\$.*?(?:\$\2\$|$)|[^\s',;)]+)/gis;

export function shown(sql: string): string {
  const masked = sql.replace(PASSWORD, "$1…");
  return masked.length <= SHOWN ? masked : `${masked.slice(0, SHOWN)}…`;
}
