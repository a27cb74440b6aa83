import type { Socket } from "node:net";
import { isFolder } from "../address/unix-socket.ts";
import { ProxyError } from "../errors.ts";
import type { ServerTls } from "../tls/index.ts";
import type { UpstreamAddress } from "./address.ts";
import type { BreakerSettings } from "./breaker.ts";
import { connectUpstream } from "./connect.ts";
import { Host, inOrder } from "./host.ts";
import type { UpstreamMetrics } from "./metrics.ts";
import { ReadRetry, type Repeatable } from "./read-retry.ts";
import type { Retries } from "./retries.ts";
import { fitOf, type Reported, type Target } from "./target.ts";
import type { Upstream } from "./url.ts";

/** What came of going to a host that took the connection. */
export interface Entered<T> {
  readonly value: T;
  /** The server said that it takes no sessions now (57P03), and nothing of the client's was done. */
  readonly unready?: boolean;
  /** What the server reported, where somebody is logged in by now. */
  readonly reported?: Reported;
  /** Lets go of it. */
  dispose(): void;
  /** Whether it is of no use any more, asked after others were tried; left out: it stays as it is. */
  isLost?(): boolean;
}

export interface Opened<T> {
  readonly value: T;
  readonly host: Host;
  /** Connections tried, this one included. */
  readonly attempts: number;
}

/**
 * Goes as far with a new connection as is safe to do again elsewhere: nothing in it may have an effect.
 * @throws ProxyError `upstream_unreachable` or `upstream_lost`: the next host is tried. Anything else is final
 */
export type Enter<T> = (stream: Socket, address: UpstreamAddress) => Promise<Entered<T>>;

const PASSING: ReadonlySet<string> = new Set(["upstream_unreachable", "upstream_lost"]);

/** The database servers: which to go to, and what to do when one does not answer. */
export class Upstreams {
  readonly target: Target;
  readonly hosts: readonly Host[];
  readonly connectTimeoutMs: number;
  readonly retries: Retries;
  readonly tls: ServerTls | undefined;
  readonly #upstream: Upstream;
  readonly #metrics: UpstreamMetrics;
  readonly #random: () => number;

  constructor(
    upstream: Upstream,
    settings: {
      readonly connectTimeoutMs: number;
      readonly breaker: BreakerSettings;
      readonly tls?: ServerTls | undefined;
    },
    retries: Retries,
    metrics: UpstreamMetrics,
    random: () => number = Math.random,
  ) {
    this.#upstream = upstream;
    this.target = upstream.target;
    this.connectTimeoutMs = upstream.connectTimeoutMs ?? settings.connectTimeoutMs;
    this.retries = retries;
    this.tls = settings.tls;
    this.#metrics = metrics;
    this.#random = random;
    this.hosts = upstream.hosts.map((address) => new Host(address, settings.breaker, () => retries.now()));
    metrics.watch(this.hosts, retries);
  }

  /** Whether every connection is encrypted; undefined: that is seen only with each. */
  get encrypted(): boolean | undefined {
    const local = this.hosts.filter(({ address }) => isFolder(address.host)).length;
    const always = this.tls?.always;
    if (local === 0 || always !== true) return always;
    return local === this.hosts.length ? false : undefined;
  }

