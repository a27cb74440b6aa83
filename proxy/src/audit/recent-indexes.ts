import type { AcknowledgedRange } from "./acknowledged.ts";

/** Ranges that are kept: of a log that nobody else writes to, one is an epoch. */
const MAX_RANGES = 4096;

interface Range {
  readonly epoch: number;
  readonly seq: number;
  readonly index: number;
  count: number;
}

/** Where the log put what this run submitted, as far as it is remembered. */
export class RecentIndexes {
  #ranges: Range[] = [];

  /** @param ranges behind all that were added before, in ascending order */
  add(epoch: number, ranges: readonly AcknowledgedRange[]): void {
    for (const { seq, index, count } of ranges) {
      const last = this.#ranges.at(-1);
      if (last?.epoch === epoch && last.seq + last.count === seq && last.index + last.count === index)
        last.count += count;
      else this.#ranges.push({ epoch, seq, index, count });
    }
    // Half at a time, so that it does not happen for each one.
    if (this.#ranges.length > MAX_RANGES) this.#ranges = this.#ranges.slice(-MAX_RANGES / 2);
  }

  /** @returns the log's index of this entry; undefined when it was submitted by an earlier run, or long ago */
  find(epoch: number, seq: number): number | undefined {
    let from = 0;
    let to = this.#ranges.length;
    while (from < to) {
      const middle = Math.floor((from + to) / 2);
      const { epoch: e, seq: s } = this.#ranges[middle]!;
      if (e < epoch || (e === epoch && s <= seq)) from = middle + 1;
      else to = middle;
    }
    const found = this.#ranges[from - 1];
    return found?.epoch === epoch && seq < found.seq + found.count ? found.index + seq - found.seq : undefined;
  }
}
