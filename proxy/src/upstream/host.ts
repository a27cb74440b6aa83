import { hostPort, type UpstreamAddress } from "./address.ts";
import { Breaker, type BreakerSettings } from "./breaker.ts";
import { type Fit, HOT_STANDBY, hostFit, type Target } from "./target.ts";

/** One of the configured hosts, and what is known of it. */
export class Host {
  readonly address: UpstreamAddress;
  readonly name: string;
  readonly breaker: Breaker;
  readonly #avoidMs: number;
  readonly #now: () => number;
  #failedAt = Number.NEGATIVE_INFINITY;
  #unfitAt = Number.NEGATIVE_INFINITY;
  #standby: boolean | undefined;

  constructor(address: UpstreamAddress, settings: BreakerSettings, now: () => number) {
    this.address = address;
    this.name = hostPort(address);
    this.breaker = new Breaker(settings, now);
    this.#avoidMs = settings.avoidMs;
    this.#now = now;
  }

  /** Whether its last sessions were on a standby; undefined: not known. */
  get standby(): boolean | undefined {
    return this.#standby;
  }

  succeeded(): void {
    this.breaker.succeeded();
    this.#failedAt = Number.NEGATIVE_INFINITY;
  }

  failed(): void {
    this.breaker.failed();
    this.#failedAt = this.#now();
    // It may come back as something else.
    this.#standby = undefined;
  }

  /** A session on it was not what is wanted, and could not go elsewhere: by a setting of its role, it may be. */
  unfit(): void {
    this.#unfitAt = this.#now();
  }

  /** A session on it was told this parameter. */
  reported(name: string, value: string): void {
    if (name === HOT_STANDBY) this.#standby = value === "on";
  }

  /** Smaller is tried earlier. */
  rank(target: Target): number {
    const fits: Readonly<Record<Fit, number>> = { fits: 0, unknown: 1, second: 3, unfit: 3 };
    const lately = (at: number): boolean => this.#now() - at < this.#avoidMs;
    const known = fits[hostFit(target, this.#standby)];
    return (lately(this.#failedAt) ? 4 : 0) + (lately(this.#unfitAt) ? Math.max(2, known) : known);
  }
}

/** @returns the hosts in the order in which they are to be tried */
export function inOrder(hosts: readonly Host[], target: Target, random: (() => number) | undefined): Host[] {
  const order = [...hosts];
  if (random !== undefined) {
    for (let i = order.length - 1; i > 0; i -= 1) {
      const j = Math.floor(random() * (i + 1));
      [order[i], order[j]] = [order[j]!, order[i]!];
    }
  }
  // Stable: among equals the order stays.
  return order
    .map((host) => ({ host, rank: host.rank(target) }))
    .sort((a, b) => a.rank - b.rank)
    .map(({ host }) => host);
}
