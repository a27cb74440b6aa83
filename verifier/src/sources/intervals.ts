/**
 * A set of integers, kept as runs. The numbers of a source's sessions are given out nearly in order, so a source with
 * a million sessions behind it takes a few runs here.
 */
export class Intervals {
  /** Disjoint runs `[first, last]`, ascending, with a gap between each two. */
  readonly #runs: [number, number][] = [];

  /** @returns the position of the first run whose last number is not below `n`. */
  #find(n: number): number {
    let low = 0;
    let high = this.#runs.length;
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      if (this.#runs[middle]![1] < n) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  has(n: number): boolean {
    const run = this.#runs[this.#find(n)];
    return run !== undefined && run[0] <= n;
  }

  add(n: number): void {
    const at = this.#find(n);
    const after = this.#runs[at];
    if (after !== undefined && after[0] <= n) return;
    const before = this.#runs[at - 1];
    const joinsBefore = before !== undefined && before[1] === n - 1;
    const joinsAfter = after !== undefined && after[0] === n + 1;
    if (joinsBefore && joinsAfter) {
      before[1] = after[1];
      this.#runs.splice(at, 1);
    } else if (joinsBefore) before[1] = n;
    else if (joinsAfter) after[0] = n;
    else this.#runs.splice(at, 0, [n, n]);
  }

  toJSON(): [number, number][] {
    return this.#runs.map(([first, last]) => [first, last]);
  }

  static from(runs: readonly (readonly [number, number])[]): Intervals {
    const set = new Intervals();
    for (const [first, last] of runs) set.#runs.push([first, last]);
    return set;
  }
}
