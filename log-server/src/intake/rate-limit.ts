import { isIPv6 } from "node:net";

/** Addresses that are remembered; the one unused for longest is forgotten first. */
const MAX_ADDRESSES = 10_000;
/** So many seconds' worth may come at once. */
const BURST_SECONDS = 10;

interface Bucket {
  tokens: number;
  /** When they were counted, in seconds. */
  at: number;
}

/**
 * Whose bucket a request is taken from: an IPv4 address, or the /64 that an IPv6 address is from, for whoever has one
 * of its addresses has all of them.
 */
export function bucketOf(address: string): string {
  const plain = address.replace(/%.*$/, "").replace(/^::ffff:(?=\d+\.)/i, "");
  if (!isIPv6(plain)) return plain;
  const [head = "", tail] = plain.split("::");
  const groups = head === "" ? [] : head.split(":");
  const after = tail === undefined || tail === "" ? [] : tail.split(":");
  // An IPv4 address at the end stands for two groups.
  const length = groups.length + after.length + (plain.includes(".") ? 1 : 0);
  const zeros = tail === undefined ? 0 : 8 - length;
  const all = [...groups, ...Array<string>(zeros).fill("0"), ...after];
  return all
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(":");
}

/** A token bucket for each address. */
export class RateLimiter {
  readonly #perSecond: number;
  readonly #burst: number;
  readonly #now: () => number;
  /** In the order of their last use. */
  readonly #buckets = new Map<string, Bucket>();

  /**
   * @param perSecond tokens that each bucket gets; 0: there is no limit
   * @param now in seconds
   */
  constructor(perSecond: number, now: () => number = () => performance.now() / 1000) {
    this.#perSecond = perSecond;
    this.#burst = perSecond * BURST_SECONDS;
    this.#now = now;
  }

  /** How many addresses are remembered. */
  get size(): number {
    return this.#buckets.size;
  }

  /** @returns 0 when a token was there, and was taken; else in how many whole seconds there will be one */
  take(address: string): number {
    const seconds = this.wait(address);
    if (seconds === 0) this.charge(address);
    return seconds;
  }

  /** @returns 0 when a token is there; else in how many whole seconds there will be one */
  wait(address: string): number {
    if (this.#perSecond === 0) return 0;
    const { tokens } = this.#fill(bucketOf(address));
    return tokens >= 1 ? 0 : Math.ceil((1 - tokens) / this.#perSecond);
  }

  /** Takes a token, there or not; an empty bucket stays empty. */
  charge(address: string): void {
    if (this.#perSecond === 0) return;
    const bucket = this.#fill(bucketOf(address));
    bucket.tokens = Math.max(0, bucket.tokens - 1);
  }

  #fill(key: string): Bucket {
    const at = this.#now();
    const known = this.#buckets.get(key);
    const tokens =
      known === undefined ? this.#burst : Math.min(this.#burst, known.tokens + (at - known.at) * this.#perSecond);
    const bucket = { tokens, at };
    this.#buckets.delete(key);
    this.#buckets.set(key, bucket);
    if (this.#buckets.size > MAX_ADDRESSES) this.#buckets.delete(this.#buckets.keys().next().value!);
    return bucket;
  }
}
