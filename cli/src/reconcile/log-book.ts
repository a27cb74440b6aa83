/** A session as the log has it. Times are milliseconds since 1970. */
export interface LoggedSession {
  readonly login: string;
  readonly database: string;
  readonly pid: number | undefined;
  readonly start: number;
  end: number | undefined;
}

interface EntryMembers {
  readonly source: string;
  readonly epoch: number;
  readonly time: string;
  readonly session?: string;
  readonly database?: string;
  readonly actor?: { readonly login: string };
  readonly server?: { readonly pid?: number };
  readonly fingerprint?: string;
  readonly operation?: string;
  readonly outcome?: string;
  readonly tx?: string;
  readonly sqlstate?: string;
  readonly rows?: number;
  readonly attempts?: number;
  readonly executed?: boolean;
  readonly by?: string;
}

const KINDS: ReadonlySet<string> = new Set([
  "source.start",
  "session.start",
  "session.end",
  "access.refused",
  "statement",
]);

/** What the entries of a log say, as far as a database's counters can be held against it. */
export class LogBook {
  readonly #sources: ReadonlySet<string>;
  readonly #since: number | undefined;
  /** Sessions by their source and name, and the same by the server's process. */
  readonly #sessions = new Map<string, LoggedSession>();
  readonly #byPid = new Map<number, LoggedSession[]>();
  /** When statements that the server completed ended, by database and fingerprint. */
  readonly #completed = new Map<string, number[]>();
  /** When statements ended of which it cannot be told what the server counted, by database. */
  readonly #unclear = new Map<string, number[]>();
  /** When statements failed that were transactions of their own, by database and fingerprint. */
  readonly #failed = new Map<string, number[]>();
  readonly #starts = new Map<string, number[]>();
  /** When the proxy refused a connection, by database; and when anybody did, by database and login. */
  readonly #refusedByProxy = new Map<string, number[]>();
  readonly #refused = new Map<string, number[]>();
  readonly #databases = new Set<string>();
  /** Those with sessions that have no process. */
  readonly #pooled = new Set<string>();
  #first: number | undefined;
  #statements = 0;

  /**
   * @param sources whose entries count; empty: of all
   * @param since entries before it are not counted (milliseconds); undefined: all are
   */
  constructor(sources: readonly string[], since: number | undefined) {
    this.#sources = new Set(sources);
    this.#since = since;
  }

  /** Since when everything is expected to be in the log; undefined when it has nothing of these sources. */
  get since(): number | undefined {
    return this.#since ?? this.#first;
  }

  get sessions(): number {
    return this.#sessions.size;
  }

  get statements(): number {
    return this.#statements;
  }

  /** @param text of a verified entry */
  add(kind: string, text: string): void {
    if (!KINDS.has(kind)) return;
    const entry = JSON.parse(text) as EntryMembers;
    if (this.#sources.size > 0 && !this.#sources.has(entry.source)) return;
    const time = Date.parse(entry.time);
    switch (kind) {
      case "source.start":
        this.#first ??= time;
        // What was open in the epoch before ended with it.
        for (const [name, session] of this.#sessions) if (name.startsWith(`${entry.source}\n`)) session.end ??= time;
        return;
      case "session.start":
        this.#start(entry, time);
        return;
      case "session.end": {
        const session = this.#sessions.get(nameOf(entry));
        if (session !== undefined) session.end = time;
        return;
      }
      case "access.refused":
        // The server may have let it in, and counted it.
        if (entry.by === "proxy") note(this.#refusedByProxy, entry.database!, time);
        // 28P01 comes before the server lets anybody in.
        if (entry.sqlstate !== "28P01") note(this.#refused, `${entry.database}\n${entry.actor!.login}`, time);
        return;
      case "statement":
        this.#statement(entry, time);
    }
  }

  /** Sessions that the log has on this process of the server. */
  onPid(pid: number): readonly LoggedSession[] {
    return this.#byPid.get(pid) ?? [];
  }

  /** Whether sessions of this database had no server's process to themselves: then a pool has some. */
  hasPooled(database: string): boolean {
    return this.#pooled.has(database);
  }

  /** When connections to this database as this login were refused, though the server may have let them in first. */
  refusals(database: string, login: string): readonly number[] {
    return this.#refused.get(`${database}\n${login}`) ?? [];
  }

  /**
   * How many statements of this fingerprint were completed from then on.
   * @param database null: in all of them
   */
  completed(database: string | null, fingerprint: string, from: number): number {
    return this.#count(this.#completed, database, `\n${fingerprint}`, from);
  }

  /** How many of this fingerprint failed from then on, and may have done so at the commit: the server counted these. */
  failed(database: string | null, fingerprint: string, from: number): number {
    return this.#count(this.#failed, database, `\n${fingerprint}`, from);
  }

  /** How many there are from then on of which it cannot be told what the server counted. */
  unclear(database: string | null, from: number): number {
    return this.#count(this.#unclear, database, "", from);
  }

  /** How many sessions began from then on, and how many the proxy refused. */
  began(database: string, from: number): { readonly sessions: number; readonly refused: number } {
    return {
      sessions: since(this.#starts.get(database), from),
      refused: since(this.#refusedByProxy.get(database), from),
    };
  }

  #count(times: ReadonlyMap<string, number[]>, database: string | null, suffix: string, from: number): number {
    if (database !== null) return since(times.get(`${database}${suffix}`), from);
    let sum = 0;
    for (const name of this.#databases) sum += since(times.get(`${name}${suffix}`), from);
    return sum;
  }

  #start(entry: EntryMembers, time: number): void {
    const session: LoggedSession = {
      login: entry.actor!.login,
      database: entry.database!,
      pid: entry.server?.pid,
      start: time,
      end: undefined,
    };
    this.#sessions.set(nameOf(entry), session);
    note(this.#starts, session.database, time);
    if (session.pid === undefined) {
      this.#pooled.add(session.database);
      return;
    }
    const known = this.#byPid.get(session.pid);
    if (known === undefined) this.#byPid.set(session.pid, [session]);
    else known.push(session);
  }

  #statement(entry: EntryMembers, time: number): void {
    this.#statements += 1;
    const { database, fingerprint, operation, outcome, tx, sqlstate, rows = 0, attempts = 1, executed } = entry;
    this.#databases.add(database!);
    // The server counts what is executed.
    if (executed === false) return;
    if (outcome === "completed" && fingerprint !== undefined && operation !== "EXECUTE")
      note(this.#completed, `${database}\n${fingerprint}`, time);
    else if (outcome === "completed" || outcome === "unknown" || (outcome === "denied" && rows > 0))
      // EXECUTE counts as what was prepared; what was cut off or lost may have been counted or not.
      note(this.#unclear, database!, time);
    // Deferred constraints, and serialization: the server counts a statement before it commits. Class 42 (the text is
    // wrong, or not allowed) comes before it runs.
    else if (outcome === "failed" && tx === "I" && fingerprint !== undefined && !sqlstate?.startsWith("42"))
      note(this.#failed, `${database}\n${fingerprint}`, time);
    for (let i = 1; i < attempts; i++) note(this.#unclear, database!, time);
  }
}

function nameOf({ source, session }: EntryMembers): string {
  return `${source}\n${session}`;
}

function note(times: Map<string, number[]>, key: string, time: number): void {
  const known = times.get(key);
  if (known === undefined) times.set(key, [time]);
  else known.push(time);
}

function since(times: readonly number[] | undefined, from: number): number {
  let count = 0;
  for (const time of times ?? []) if (time >= from) count += 1;
  return count;
}
