import { LogServerError } from "../errors.ts";
import type { TreeReader } from "../tree/log.ts";
import { BundleCache } from "./bundles.ts";
import { CandidateChunks, candidatesIn, type Stretch } from "./candidates.ts";
import { DEFAULT_LIMITS, type SearchHit, type SearchLimits, SearchReading } from "./reading.ts";
import type { SearchIndex, SearchView } from "./search-index.ts";
import type { SearchQuery } from "./terms.ts";

/** How long a search waits for entries that were published a moment ago, and how many may then still be missing. */
const WAIT_MS = 500;
const MOST_LAG = 16_384;
/** Searches that run at a time; those that wait beyond that are refused. */
const MOST_RUNNING = 4;
const MOST_WAITING = 64;

/** A part of what was found, newest first. */
export interface SearchPage {
  /** Of the tree that was searched. */
  readonly size: number;
  readonly hits: readonly SearchHit[];
  /** The entries below this index were not searched yet; 0 when there is nothing more. */
  readonly below: number;
  /** How many entries this page decided about, by the index or by reading them. */
  readonly scanned: number;
}

export interface SearchRequest {
  readonly query: SearchQuery;
  readonly limit: number;
  /** Where an earlier page ended. */
  readonly from?: { readonly size: number; readonly below: number };
}

/** Answers searches: finds candidates in the index, and reads them from the tree before it says that they match. */
export class Searcher {
  readonly #index: SearchIndex;
  readonly #bundles: BundleCache;
  readonly #limits: SearchLimits;
  #running = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(index: SearchIndex, reader: TreeReader, limits: SearchLimits = DEFAULT_LIMITS) {
    this.#index = index;
    this.#bundles = new BundleCache(reader);
    this.#limits = limits;
  }

  /**
   * @param published size of the latest checkpoint
   * @throws LogServerError `index_behind`, `too_busy`; `store_corrupt` when the tree itself is damaged
   */
  async page(request: SearchRequest, published: number): Promise<SearchPage> {
    await this.#enter();
    try {
      const wanted = request.from?.size ?? published;
      if (wanted - this.#index.position <= MOST_LAG) await this.#index.reach(wanted, WAIT_MS);
      return await this.#search(request, published);
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#running -= 1;
      else next();
    }
  }

  async #enter(): Promise<void> {
    if (this.#running < MOST_RUNNING) {
      this.#running += 1;
      return;
    }
    if (this.#waiting.length >= MOST_WAITING) {
      throw new LogServerError("too_busy", `${MOST_WAITING} searches wait already; retry`);
    }
    // Whoever ends hands its place over.
    await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  async #search({ query, limit, from }: SearchRequest, published: number): Promise<SearchPage> {
    const view = this.#index.view();
    const size = from?.size ?? Math.min(published, view.position);
    if (view.position < size || (from === undefined && published - size > MOST_LAG)) {
      const message = `the search index has ${view.position} entries, and ${from?.size ?? published} are needed; retry`;
      throw new LogServerError("index_behind", message);
    }
    const top = from?.below ?? size;
    const page = new SearchReading(this.#bundles, size, query, limit, this.#limits);
    const below = await this.#collect(view, page, query, top);
    return { size, hits: page.hits, below, scanned: top - below };
  }

  /** @returns the index down to which everything was decided. */
  async #collect({ tail, db }: SearchView, page: SearchReading, query: SearchQuery, top: number): Promise<number> {
    const read = (records: number): void => page.budget.record(records);
    const chunks = new CandidateChunks(db, query, read, () => !page.budget.isSpent);
    const next = async (below: number): Promise<Stretch> => {
      try {
        return await chunks.next(below);
      } catch (error) {
        throw this.#index.fault(db, error);
      }
    };
    try {
      // The tail is looked into before anything else can be added to it, or it be written.
      const first = top > tail.first ? candidatesIn(tail, query, top) : undefined;
      return await page.collect(top, async (below) => (below === top && first !== undefined ? first : next(below)));
    } finally {
      await chunks.close().catch(() => undefined); // the database was closed under it
    }
  }
}
