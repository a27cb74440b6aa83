/** The chain behind each of the entries written last, so that what follows them to the log need not hash them again. */
import type { Chain } from "./chain.ts";

const HASH_BYTES = 32;
/** What waits for the log is rarely more; of what is older the entries are hashed once more. 2 MiB. */
const PLACES = 65_536;

export class RecentChain {
  readonly #epoch: number;
  readonly #values: Buffer = Buffer.allocUnsafeSlow(HASH_BYTES * PLACES);
  /** Entries of the epoch so far. */
  #next = 0;

  constructor(epoch: number) {
    this.#epoch = epoch;
  }

  /** The entry that comes next in the epoch was added to the chain. */
  add(chain: Chain): void {
    chain.copyTo(this.#values, HASH_BYTES * (this.#next % PLACES));
    this.#next += 1;
  }

  /** The chain in front of the entry `next`, base64; undefined when it is not remembered. */
  at(epoch: number, next: number): string | undefined {
    if (epoch !== this.#epoch || next < 1 || next > this.#next || next <= this.#next - PLACES) return undefined;
    const start = HASH_BYTES * ((next - 1) % PLACES);
    return this.#values.toString("base64", start, start + HASH_BYTES);
  }
}
