/** An answer as old as this still counts. */
const FRESH_MS = 10_000;

/**
 * Whether the database server can be reached: known from the sessions that were opened lately, asked where there were
 * none.
 */
export class Reach {
  readonly #probe: () => Promise<unknown>;
  readonly #now: () => number;
  #reachedAt = -Infinity;
  #askedAt = -Infinity;
  #answer: Promise<boolean> = Promise.resolve(false);

  /**
   * @param probe rejects when it cannot be reached
   * @param now a monotonic clock, in milliseconds
   */
  constructor(probe: () => Promise<unknown>, now: () => number = () => performance.now()) {
    this.#probe = probe;
    this.#now = now;
  }

  /** A connection was opened. */
  reached(): void {
    this.#reachedAt = this.#now();
  }

  /** Asks the server at most once in a while, however often this is asked. */
  isReachable(): Promise<boolean> {
    const now = this.#now();
    if (now - this.#reachedAt < FRESH_MS) return Promise.resolve(true);
    if (now - this.#askedAt < FRESH_MS / 2) return this.#answer;
    this.#askedAt = now;
    this.#answer = this.#probe().then(
      () => true,
      () => false,
    );
    return this.#answer;
  }
}
