const daySeconds = 86400;
/** A log that begins, or comes back, may make some requests at once, however few it has a day. */
const leastBurst = 10;

/**
 * How many cosignatures a log may still have. What a day holds comes evenly over the day; what is not used adds up to an
 * hour's worth. Half of that is for trees that grow: the latest one can be submitted again by anybody.
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

  /**
   * @param grows whether the tree is larger than the latest
   * @returns 0 when there is one left, and it is counted; else after how many seconds the next one is
   */
  take(nowMs: number, grows: boolean): number {
    this.#left = Math.min(this.#most, this.#left + ((nowMs - this.#at) / 1000) * this.#perSecond);
    this.#at = nowMs;
    const least = grows ? 1 : 1 + this.#most / 2;
    if (this.#left < least) return Math.ceil((least - this.#left) / this.#perSecond);
    this.#left -= 1;
    return 0;
  }
}
