export interface BreakerSettings {
  /** So many failures one after the other open it. */
  readonly failures: number;
  /** How long nothing is tried then. */
  readonly openMs: number;
  /** How long a host that failed is tried behind the others. */
  readonly avoidMs: number;
}

export type BreakerState = "closed" | "half-open" | "open";

/**
 * A circuit breaker: what failed again and again is left alone for a while, then one attempt tells whether it is well
 * again. Each `allows()` that said yes is followed by one of `succeeded()`, `failed()` and `released()`.
 */
export class Breaker {
  readonly #settings: Pick<BreakerSettings, "failures" | "openMs">;
  readonly #now: () => number;
  #failures = 0;
  #openUntil: number | undefined;
  #probing = false;

  /** @param now a monotonic clock, in milliseconds */
  constructor(settings: Pick<BreakerSettings, "failures" | "openMs">, now: () => number = () => performance.now()) {
    this.#settings = settings;
    this.#now = now;
  }

  get state(): BreakerState {
    if (this.#openUntil === undefined) return "closed";
    return this.#now() < this.#openUntil ? "open" : "half-open";
  }

  /** Milliseconds until one attempt is let through; 0 when it is not open. */
  get opensIn(): number {
    return this.#openUntil === undefined ? 0 : Math.max(0, this.#openUntil - this.#now());
  }

  /** Whether an attempt may be made now; while half open, one at a time. */
  allows(): boolean {
    const { state } = this;
    if (state === "closed") return true;
    if (state === "open" || this.#probing) return false;
    this.#probing = true;
    return true;
  }

  succeeded(): void {
    this.#failures = 0;
    this.#openUntil = undefined;
    this.#probing = false;
  }

  failed(): void {
    this.#failures += 1;
    this.#probing = false;
    if (this.#failures >= this.#settings.failures) this.#openUntil = this.#now() + this.#settings.openMs;
  }

  /** The attempt was given up, and says nothing. */
  released(): void {
    this.#probing = false;
  }
}
