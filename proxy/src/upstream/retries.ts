import { setTimeout as sleep } from "node:timers/promises";

export interface RetrySettings {
  /** How often one thing is tried at most, the first time included. */
  readonly attempts: number;
  /** The pause before the second attempt is up to this long, and up to twice as long before each further one. */
  readonly backoffMs: number;
  readonly maxBackoffMs: number;
  /** Nothing is tried again later than this after its beginning. */
  readonly deadlineMs: number;
  /** So many retries for 100 things that were tried. */
  readonly budgetPercent: number;
  /** Retries in hand at the beginning; one comes back each second, up to this many. */
  readonly reserve: number;
  /** A read with a longer request is not kept, and so not tried again. */
  readonly readBytes: number;
}

/** Retries saved up from what was tried, beyond which no more is saved: a storm is not fed from a quiet day. */
const MAX_SAVED = 100;

/**
 * How often, how late and how many retries there may be, for all sessions together: when everything fails, retries must
 * not multiply the load on what is failing.
 */
export class Retries {
  readonly settings: RetrySettings;
  readonly #now: () => number;
  readonly #random: () => number;
  #tokens: number;
  #refilledAt: number;

  /**
   * @param now a monotonic clock, in milliseconds
   * @param random from 0 to below 1
   */
  constructor(
    settings: RetrySettings,
    now: () => number = () => performance.now(),
    random: () => number = Math.random,
  ) {
    this.settings = settings;
    this.#now = now;
    this.#random = random;
    this.#tokens = settings.reserve;
    this.#refilledAt = now();
  }

  /** Retries that could be made now. */
  get budget(): number {
    this.#refill();
    return Math.floor(this.#tokens);
  }

  /** Something is tried for the first time. */
  tried(): void {
    this.#refill();
    const most = Math.max(this.settings.reserve, MAX_SAVED);
    this.#tokens = Math.max(this.#tokens, Math.min(most, this.#tokens + this.settings.budgetPercent / 100));
  }

  /**
   * Asks for one more attempt.
   * @param made attempts so far, 1 or more
   * @param since when the first was made, by the clock
   * @returns the pause before it in milliseconds, with full jitter; undefined: it may not be made
   */
  again(made: number, since: number): number | undefined {
    const { attempts, backoffMs, maxBackoffMs, deadlineMs } = this.settings;
    if (made >= attempts) return undefined;
    const pause = Math.floor(this.#random() * Math.min(maxBackoffMs, backoffMs * 2 ** (made - 1)));
    if (this.#now() - since + pause > deadlineMs) return undefined;
    this.#refill();
    if (this.#tokens < 1) return undefined;
    this.#tokens -= 1;
    return pause;
  }

  now(): number {
    return this.#now();
  }

  async pause(ms: number): Promise<void> {
    if (ms > 0) await sleep(ms);
  }

  #refill(): void {
    const now = this.#now();
    const more = (now - this.#refilledAt) / 1000;
    this.#refilledAt = now;
    if (this.#tokens < this.settings.reserve) {
      this.#tokens = Math.min(this.settings.reserve, this.#tokens + more);
    }
  }
}
