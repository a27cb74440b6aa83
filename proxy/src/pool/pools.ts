import type { Unanswered } from "../backend.ts";
import { ProxyError } from "../errors.ts";
import type { Analyzer } from "../statements/index.ts";
import type { ReadRetry } from "../upstream/index.ts";
import { type Commons, Pool } from "./pool.ts";
import type { OpenedServer, PooledServer } from "./server.ts";
import { nameOfKey, type PoolKey, type PoolSettings } from "./settings.ts";
import { type ClientStats, noTotals, type PoolStats, type PoolTotals, type ServerStats } from "./stats.ts";
import { PreparedTexts } from "./texts.ts";

/**
 * Connects to the server and logs in.
 * @param visitor who was let in last of those that the connection is for
 * @throws ProxyError when that fails
 */
export type OpenServer<A = unknown> = (wanted: PoolKey, visitor: A | undefined) => Promise<OpenedServer>;

/** A client of the pools: what is asked of it from outside of its session. */
export interface PoolClient<A = unknown> {
  readonly stats: ClientStats;
  /** Undefined before it is known which pool it will use. */
  readonly pool: Pool<A> | undefined;
  readonly server: PooledServer | undefined;
  /** Ends its session now. */
  kill(error: ProxyError): void;
}

const UPKEEP_MS = 1_000;
/** A pool that nobody has used for so long, and that has no connections, is forgotten. */
const FORGOTTEN_MS = 60_000;

/** All pools of a proxy: their limits together, and what an operator does with them. */
export class Pools<A = unknown> {
  readonly totals: PoolTotals = noTotals();
  /** What clients have prepared. */
  readonly texts: PreparedTexts = new PreparedTexts();
  readonly analyzer: Analyzer;
  /** For each session in transaction mode: decides about its reads whose server is lost. */
  readonly reads: ((unanswered: Unanswered | undefined) => ReadRetry) | undefined;
  readonly clients: Set<PoolClient<A>> = new Set();
  /** Told of each server connection that is lent, and how long it was waited for. */
  onWaited: ((ms: number) => void) | undefined;
  readonly #open: OpenServer<A>;
  readonly #pools: Map<string, Pool<A>> = new Map();
  readonly #paused: Set<string> = new Set();
  readonly #commons: Commons<A>;
  readonly #upkeep: NodeJS.Timeout;
  #settings: PoolSettings;
  #serving = false;
  #evicting = false;
  #closed = false;

