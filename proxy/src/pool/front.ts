import { Duplex } from "node:stream";
import type { Backend, BackendKey, ClientEnd, Who } from "../backend.ts";
import { ProxyError } from "../errors.ts";
import { Framer } from "../wire/framer.ts";
import { FRONTEND } from "../wire/messages.ts";
import { negotiate } from "../wire/negotiate.ts";
import { fatalResponse } from "../wire/write.ts";
import type { Door, DoorStep, LetIn } from "./door.ts";
import type { Lane, LaneOwner } from "./lane.ts";
import { type Leasing, lease } from "./lease.ts";
import type { Pool } from "./pool.ts";
import type { PoolClient, Pools } from "./pools.ts";
import type { PooledServer } from "./server.ts";
import { SessionLane } from "./session-lane.ts";
import { SessionState } from "./session-state.ts";
import { type PoolMode, poolKey } from "./settings.ts";
import type { ClientStats } from "./stats.ts";
import { TransactionLane } from "./transaction-lane.ts";
import { backendKeyData, makeKey, readyForQuery, type Welcome, welcome } from "./welcome.ts";

const NOTHING: Buffer = Buffer.alloc(0);
const READY: Buffer = readyForQuery("I");
/** Of a password message (PG_MAX_AUTH_TOKEN_LENGTH in PostgreSQL). */
const PASSWORD_BYTES = 65_536;
/** What may wait in either direction before the other side is read no further. */
const WATER_MARK = 131_072;

export interface FrontOptions<A extends LetIn> {
  readonly pools: Pools<A>;
  readonly door: Door<A>;
  /** Told of errors of the pool's own that the client is told. */
  readonly onError?: (error: ProxyError) => void;
  /** Whether the servers are reached by TLS, where that is the same for all. */
  readonly tls?: boolean | undefined;
}

/**
 * Plays the database server to the layers above: lets the client in, and then has its messages answered by server
 * connections of a pool. What it does with them besides is seen by nobody above.
 */
export class Front<A extends LetIn> extends Duplex implements Backend, LaneOwner, PoolClient<A> {
  readonly kind = "pool";
  /** Who it is, once that is known. */
  accepted: A | undefined;
  readonly tls?: boolean;
  readonly #client: ClientEnd;
  readonly #pools: Pools<A>;
  readonly #door: Door<A>;
  readonly #onError: ((error: ProxyError) => void) | undefined;
  readonly #mode: PoolMode;
  #state: SessionState | undefined;
  readonly #connectedAt = new Date();
  readonly #cancelKey: BackendKey;
  readonly #negotiation: Buffer | undefined;
  #pool: Pool<A> | undefined;
  #lane: Lane | undefined;
  #leasing: Leasing | undefined;
  /** Cuts the password messages. */
  #framer: Framer | undefined;
  #begun = false;
  #ended = false;

