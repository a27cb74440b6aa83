import type { Statement } from "@vitrine/proxy";
import type { Backend, Counted, Snapshot } from "./database.ts";
import type { Finding } from "./findings.ts";
import type { LogBook, LoggedSession } from "./log-book.ts";
import type { ServerEvent } from "./server-log.ts";

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
const LOGIN_MS = 120_000;
/** A text is shown up to here. */
const SHOWN = 200;

/** Whether the session may be the one that this process was started for. */
function fits(session: LoggedSession, started: number, { skewMs }: Terms): boolean {
  return session.start >= started - skewMs && session.start <= started + LOGIN_MS + skewMs;
}

/** Processes that serve clients, against the sessions of the log. */
export function compareBackends(snapshot: Snapshot, book: LogBook, terms: Terms): Finding[] {
  const findings: Finding[] = [];
  let hidden = 0;
  for (const backend of snapshot.backends) {
    const { pid, user, database, start } = backend;
    if (pid === snapshot.pid || (user !== null && (terms.except.has(user) || terms.pools.has(user)))) continue;
    if (start === null) {
      hidden += 1;
      continue;
    }
    // It has not logged in yet.
    if (user === null) continue;
    const known = book
      .onPid(pid)
      .some((one) => one.login === user && one.database === database && fits(one, start, terms));
    if (!known) findings.push(unlogged(backend));
  }
  if (hidden > 0) {
    const message = `${hidden} backends of other roles are not shown to us; connect as a member of pg_read_all_stats`;
    findings.push({ code: "backends_hidden", message, count: hidden });
  }
  return findings;
}

function unlogged({ pid, user, database, application, address, start }: Backend): Finding {
  const from = address === null ? "a Unix socket" : address;
  const named = application === null || application === "" ? "" : ` (${application})`;
  const message = `backend ${pid}${named} of ${user} in ${database}, from ${from}, since ${new Date(start!).toISOString()}, is no session in the log`;
  return { code: "backend_unlogged", message, pid, user: user ?? undefined, database: database ?? undefined };
}

/** Statements that begin so have no effect on data, and pg_stat_statements shows some of them as no grammar reads. */
const OF_THE_SESSION =
  /^\s*(?:FETCH|MOVE|CLOSE|SAVEPOINT|RELEASE|ROLLBACK|COMMIT|PREPARE\s+TRANSACTION|DEALLOCATE|SET|SHOW|RESET)\b/i;

interface Group {
  readonly database: string;
  readonly users: Set<string>;
  readonly sql: string;
  /** The text is a PREPARE's, and what is counted are EXECUTEs of it: in the log these say a name, and no more. */
  readonly executed: boolean;
  calls: number;
  /** Since when the earliest of its rows counts; null: that cannot be told. */
  since: number | null;
}

/** Calls that the server has counted, against the statements of the log. */
export function compareStatements(snapshot: Snapshot, book: LogBook, terms: Terms): Finding[] {
  const { statements, whyNot, evicted } = snapshot;
  if (statements === undefined) {
    const message = `statements are not counted: ${whyNot}; put pg_stat_statements into shared_preload_libraries, and create the extension in ${snapshot.database}`;
    return [{ code: "statements_missing", message }];
  }
  const { groups, unread } = group(statements, terms);
  const findings: Finding[] = [...unread];
  const beyond = new Map<string, { group: Group; excess: number; early: boolean }[]>();
  const expected = book.since ?? Number.POSITIVE_INFINITY;
  for (const [fingerprint, one] of groups) {
    const from = (one.since ?? Number.NEGATIVE_INFINITY) - terms.skewMs;
    const logged = one.executed ? 0 : book.completed(one.database, fingerprint.split("\n")[1]!, from);
    const excess = one.calls - logged;
    if (excess <= 0) continue;
    const early = one.since === null || one.since < expected;
    const list = beyond.get(one.database);
    if (list === undefined) beyond.set(one.database, [{ group: one, excess, early }]);
    else list.push({ group: one, excess, early });
  }
  for (const [database, list] of beyond) findings.push(...judge(database, list, book, terms));
  if (evicted > 0) {
    const message = `pg_stat_statements has thrown out statements ${evicted} times: what it counted of them is gone; raise pg_stat_statements.max`;
    findings.push({ code: "statements_unclear", message, count: evicted });
  }
  return findings;
}