  constructor(
    settings: PoolSettings,
    open: OpenServer<A>,
    analyzer: Analyzer,
    reads?: (unanswered: Unanswered | undefined) => ReadRetry,
  ) {
    this.analyzer = analyzer;
    this.reads = reads;
    this.#settings = settings;
    this.#open = open;
    const pools = this;
    this.#commons = {
      get settings() {
        return pools.#settings;
      },
      mayOpen: (pool, makeRoom) => this.#mayOpen(pool, makeRoom),
      open: (pool) => this.#opened(pool),
      freed: (pool) => this.#freed(pool),
      yielding: (pool) => this.#yielding(pool),
      replaced: () => {
        this.totals.replaced += 1;
      },
      waited: (ms) => {
        this.totals.leases += 1;
        this.totals.waitedMs += ms;
        this.onWaited?.(ms);
      },
    };
    this.#upkeep = setInterval(() => this.upkeep(), UPKEEP_MS).unref();
  }

  get settings(): PoolSettings {
    return this.#settings;
  }

  /** Other limits and times, from now on. Sessions that have begun stay in the mode they began in. */
  set settings(settings: PoolSettings) {
    this.#settings = settings;
    for (const pool of this.#pools.values()) pool.serve();
  }

  /** The pool for this key; made when there is none. */
  pool(key: PoolKey): Pool<A> {
    const name = nameOfKey(key);
    let pool = this.#pools.get(name);
    if (pool === undefined) {
      pool = new Pool(key, this.#commons);
      if (this.#paused.has(key.database) || this.#paused.has("")) pool.pause();
      this.#pools.set(name, pool);
    }
    return pool;
  }

  // --- what an operator asks ---------------------------------------------------------------------------------------

  stats(): PoolStats[] {
    const rows = new Map<string, PoolStats & { clients: { active: number; waiting: number } }>();
    const row = (user: string, database: string) => {
      const name = JSON.stringify([user, database]);
      let found = rows.get(name);
      if (found === undefined) {
        found = {
          user,
          database,
          mode: this.#settings.mode,
          paused: this.#paused.has(database) || this.#paused.has(""),
          clients: { active: 0, waiting: 0 },
          servers: { idle: 0, active: 0, testing: 0, cancelling: 0, opening: 0 },
          longestWaitMs: 0,
        };
        rows.set(name, found);
      }
      return found as { clients: { active: number; waiting: number }; servers: Record<string, number> } & {
        longestWaitMs: number;
      };
    };
    for (const pool of this.#pools.values()) {
      const { servers, ...found } = row(pool.key.user, pool.key.database);
      for (const { state } of pool.servers) servers[state]! += 1;
      servers.opening! += pool.opening;
      found.longestWaitMs = Math.max(found.longestWaitMs, pool.longestWait);
    }
    for (const { stats } of this.clients) {
      const { clients } = row(stats.user, stats.database);
      if (stats.state === "waiting") clients.waiting += 1;
      else clients.active += 1;
    }
    return [...rows.values()];
  }

  serverStats(): ServerStats[] {
    const holders = new Map<PooledServer, number>();
    for (const { server, stats } of this.clients) if (server !== undefined) holders.set(server, stats.pid);
    return [...this.#pools.values()].flatMap(({ key, servers }) =>
      [...servers].map((server) => ({
        user: key.user,
        database: key.database,
        state: server.state,
        address: server.opened.address,
        connectedAt: server.since,
        pid: server.opened.key?.pid,
        preparedStatements: server.shelf?.size ?? 0,
        client: holders.get(server),
      })),
    );
  }

  clientStats(): ClientStats[] {
    return [...this.clients].map(({ stats }) => stats);
  }

  /**
   * Lends no connection of this database (all databases when left out) any more.
   * @returns when all that were lent have been given back
   */
  async pause(database = ""): Promise<void> {
    this.#paused.add(database);
    const pools = this.#of(database);
    for (const pool of pools) pool.pause();
    while (this.#paused.has(database) && pools.some(inUse)) await new Promise((resolve) => setTimeout(resolve, 20));
  }

  /** @returns whether it was paused */
  resume(database = ""): boolean {
    const was = this.#paused.delete(database);
    if (database === "") this.#paused.clear();
    for (const pool of this.#of(database)) if (!this.#paused.has("")) pool.resume();
    return was;
  }

  /** Connections that are open now are not lent again: idle ones close at once, the others when they are given back. */
  reconnect(database = ""): void {
    for (const pool of this.#of(database)) pool.reconnect();
  }

  /** Ends every session of a database at once, and closes its connections. It stays paused until it is resumed. */
  kill(database: string): void {
    const error = new ProxyError("shutting_down", "terminating connection: an operator ended all sessions");
    this.#paused.add(database);
    for (const pool of this.#of(database)) pool.pause();
    for (const client of [...this.clients]) {
      if (database === "" || client.stats.database === database) client.kill(error);
    }
    for (const pool of this.#of(database)) {
      pool.end(error);
      for (const server of [...pool.servers]) server.close(false);
    }
  }

  /** Closes all connections; nobody is served any more. */
  close(): void {
    this.#closed = true;
    clearInterval(this.#upkeep);
    const error = new ProxyError("shutting_down", "terminating connection: the proxy is being stopped");
    for (const pool of this.#pools.values()) {
      pool.pause();
      pool.end(error);
      for (const server of [...pool.servers]) server.close(false);
    }
  }

  // --- what a pool asks --------------------------------------------------------------------------------------------

  async #opened(pool: Pool<A>): Promise<OpenedServer> {
    const opened = await this.#open(pool.key, pool.visitor);
    if (this.#closed) {
      opened.stream.destroy();
      throw new ProxyError("shutting_down", "the proxy is being stopped");
    }
    this.totals.opened += 1;
    return opened;
  }

  #mayOpen(pool: Pool<A>, makeRoom: boolean): boolean {
    // What is being closed makes room for somebody else.
    if (this.#closed || this.#evicting) return false;
    const { size, maxPerUser, maxPerDatabase, maxTotal } = this.#settings;
    const { user, database } = pool.key;
    const groups: readonly (readonly [number, (other: Pool<A>) => boolean])[] = [
      [size, ({ key }) => key.user === user && key.database === database],
      [maxPerUser, ({ key }) => key.user === user],
      [maxPerDatabase, ({ key }) => key.database === database],
      [maxTotal, () => true],
    ];
    for (const [limit, isIn] of groups) {
      if (limit === 0) continue;
      const members = [...this.#pools.values()].filter(isIn);
      let count = 0;
      for (const other of members) count += countOf(other);
      while (count >= limit) {
        const idle = makeRoom ? oldestIdle(members.filter((other) => other !== pool)) : undefined;
        if (idle === undefined) return false;
        this.#evict(idle.pool, idle.server);
        count -= 1;
      }
    }
    return true;
  }

  /** The room is for who asked for it. */
  #evict(pool: Pool<A>, server: PooledServer): void {
    this.#evicting = true;
    pool.evict(server);
    this.#evicting = false;
  }

  /** Somebody in another pool may have waited for the room that there is now. */
  #freed(pool: Pool<A>): void {
    if (this.#serving || this.#evicting || this.#closed) return;
    let neediest: Pool<A> | undefined;
    for (const other of this.#pools.values()) {
      if (other === pool || other.waiting === 0) continue;
      if (neediest === undefined || other.longestWait > neediest.longestWait) neediest = other;
    }
    if (neediest === undefined) return;
    this.#serving = true;
    neediest.serve();
    this.#serving = false;
  }

  /** A pool that is always busy must not keep out one that has nothing, and whose client has waited longer. */
  #yielding(pool: Pool<A>): void {
    if (this.#serving || this.#pools.size === 1) return;
    let neediest: Pool<A> | undefined;
    for (const other of this.#pools.values()) {
      if (other.waiting === 0 || countOf(other) > 0) continue;
      if (other.longestWait > (neediest ?? pool).longestWait) neediest = other;
    }
    if (neediest === undefined) return;
    this.#serving = true;
    neediest.serve();
    this.#serving = false;
  }

  /** Once a second: closes what is idle for too long or too old, keeps the least number. */
  upkeep(): void {
    const now = performance.now();
    const { idleTimeoutMs, min } = this.#settings;
    for (const [name, pool] of this.#pools) {
      for (const server of [...pool.idle]) {
        const old = server.unfit || now >= server.expiresAt;
        const unused = idleTimeoutMs > 0 && now - server.idleSince >= idleTimeoutMs && countOf(pool) > min;
        if (old || unused) pool.evict(server);
      }
      if (pool.welcomes !== undefined && countOf(pool) < min) pool.prepare();
      const forgotten = now - pool.usedAt > FORGOTTEN_MS && pool.waiting === 0 && countOf(pool) === 0;
      if (forgotten && ![...this.clients].some((client) => client.pool === pool)) this.#pools.delete(name);
    }
  }

  #of(database: string): Pool<A>[] {
    return [...this.#pools.values()].filter(({ key }) => database === "" || key.database === database);
  }
}

/** Those that are being opened count before they are there. */
function countOf<A>(pool: Pool<A>): number {
  return pool.servers.size + pool.opening;
}

function inUse<A>(pool: Pool<A>): boolean {
  return [...pool.servers].some(({ state }) => state !== "idle");
}

function oldestIdle<A>(pools: readonly Pool<A>[]): { pool: Pool<A>; server: PooledServer } | undefined {
  let found: { pool: Pool<A>; server: PooledServer } | undefined;
  for (const pool of pools) {
    const server = pool.idle[0];
    if (server !== undefined && server.idleSince < (found?.server.idleSince ?? Number.POSITIVE_INFINITY)) {
      found = { pool, server };
    }
  }
  return found;
}
