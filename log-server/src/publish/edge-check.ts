import { reason } from "../errors.ts";
import type { Store } from "../store/store.ts";
import type { SignedCheckpoint } from "./guard.ts";
import { checkAgainstSigned, recoverEdge } from "./recovery.ts";

/**
 * Reads the right edge of what is stored back and hashes it: the last bundle, the last full tile of each level, and
 * from them the root that was signed. That is at most 256 entries and 15 tiles, and asking more often than every
 * `every` milliseconds reads nothing: everybody may ask for it.
 */
export class EdgeCheck {
  readonly #store: Store;
  readonly #every: number;
  #at = Number.NEGATIVE_INFINITY;
  #found: Promise<string> | undefined;

  constructor(store: Store, every: number = 1000) {
    this.#store = store;
    this.#every = every;
  }

  /** @returns "ok", or a sentence */
  check(served: SignedCheckpoint): Promise<string> {
    const now = performance.now();
    if (this.#found === undefined || now - this.#at >= this.#every) {
      this.#at = now;
      this.#found = this.#look(served);
    }
    return this.#found;
  }

  async #look(served: SignedCheckpoint): Promise<string> {
    try {
      await recoverEdge(this.#store);
      await checkAgainstSigned(this.#store, served, "the checkpoint served");
      return "ok";
    } catch (error) {
      return reason(error);
    }
  }
}