  /** For one session: decides about its reads whose server is lost. */
  readRetry(unanswered: Repeatable | undefined): ReadRetry {
    return new ReadRetry(this.retries, this.#metrics, unanswered);
  }

  /**
   * Opens a connection and enters by it, on the first host that takes both and is what is wanted; over again, after a
   * pause, as far as the retries allow.
   * @throws ProxyError `upstream_unreachable`, `upstream_lost`, `upstream_unfit`, or what `enter` threw
   */
  async open<T>(enter: Enter<T>): Promise<Opened<T>> {
    this.retries.tried();
    const since = this.retries.now();
    let attempts = 0;
    for (let round = 1; ; round += 1) {
      const result = await this.#round(enter, attempts);
      if ("host" in result && !result.waits) return result;
      attempts = result.attempts;
      // Where no host may be tried, one that is soon will be the next client's.
      const pause = result.tried ? this.retries.again(round, since) : undefined;
      if (pause === undefined) {
        if ("host" in result) return result;
        throw result.problem;
      }
      this.#metrics.retried("connect");
      if ("host" in result) result.dispose();
      await this.retries.pause(pause);
    }
  }

  /** Every host once. What is better than nothing is kept until the end. */
  async #round<T>(
    enter: Enter<T>,
    before: number,
  ): Promise<
    | (Opened<T> & { waits: boolean; tried: true; dispose(): void })
    | { problem: ProxyError; attempts: number; tried: boolean }
  > {
    let attempts = before;
    let problem: ProxyError | undefined;
    let kept: { value: T; host: Host; waits: boolean; dispose(): void; isLost(): boolean } | undefined;
    for (const host of inOrder(this.hosts, this.target, this.#upstream.shuffled ? this.#random : undefined)) {
      if (!host.breaker.allows()) {
        this.#metrics.connection(host.name, "skipped");
        problem ??= left(host);
        continue;
      }
      attempts += 1;
      let entered: Entered<T>;
      try {
        entered = await this.#enter(host, enter);
      } catch (error) {
        if (!(error instanceof ProxyError) || !PASSING.has(error.code)) {
          kept?.dispose();
          throw error;
        }
        problem = error;
        continue;
      }
      const fit = entered.reported === undefined ? "fits" : fitOf(this.target, entered.reported);
      const { value } = entered;
      const dispose = (): void => entered.dispose();
      if (entered.unready !== true && fit === "fits") {
        kept?.dispose();
        this.#metrics.connection(host.name, "connected");
        return { value, host, attempts, waits: false, tried: true, dispose };
      }
      this.#metrics.connection(host.name, entered.unready === true ? "unready" : "unfit");
      const better = kept === undefined || (kept.waits && entered.unready !== true);
      if (better && (entered.unready === true || fit === "second")) {
        kept?.dispose();
        kept = { value, host, waits: entered.unready === true, dispose, isLost: () => entered.isLost?.() === true };
        continue;
      }
      dispose();
      if (entered.unready !== true) problem = unfit(host.name, this.target, fit === "unknown");
    }
    if (kept?.isLost() === true) problem = lost(kept.host);
    else if (kept !== undefined) return { ...kept, attempts, tried: true };
    if (problem === undefined) throw new Error("there are no hosts");
    return { problem, attempts, tried: attempts > before };
  }

  async #enter<T>(host: Host, enter: Enter<T>): Promise<Entered<T>> {
    try {
      const stream = await connectUpstream(host.address, this.connectTimeoutMs, this.tls);
      // While others are tried nobody listens to one that is kept; "close" says all that matters then.
      stream.on("error", () => stream.destroy());
      let entered: Entered<T>;
      try {
        entered = await enter(stream, host.address);
      } catch (error) {
        stream.destroy();
        throw error;
      }
      if (entered.unready === true) host.failed();
      else host.succeeded();
      for (const [name, value] of entered.reported ?? []) host.reported(name, value);
      return entered;
    } catch (error) {
      if (!(error instanceof ProxyError)) host.breaker.released();
      else if (PASSING.has(error.code)) {
        host.failed();
        this.#metrics.connection(host.name, "failed");
      } else host.succeeded();
      throw error;
    }
  }
}

/** A session turned out to be on a server that is not what is wanted. */
export function unfit(name: string, target: Target, unknown: boolean): ProxyError {
  const why = unknown ? "does not tell whether it is a standby" : `is not what target_session_attrs=${target} asks for`;
  return new ProxyError(
    "upstream_unfit",
    `the database server ${name} ${why}; connect again, other hosts go first then`,
  );
}

function lost({ name }: Host): ProxyError {
  return new ProxyError("upstream_lost", `the database server ${name} closed the connection while others were tried`);
}

function left({ name, breaker }: Host): ProxyError {
  const when =
    breaker.state === "open" ? `for another ${Math.ceil(breaker.opensIn)} ms` : "until one attempt under way ends";
  return new ProxyError(
    "upstream_unreachable",
    `no connection to the database server: ${name} failed again and again and is not tried ${when}`,
  );
}
