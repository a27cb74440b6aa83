import { fits, LOGIN_MS, shown, type Terms } from "./compare.ts";
import type { Finding } from "./findings.ts";
import type { LogBook, LoggedSession } from "./log-book.ts";
import type { ServerEvent } from "./server-log.ts";

/** What the server's own log says, against the sessions of ours. */
export class ServerLogCheck {
  /** Lines that were held against the log, and those from before it begins. */
  checked = 0;
  early = 0;
  readonly #book: LogBook;
  readonly #terms: Terms;
  readonly #own: number;
  readonly #until: number;
  /** Who connected, by process: a plain log says it in that line alone. */
  readonly #clients = new Map<number, Pick<ServerEvent, "user" | "database">>();
  /** The first event of each connection that no session of the log accounted for when it was read. */
  readonly #open: ServerEvent[] = [];
  readonly #told = new Set<number>();

  /** @param at our own process of the server, and the server's time when its counters were read */
  constructor(book: LogBook, terms: Terms, at: { readonly pid: number; readonly now: number }) {
    this.#book = book;
    this.#terms = terms;
    this.#own = at.pid;
    this.#until = at.now;
  }

  add(line: ServerEvent): void {
    const { kind, pid, time } = line;
    // A process number comes again when its process is gone.
    if (kind === "connection") this.#clients.set(pid, line);
    const event = line.user === undefined ? { ...line, ...named(this.#clients.get(pid)) } : line;
    if (time < (this.#book.since ?? Number.POSITIVE_INFINITY)) {
      this.early += 1;
      return;
    }
    const { except, pools } = this.#terms;
    const { user } = event;
    if (user !== undefined && (except.has(user) || pools.has(user))) return;
    // What is newer may be on its way to the log.
    if (pid === this.#own || time > this.#until) return;
    this.checked += 1;
    if (kind === "connection") this.#told.delete(pid);
    // One finding for a process is enough.
    if (this.#told.has(pid) || this.#isSession(event)) return;
    this.#told.add(pid);
    this.#open.push(event);
  }

  /** By what the book has now. */
  findings(): Finding[] {
    const used = new Map<string, Set<number>>();
    return this.#open
      .filter((event) => !this.#isSession(event) && !this.#wasRefused(event, used))
      .map(({ kind, pid, user, database, time, text }): Finding => {
        const who = `${user ?? "somebody"} in ${database ?? "a database"}, process ${pid}, at ${new Date(time).toISOString()}`;
        const common = { pid, user, database };
        if (kind === "connection") return { code: "connection_unlogged", message: `a connection of ${who}`, ...common };
        return { code: "statement_unlogged", message: `a statement of ${who}`, ...common, sql: shown(text) };
      });
  }

  #isSession({ kind, pid, user, database, time }: ServerEvent): boolean {
    const { skewMs } = this.#terms;
    const of = (one: LoggedSession): boolean =>
      (user === undefined || one.login === user) && (database === undefined || one.database === database);
    return this.#book.onPid(pid).some((one) => {
      if (!of(one)) return false;
      if (kind === "connection") return fits(one, time, this.#terms);
      return one.start <= time + LOGIN_MS + skewMs && (one.end === undefined || one.end >= time - skewMs);
    });
  }

  /** A database that does not exist, or has no room: the server says so after it has let the client in. Each counts once. */
  #wasRefused({ kind, user, database, time }: ServerEvent, used: Map<string, Set<number>>): boolean {
    if (kind !== "connection" || user === undefined || database === undefined) return false;
    const refusals = this.#book.refusals(database, user);
    const taken = used.get(`${database}\n${user}`) ?? new Set();
    used.set(`${database}\n${user}`, taken);
    const which = refusals.findIndex((at, i) => !taken.has(i) && fits({ start: at }, time, this.#terms));
    if (which < 0) return false;
    taken.add(which);
    return true;
  }
}

function named(client: Pick<ServerEvent, "user" | "database"> | undefined): Pick<ServerEvent, "user" | "database"> {
  return { user: client?.user, database: client?.database };
}
