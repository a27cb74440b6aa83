/** How many statements a minute: a bucket that holds a minute's worth and fills evenly. */

interface Bucket {
  left: number;
  at: number;
}

/** Buckets that are full again are the same as none. */
const SWEEP_EVERY_MS = 60_000;

/** One bucket for each rule and user, over all their sessions and over reloads. */
export class Rates {
  readonly #buckets = new Map<string, Bucket>();
  #swept = 0;

  /**
   * Takes one, if there is one.
   * @param now milliseconds of a clock that never goes back
   */
  take(rule: string, user: string, perMinute: number, now: number): boolean {
    if (now - this.#swept >= SWEEP_EVERY_MS) this.#sweep(now);
    const key = `${rule}\0${user}`;
    let bucket = this.#buckets.get(key);
    if (bucket === undefined) {
      bucket = { left: perMinute, at: now };
      this.#buckets.set(key, bucket);
    }
    bucket.left = Math.min(perMinute, bucket.left + ((now - bucket.at) * perMinute) / 60_000);
    bucket.at = now;
    if (bucket.left < 1) return false;
    bucket.left -= 1;
    return true;
  }

  get size(): number {
    return this.#buckets.size;
  }

  #sweep(now: number): void {
    this.#swept = now;
    for (const [key, { at }] of this.#buckets) if (now - at >= 60_000) this.#buckets.delete(key);
  }
}
