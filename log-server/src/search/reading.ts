import { TILE_WIDTH } from "../formats/tile.ts";
import type { BundleCache } from "./bundles.ts";
import type { Stretch } from "./candidates.ts";
import { makeMatcher, type SearchQuery } from "./terms.ts";
import { mayBeWithin } from "./zones.ts";

export interface SearchHit {
  readonly index: number;
  /** The entry's bytes. */
  readonly entry: Buffer;
}

/** What one page may cost. */
export interface SearchLimits {
  /** Records of the index. */
  readonly records: number;
  /** Bundles of the tree, and bytes in them. */
  readonly bundles: number;
  readonly bundleBytes: number;
  /** Entries that are looked into. */
  readonly parsed: number;
  /** Bytes of entries in the answer. */
  readonly answerBytes: number;
}

/**
 * A search that is not done by then ends its page and says where to go on, so that nobody can make the log read without
 * end. Whatever the limits, a page goes at least one entry on.
 */
export const DEFAULT_LIMITS: SearchLimits = {
  records: 1024,
  bundles: 64,
  bundleBytes: 32 * 2 ** 20,
  parsed: 4096,
  answerBytes: 4 * 2 ** 20,
};

/** Counts what a page costs. */
class Budget {
  readonly #limits: SearchLimits;
  #records = 0;
  #bundles = 0;
  #bundleBytes = 0;
  #parsed = 0;
  #answerBytes = 0;

  constructor(limits: SearchLimits) {
    this.#limits = limits;
  }

  record(count: number): void {
    this.#records += count;
  }

  bundle(): void {
    this.#bundles += 1;
  }

  read(entries: readonly Buffer[]): void {
    for (const { length } of entries) this.#bundleBytes += length;
  }

  parse(): void {
    this.#parsed += 1;
  }

  hit({ length }: Buffer): void {
    this.#answerBytes += length;
  }

  get isSpent(): boolean {
    return (
      this.#records > this.#limits.records ||
      this.#bundles >= this.#limits.bundles ||
      this.#bundleBytes > this.#limits.bundleBytes ||
      this.#parsed > this.#limits.parsed ||
      this.#answerBytes > this.#limits.answerBytes
    );
  }
}

/**
 * Bundles that are read at a time. Two keep both the disk and the processor busy; with four, the many large blocks that
 * come and go on several threads let the allocator keep a gigabyte.
 */
const AHEAD = 2;

/** A bundle that is being read, for the candidates in it. */
interface Step {
  /** Descending. */
  readonly indexes: readonly number[];
  /** Everything from this index on is decided when the step is done. */
  readonly floor: number;
  /** The entries from `first` on. */
  readonly first: number;
  readonly entries: Promise<readonly Buffer[]>;
}

/** Reads candidates from the tree until there are enough hits for a page, or it has cost enough. */
export class SearchReading {
  readonly hits: SearchHit[] = [];
  readonly budget: Budget;
  readonly #query: SearchQuery;
  readonly #bundles: BundleCache;
  readonly #size: number;
  readonly #limit: number;
  readonly #matches: (bytes: Buffer) => boolean;

  /** @param size of the tree that is searched */
  constructor(bundles: BundleCache, size: number, query: SearchQuery, limit: number, limits: SearchLimits) {
    this.#query = query;
    this.budget = new Budget(limits);
    this.#bundles = bundles;
    this.#size = size;
    this.#limit = limit;
    this.#matches = makeMatcher(query);
  }

  /**
   * @param top only entries below this index are searched
   * @param next gives the stretch that ends at an index, which is above 0
   * @returns the index down to which everything was decided, below `top`
   * @throws LogServerError `store_corrupt`; and what `next` throws
   */
  async collect(top: number, next: (index: number) => Promise<Stretch>): Promise<number> {
    const steps: Step[] = [];
    let awaited = 0;
    let ahead: Stretch = { indexes: [], floor: top };
    /** Everything from here on is decided, or a step. */
    const reached = (): number => (ahead.indexes.length > 0 ? ahead.indexes[0]! + 1 : ahead.floor);
    for (;;) {
      while (reached() > 0 && this.#wantsMore(steps.length, awaited, reached() === top)) {
        if (ahead.indexes.length === 0) {
          ahead = await next(ahead.floor);
          continue;
        }
        const step = this.#begin(ahead);
        steps.push(step);
        awaited += step.indexes.length;
        ahead = { indexes: ahead.indexes.slice(step.indexes.length), floor: ahead.floor };
      }
      const step = steps.shift();
      if (step === undefined) return reached();
      awaited -= step.indexes.length;
      const below = await this.#finish(step);
      if (this.hits.length >= this.#limit) return below;
    }
  }

  /** @param first whether nothing was decided yet: the first step is taken whatever it costs, so that a page gets on */
  #wantsMore(steps: number, awaited: number, first: boolean): boolean {
    if (steps === 0) return first || !this.budget.isSpent;
    return steps < AHEAD && this.hits.length + awaited < this.#limit && !this.budget.isSpent;
  }

  /** Begins to read the bundle with the first candidates of the stretch. */
  #begin({ indexes, floor }: Stretch): Step {
    const [highest] = indexes as [number, ...number[]];
    const first = Math.floor(highest / TILE_WIDTH) * TILE_WIDTH;
    const end = indexes.findIndex((index) => index < first);
    const entries = this.#bundles.entries(first, highest + 1, this.#size);
    // Perhaps nobody will wait for it.
    entries.catch(() => undefined);
    this.budget.bundle();
    return end < 0
      ? { indexes, floor, first, entries }
      : { indexes: indexes.slice(0, end), floor: first, first, entries };
  }

  /** @returns the index down to which everything was decided: the step's floor, or that of the last hit. */
  async #finish({ indexes, floor, first, entries: reading }: Step): Promise<number> {
    const entries = await reading;
    this.budget.read(entries);
    for (const index of indexes) {
      const entry = entries[index - first]!;
      if (!mayBeWithin(entry, this.#query)) continue;
      this.budget.parse();
      if (!this.#matches(entry)) continue;
      // A copy: the bundle would stay in memory with it.
      this.hits.push({ index, entry: Buffer.from(entry) });
      this.budget.hit(entry);
      if (this.hits.length >= this.#limit) return index;
    }
    return floor;
  }
}
