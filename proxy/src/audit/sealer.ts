import type { SealIntervals } from "./options.ts";

/** When the next seal is due (spec/submission.md, seal). Does not know what a seal is. */
export class Sealer {
  readonly #intervals: SealIntervals;
  readonly #seal: () => void;
  #entries = 0;
  #timer: NodeJS.Timeout | undefined;
  #dueAt = Number.POSITIVE_INFINITY;

  /** @param seal writes one, and then calls {@link sealed} */
  constructor(intervals: SealIntervals, seal: () => void) {
    this.#intervals = intervals;
    this.#seal = seal;
  }

  /** An entry other than a seal was written. */
  wrote(): void {
    if (++this.#entries >= this.#intervals.everyEntries) this.#seal();
    else if (this.#entries === 1) this.#due(this.#intervals.everyMs);
  }

  sealed(): void {
    this.#entries = 0;
    this.stop();
    this.#due(this.#intervals.idleMs);
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#dueAt = Number.POSITIVE_INFINITY;
  }

  #due(ms: number): void {
    const at = performance.now() + ms;
    if (at >= this.#dueAt) return;
    clearTimeout(this.#timer);
    this.#dueAt = at;
    this.#timer = setTimeout(() => {
      this.#dueAt = Number.POSITIVE_INFINITY;
      this.#seal();
    }, ms);
  }
}
