import { ProxyError } from "../errors.ts";
import { chore, query } from "./chore.ts";
import { type OpenedServer, PooledServer } from "./server.ts";
import { nameOfKey, type PoolKey, type PoolSettings } from "./settings.ts";
import { Welcomes } from "./welcome.ts";

/** Somebody who waits for a server connection; told exactly one of the two, unless the wait is given up. */
export interface Waiter {
  leased(server: PooledServer): void;
  failed(error: ProxyError): void;
}

export interface Wait {
  /** By the monotonic clock. */
  readonly since: number;
  abandon(): void;
}

/** What a pool asks of all pools together. */
export interface Commons<A> {
  readonly settings: PoolSettings;
  /**
   * Whether this pool may open one more.
   * @param makeRoom closes an idle connection of another for it, where that helps
   */
  mayOpen(pool: Pool<A>, makeRoom: boolean): boolean;
  open(pool: Pool<A>): Promise<OpenedServer>;
  /** A connection has become free, or is gone, and nobody waits for it here. */
  freed(pool: Pool<A>): void;
  /** A connection has become free, and somebody waits for it here; who has waited longer elsewhere comes first. */
  yielding(pool: Pool<A>): void;
  /** A dead connection was found when it was to be lent, and replaced. */
  replaced(): void;
  waited(ms: number): void;
}

/** How long a connection may take to answer what the pool itself asks. */
const CHORE_MS = 5_000;
/** How long no further connection is tried after one failed, as long as there are others. */
const AFTER_FAILURE_MS = 1_000;
const RESET: readonly Buffer[] = [query("DISCARD ALL")];
const ROLLBACK: readonly Buffer[] = [query("ROLLBACK"), ...RESET];
const PROBE: readonly Buffer[] = [query("")];

/** The server connections for one user, database and set of startup parameters, and who waits for them. */
export class Pool<A = unknown> {
  readonly key: PoolKey;
  readonly name: string;
  readonly servers: Set<PooledServer> = new Set();
  /** The one that was used last is at the end, and is lent first. */
  readonly idle: PooledServer[] = [];
  readonly #commons: Commons<A>;
  readonly #waiting: Map<Waiter, { readonly since: number; readonly timer: NodeJS.Timeout }> = new Map();
  /** Connections that are logging in. */
  opening = 0;
  /** Those that are asked whether they live. */
  #testing = 0;
  #generation = 0;
  #paused = false;
  #notBefore = 0;
  /** Who was let in last: whose password may be what the server wants. */
  visitor: A | undefined;
  usedAt: number = performance.now();
  /** By what the server reports of a session that nothing was set in; known once a connection was open. */
  welcomes: Welcomes | undefined;