  constructor(client: ClientEnd, { pools, door, onError, tls }: FrontOptions<A>) {
    super({ readableHighWaterMark: WATER_MARK, writableHighWaterMark: WATER_MARK });
    this.#client = client;
    this.#pools = pools;
    this.#door = door;
    this.#onError = onError;
    if (tls !== undefined) this.tls = tls;
    const { startup } = client;
    this.#mode = pools.settings.mode;
    const { minor, message } = negotiate(startup);
    this.#cancelKey = makeKey(minor);
    pools.clients.add(this);
    this.#negotiation = message;
    this.#framer = new Framer({
      begin: (type, size) => this.#beginMessage(type, size),
      pass: () => undefined,
      end: (type, _size, head) => {
        if (type === FRONTEND.password) this.#step(this.#door.feed(head));
        else if (type === FRONTEND.terminate) this.finished();
      },
    });
  }

  // --- Backend -----------------------------------------------------------------------------------------------------

  get stream(): Duplex {
    return this;
  }

  get who(): Who | undefined {
    const { auth, identity, groups = [] } = this.accepted ?? {};
    return auth === undefined ? undefined : { auth, identity, groups };
  }

  get pins(): readonly string[] {
    return this.#lane?.pins ?? [];
  }

  get host(): string | undefined {
    return this.#mode === "session" ? this.server?.opened.host : undefined;
  }

  serverPid(): number | undefined {
    return this.#mode === "session" ? this.server?.opened.key?.pid : undefined;
  }

  async cancel(): Promise<void> {
    this.#pools.totals.cancels += 1;
    await this.#lane?.cancel();
  }

  // --- PoolClient --------------------------------------------------------------------------------------------------

  get pool(): Pool<A> | undefined {
    return this.#pool;
  }

  get server(): PooledServer | undefined {
    return this.#lane?.server;
  }

  get stats(): ClientStats {
    const lane = this.#lane;
    const since = this.#leasing?.since ?? lane?.waitingSince;
    return {
      user: this.#pool?.key.user ?? this.#client.startup.user,
      database: this.#client.startup.database,
      state:
        since !== undefined ? "waiting" : lane === undefined ? "login" : lane.server === undefined ? "idle" : "active",
      address: this.#client.address,
      connectedAt: this.#connectedAt,
      pid: this.#cancelKey.pid,
      waitedMs: since === undefined ? 0 : performance.now() - since,
      pins: lane?.pins ?? [],
      preparedStatements: lane?.preparedStatements ?? 0,
      server: lane?.server?.opened.key?.pid,
    };
  }

  kill(error: ProxyError): void {
    this.fail(error);
  }

  // --- LaneOwner ---------------------------------------------------------------------------------------------------

  finished(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.push(null);
    // What is still written is not heard.
    this.resume();
  }

  fail(error: ProxyError): void {
    if (this.#ended || this.destroyed) return;
    if (this.#lane === undefined) {
      // Who is above records it as a refusal, and tells the client.
      this.destroy(error);
      return;
    }
    this.#onError?.(error);
    this.push(fatalResponse(error));
    this.#lane.destroy();
    this.finished();
  }

  // --- Duplex ------------------------------------------------------------------------------------------------------

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    try {
      if (this.#ended) done();
      else if (this.#lane !== undefined) this.#lane.write(chunk, done);
      else {
        this.#framer?.feed(chunk);
        done();
      }
    } catch (error) {
      if (!(error instanceof ProxyError)) throw error;
      done();
      this.fail(error);
    }
  }

  override _final(done: (error?: Error | null) => void): void {
    if (this.#lane !== undefined) this.#lane.close();
    else {
      this.#leasing?.abandon();
      this.finished();
    }
    done();
  }

  override _read(): void {
    if (!this.#begun) {
      // Not earlier: whoever opened it listens only now.
      this.#begun = true;
      if (this.#negotiation !== undefined) this.push(this.#negotiation);
      this.#step(this.#door.begin());
      return;
    }
    this.#lane?.resume();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#ended = true;
    this.#pools.clients.delete(this);
    this.#leasing?.abandon();
    this.#lane?.destroy();
    done(error);
  }

  // --- letting the client in ---------------------------------------------------------------------------------------

  #beginMessage(type: number, size: number): number {
    if (type === FRONTEND.password && size > PASSWORD_BYTES) {
      throw new ProxyError("protocol_violation", `a password message of ${size} bytes`);
    }
    return type === FRONTEND.password ? size : 0;
  }

  async #step(asked: Promise<DoorStep<A>>): Promise<void> {
    const step = await asked;
    if (this.#ended || this.destroyed) return;
    if (step.kind === "refused") {
      this.fail(step.error);
      return;
    }
    if (step.kind === "accepted") this.#enter(step.accepted, step.send);
    else this.push(step.send);
  }

  /** @param ok says that the client is let in */
  #enter(accepted: A, ok: Buffer): void {
    this.accepted = accepted;
    const { startup } = this.#client;
    const pool = this.#pools.pool(poolKey(accepted.role, startup.database, startup.parameters));
    pool.visitor = accepted;
    this.#pool = pool;
    const application = startup.parameters.get("application_name");
    this.#state = new SessionState(application, this.#pools.settings.pinUnknown);
    for (const value of pool.key.parameters.values()) this.#state.beginsWith(value);
    const { welcomes } = pool;
    if (this.#mode === "transaction" && welcomes !== undefined && isPlain(application)) {
      // What a server would report is known, so none is needed yet.
      this.#begin(pool, undefined, welcomes.of(application ?? ""), ok);
      return;
    }
    this.push(ok);
    this.#leasing = lease(
      pool,
      this.#state.carry(),
      (server) => this.#leased(pool, server),
      (error) => {
        this.#leasing = undefined;
        this.fail(error);
      },
    );
  }

  #leased(pool: Pool<A>, server: PooledServer): void {
    this.#leasing = undefined;
    if (this.#ended || this.destroyed) pool.release(server, "clean");
    else if (this.#mode === "session") this.#begin(pool, server, welcome(server.parameters), NOTHING);
    else {
      this.#begin(pool, undefined, welcome(new Map(server.parameters)), NOTHING);
      pool.release(server, "clean");
    }
  }

  /**
   * @param server what the client keeps for its session
   * @param before what it is to hear first
   */
  #begin(pool: Pool<A>, server: PooledServer | undefined, told: Welcome, before: Buffer): void {
    this.#framer = undefined;
    const { totals, texts, analyzer } = this.#pools;
    this.#lane =
      server !== undefined
        ? new SessionLane(pool, server, this)
        : new TransactionLane({
            pool,
            owner: this,
            state: this.#state!,
            analyzer,
            texts,
            shelfSize: () => this.#pools.settings.preparedStatements,
            told,
            onPin: (reason) => totals.pins.set(reason, (totals.pins.get(reason) ?? 0) + 1),
            onTimeout: () => {
              totals.timeouts += 1;
            },
            reads: this.#pools.reads?.(this.#client.unanswered),
          });
    // In one piece: each is a message to the client's kernel.
    this.push(Buffer.concat([before, told.bytes, backendKeyData(this.#cancelKey), READY]));
  }
}

/** PostgreSQL changes what is not printable ASCII; how, depends on its version. */
function isPlain(application: string | undefined): boolean {
  return application === undefined || /^[ -~]*$/.test(application);
}