function group(rows: readonly Counted[], { except, read }: Terms): { groups: Map<string, Group>; unread: Finding[] } {
  const groups = new Map<string, Group>();
  const unread: Finding[] = [];
  for (const { user, database, sql, calls, since } of rows) {
    if (except.has(user) || OF_THE_SESSION.test(sql)) continue;
    const statement = read(sql);
    const executed = statement?.effect?.kind === "prepare";
    if (statement?.class === "session" && !executed) continue;
    if (statement?.fingerprint === undefined) {
      const message = `${calls} calls of a text that is not shown, or that no grammar reads, by ${user} in ${database}`;
      unread.push({ code: "statements_unclear", message, database, user, count: calls, sql: shown(sql) });
      continue;
    }
    const key = `${database}\n${statement.fingerprint}`;
    const known = groups.get(key);
    if (known === undefined) groups.set(key, { database, users: new Set([user]), sql, executed, calls, since });
    else {
      known.calls += calls;
      known.users.add(user);
      known.since = known.since === null || since === null ? null : Math.min(known.since, since);
    }
  }
  return { groups, unread };
}

/** What is too much in one database: each text, or as many of all as the log cannot tell. */
function judge(
  database: string,
  list: readonly { group: Group; excess: number; early: boolean }[],
  book: LogBook,
  { skewMs }: Terms,
): Finding[] {
  const findings: Finding[] = [];
  const late = list.filter(({ early }) => !early);
  const sum = late.reduce((total, { excess }) => total + excess, 0);
  const from = Math.min(...late.map(({ group: { since } }) => since!)) - skewMs;
  const unclear = late.length === 0 ? 0 : book.unclear(database, from);
  for (const { group, excess, early } of list) {
    const { users, sql, calls } = group;
    const who = [...users].sort().join(", ");
    const what = `${excess} of ${calls} calls by ${who} in ${database} are not in the log`;
    const common = { database, user: who, count: excess, sql: shown(sql) };
    if (early) {
      const since = group.since === null ? "nobody knows when" : new Date(group.since).toISOString();
      const message = `${what}, counted since ${since}, before everything went through the proxy; pg_stat_statements_reset() begins anew`;
      findings.push({ code: "statements_early", message, ...common });
    } else if (sum <= unclear) {
      const message = `${what}; ${unclear} statements of the log could be these (EXECUTE, texts that were not understood, unknown ends)`;
      findings.push({ code: "statements_unclear", message, ...common });
    } else findings.push({ code: "statement_unlogged", message: what, ...common });
  }
  return findings;
}

/** Sessions that the server has counted: a coarse check, for it does not say whose they were. */
export function compareCounters(snapshot: Snapshot, book: LogBook, { except, skewMs }: Terms): Finding[] {
  const findings: Finding[] = [];
  // Excepted roles, and pools, are counted with the others.
  if (except.size > 0) return findings;
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

/** What the server's own log says, against the sessions of ours. */
export class ServerLogCheck {
  readonly findings: Finding[] = [];
  /** Lines that were held against the log, and those from before it begins. */
  checked = 0;
  early = 0;
  readonly #book: LogBook;
  readonly #terms: Terms;
  readonly #own: number;
  readonly #told = new Set<number>();

  /** @param own our own process of the server */
  constructor(book: LogBook, terms: Terms, own: number) {
    this.#book = book;
    this.#terms = terms;
    this.#own = own;
  }

  add(event: ServerEvent): void {
    const { kind, pid, user, database, time, text } = event;
    if (time < (this.#book.since ?? Number.POSITIVE_INFINITY)) {
      this.early += 1;
      return;
    }
    const { except, pools, skewMs } = this.#terms;
    if (user !== undefined && (except.has(user) || pools.has(user))) return;
    if (pid === this.#own) return;
    this.checked += 1;
    // A process number comes again when its process is gone.
    if (kind === "connection") this.#told.delete(pid);
    const of = (one: LoggedSession): boolean =>
      (user === undefined || one.login === user) && (database === undefined || one.database === database);
    const known = this.#book.onPid(pid).some((one) => {
      if (!of(one)) return false;
      if (kind === "connection") return fits(one, time, this.#terms);
      return one.start <= time + LOGIN_MS + skewMs && (one.end === undefined || one.end >= time - skewMs);
    });
    // One finding for a process is enough.
    if (known || this.#told.has(pid)) return;
    this.#told.add(pid);
    const who = `${user ?? "somebody"} in ${database ?? "a database"}, process ${pid}, at ${new Date(time).toISOString()}`;
    if (kind === "connection") {
      this.findings.push({ code: "connection_unlogged", message: `a connection of ${who}`, pid, user, database });
    } else {
      const sql = shown(text);
      this.findings.push({ code: "statement_unlogged", message: `a statement of ${who}`, pid, user, database, sql });
    }
  }
}

/** Commands about roles have passwords in them, and the server keeps their texts as they are. */
const PASSWORD = /\b(password\s*=?\s*)(?:[eu]?&?'(?:[^']|'')*'?|\$(\w*)\$.*?(?:\$\2\$|$)|[^\s',;)]+)/gis;

function shown(sql: string): string {
  const masked = sql.replace(PASSWORD, "$1…");
  return masked.length <= SHOWN ? masked : `${masked.slice(0, SHOWN)}…`;
}
