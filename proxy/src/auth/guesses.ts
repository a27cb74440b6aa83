/** Failed logins that an address may have at once, before it has to wait. */
const BURST = 10;
/** How long a login waits for its turn; who would wait longer is refused. */
const MAX_WAIT_MS = 5_000;
/** Addresses that are remembered. */
const MAX_ADDRESSES = 10_000;

/**
 * Slows down guessing. Each address has a bucket of guesses that fills up again over time: a login takes one, and a
 * successful one gives it back, so applications that log in a lot are not held up. Who has none left waits, or is
 * refused before the password was looked at: many connections at once gain nothing.
 *
 * Remembers 10,000 addresses, an IPv6 network of 64 bits being one, and forgets the one that guessed longest ago.
 */
export class Guesses {
  /** Address to the time at which its bucket will be full again; in the order of the last guess. */
  readonly #fullAt = new Map<string, number>();
  #everyMs: number;
  readonly #now: () => number;

  /**
   * @param perMinute failed logins of an address, in the long run
   * @param now a monotonic clock in milliseconds
   */
  constructor(perMinute: number, now: () => number = () => performance.now()) {
    this.#everyMs = 60_000 / perMinute;
    this.#now = now;
  }

  /** From now on. */
  set perMinute(perMinute: number) {
    this.#everyMs = 60_000 / perMinute;
  }

  get size(): number {
    return this.#fullAt.size;
  }

  /**
   * Takes a guess.
   * @returns milliseconds to wait before the password is looked at; undefined when it must not be, and nothing was taken
   */
  take(host: string | undefined): number | undefined {
    const key = networkOf(host);
    const now = this.#now();
    const fullAt = Math.max(now, this.#fullAt.get(key) ?? now) + this.#everyMs;
    const wait = Math.max(0, fullAt - now - BURST * this.#everyMs);
    if (wait > Math.max(MAX_WAIT_MS, this.#everyMs)) return undefined;
    this.#fullAt.delete(key);
    this.#fullAt.set(key, fullAt);
    if (this.#fullAt.size > MAX_ADDRESSES) this.#forget(now);
    return wait;
  }

  /** It was no guess: the password was right, or none was looked at. */
  giveBack(host: string | undefined): void {
    const key = networkOf(host);
    const fullAt = this.#fullAt.get(key);
    if (fullAt === undefined) return;
    if (fullAt - this.#everyMs <= this.#now()) this.#fullAt.delete(key);
    else this.#fullAt.set(key, fullAt - this.#everyMs);
  }

  #forget(now: number): void {
    for (const [key, fullAt] of this.#fullAt) {
      if (fullAt > now && this.#fullAt.size <= MAX_ADDRESSES) return;
      this.#fullAt.delete(key);
    }
  }
}

/** Who has one address of an IPv6 network has all of them. */
function networkOf(host: string | undefined): string {
  if (host === undefined) return "";
  const plain = host.replace(/^::ffff:(?=[0-9.]+$)/i, "").replace(/%.*$/s, "");
  if (!plain.includes(":")) return plain;
  const [head = "", tail] = plain.toLowerCase().split("::");
  const left = head === "" ? [] : head.split(":");
  const right = tail === undefined || tail === "" ? [] : tail.split(":");
  const zeros = tail === undefined ? [] : new Array<string>(Math.max(0, 8 - left.length - right.length)).fill("0");
  return [...left, ...zeros, ...right]
    .slice(0, 4)
    .map((group) => group.replace(/^0+(?=.)/, ""))
    .join(":");
}