  constructor(key: PoolKey, commons: Commons<A>) {
    this.key = key;
    this.name = nameOfKey(key);
    this.#commons = commons;
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  get paused(): boolean {
    return this.#paused;
  }

  /** How long the one has waited that waits longest, in milliseconds. */
  get longestWait(): number {
    for (const { since } of this.#waiting.values()) return performance.now() - since;
    return 0;
  }

  /**
   * Asks for a server connection. When one is free the waiter is told before this returns.
   * @returns the wait; undefined when it is over
   */
  take(waiter: Waiter): Wait | undefined {
    this.usedAt = performance.now();
    if (!this.#paused && this.#waiting.size === 0) {
      const server = this.#next();
      if (server !== undefined) {
        this.#lend(server, waiter, this.usedAt);
        return undefined;
      }
    }
    const { queueTimeoutMs } = this.#commons.settings;
    const since = this.usedAt;
    const timer = setTimeout(() => this.#timedOut(waiter), queueTimeoutMs === 0 ? 0x7fffffff : queueTimeoutMs);
    this.#waiting.set(waiter, { since, timer });
    this.serve();
    if (!this.#waiting.has(waiter)) return undefined;
    return { since, abandon: () => this.#forget(waiter) };
  }

  /**
   * Gives a connection back.
   * @param how `clean`: nothing is left on it that the next holder could notice; `reset`: everything is discarded
   *   first; `rollback`: and a transaction is rolled back before that; `close`: it is not used again
   */
  release(server: PooledServer, how: "clean" | "reset" | "rollback" | "close"): void {
    server.holder = undefined;
    if (server.closed) return;
    server.flow(true);
    if (how === "close" || !server.atBoundary || this.#isDone(server)) {
      server.close(how !== "close");
      return;
    }
    // A request to cancel that is still on its way must find nobody else's statement.
    if (server.cancels > 0) {
      server.state = "cancelling";
      server.onCancelled = () => this.release(server, how);
      return;
    }
    if (how === "clean") {
      this.#free(server);
      return;
    }
    server.state = "testing";
    server.settings = "";
    server.shelf = undefined;
    chore(server, how === "reset" ? RESET : ROLLBACK, CHORE_MS, ({ done }) => {
      if (done && !this.#isDone(server)) this.#free(server);
      else server.close(done);
    });
  }

  /** Lends and opens as far as it may. */
  serve(): void {
    if (this.#paused) return;
    while (this.#waiting.size > 0) {
      const server = this.#next();
      if (server === undefined) break;
      const [waiter, { since }] = this.#waiting.entries().next().value!;
      this.#forget(waiter);
      this.#lend(server, waiter, since);
    }
    while (this.opening + this.#testing < this.#waiting.size && this.#mayTry() && this.#commons.mayOpen(this, true))
      this.#open();
  }

  /** Opens one that nobody waits for, where there is room. */
  prepare(): void {
    if (this.#mayTry() && !this.#paused && this.#commons.mayOpen(this, false)) this.#open();
  }

  /** Closes an idle connection. */
  evict(server: PooledServer): void {
    const at = this.idle.indexOf(server);
    if (at >= 0) this.idle.splice(at, 1);
    server.close(true);
  }

  /** Lends no connection until it is resumed. */
  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.serve();
  }

  /** Connections that are open now are not lent again. */
  reconnect(): void {
    this.#generation += 1;
    for (const server of [...this.idle]) this.evict(server);
    this.serve();
  }

  /** Closes what is idle, whoever waits gets the error. */
  end(error: ProxyError): void {
    for (const server of [...this.idle]) this.evict(server);
    for (const waiter of [...this.#waiting.keys()]) {
      this.#forget(waiter);
      waiter.failed(error);
    }
  }

  /** @returns one that lives and is not asked whether it does; where that takes a while, it is as if it were being opened */
  #next(): PooledServer | undefined {
    const { checkAfterMs } = this.#commons.settings;
    for (let server = this.idle.pop(); server !== undefined; server = this.idle.pop()) {
      if (server.closed) continue;
      if (!server.opened.stream.writable || this.#isDone(server)) {
        this.#commons.replaced();
        server.close(false);
        continue;
      }
      if (checkAfterMs === 0 || performance.now() - server.idleSince < checkAfterMs) return server;
      this.#test(server);
    }
    return undefined;
  }

  #test(server: PooledServer): void {
    this.#testing += 1;
    server.state = "testing";
    chore(server, PROBE, CHORE_MS, ({ done }) => {
      this.#testing -= 1;
      if (done) {
        this.#free(server);
        return;
      }
      this.#commons.replaced();
      server.close(false);
      this.serve();
    });
  }

  #lend(server: PooledServer, waiter: Waiter, since: number): void {
    server.state = "active";
    this.#commons.waited(performance.now() - since);
    waiter.leased(server);
  }

  #free(server: PooledServer): void {
    server.state = "idle";
    server.idleSince = performance.now();
    this.idle.push(server);
    if (this.#waiting.size > 0) {
      this.#commons.yielding(this);
      this.serve();
    } else this.#commons.freed(this);
  }

  #open(): void {
    this.opening += 1;
    const generation = this.#generation;
    this.#commons.open(this).then(
      (opened) => {
        this.opening -= 1;
        const server = new PooledServer(opened, (closed) => this.#lost(closed));
        if (server.closed) {
          this.#failed(new ProxyError("upstream_lost", "the database server closed the connection behind the login"));
          return;
        }
        const { lifetimeMs } = this.#commons.settings;
        // Those that were opened together do not all close together.
        if (lifetimeMs > 0) server.expiresAt = performance.now() + lifetimeMs * (1 - Math.random() / 10);
        server.generation = generation;
        this.welcomes ??= new Welcomes(opened.parameters);
        this.servers.add(server);
        this.#free(server);
      },
      (error: unknown) => {
        this.opening -= 1;
        this.#failed(error);
      },
    );
  }

  #failed(error: unknown): void {
    if (!(error instanceof ProxyError)) throw error;
    // While others live somebody gets theirs; when there is none, all who wait would wait for nothing.
    if (this.servers.size > 0) {
      this.#notBefore = performance.now() + AFTER_FAILURE_MS;
      setTimeout(() => this.serve(), AFTER_FAILURE_MS).unref();
      return;
    }
    if (this.opening > 0) return;
    for (const waiter of [...this.#waiting.keys()]) {
      this.#forget(waiter);
      waiter.failed(error);
    }
  }

  #mayTry(): boolean {
    return performance.now() >= this.#notBefore;
  }

  #isDone(server: PooledServer): boolean {
    return server.unfit || server.generation !== this.#generation || performance.now() >= server.expiresAt;
  }

  #lost(server: PooledServer): void {
    this.servers.delete(server);
    const at = this.idle.indexOf(server);
    if (at >= 0) this.idle.splice(at, 1);
    if (this.#waiting.size > 0) this.serve();
    this.#commons.freed(this);
  }

  #timedOut(waiter: Waiter): void {
    this.#forget(waiter);
    const seconds = this.#commons.settings.queueTimeoutMs / 1000;
    waiter.failed(
      new ProxyError("pool_timeout", `no server connection became free within ${seconds} s; the pool is in use`),
    );
  }

  #forget(waiter: Waiter): void {
    const wait = this.#waiting.get(waiter);
    if (wait === undefined) return;
    clearTimeout(wait.timer);
    this.#waiting.delete(waiter);
  }
}
