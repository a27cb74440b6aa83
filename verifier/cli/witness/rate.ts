const daySeconds = 86400;
/** A log that begins, or comes back, may make some requests at once, however few it has a day. */
const leastBurst = 10;

/**
 * How many requests a log may still make. What a day holds comes evenly over the day; what is not used adds up to an
 * hour's worth.
 */
export class Allowance {
  readonly #perSecond: number;
  readonly #most: number;
  #left: number;
  #at: number;

  /**
   * @param perDay requests a day, from 1
   * @param nowMs of a clock that only goes forward
   */
  constructor(perDay: number, nowMs: number) {
    this.#perSecond = perDay / daySeconds;
    this.#most = Math.max(leastBurst, Math.ceil(perDay / 24));
    this.#left = this.#most;
    this.#at = nowMs;
  }

  /** @returns 0 when the request may be made, and is counted; else after how many seconds the next may. */
  take(nowMs: number): number {
    this.#left = Math.min(this.#most, this.#left + ((nowMs - this.#at) / 1000) * this.#perSecond);
    this.#at = nowMs;
    if (this.#left < 1) return Math.ceil((1 - this.#left) / this.#perSecond);
    this.#left -= 1;
    return 0;
  }
}
