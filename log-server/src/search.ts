import { LogServerError } from "./errors.ts";
import type { TreeReader } from "./log.ts";
import { CandidateChunks, type Candidates, candidatesIn } from "./search-candidates.ts";
import type { SearchIndex, SearchView } from "./search-index.ts";
import { CHUNK_ENTRIES } from "./search-postings.ts";
import { makeMatcher, type SearchQuery } from "./search-terms.ts";
import { mayBeWithin } from "./search-zones.ts";
import { TILE_WIDTH } from "./tile.ts";

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
const DEFAULT_LIMITS: SearchLimits = {
  records: 1024,
  bundles: 64,
  bundleBytes: 32 * 2 ** 20,
  parsed: 4096,
  answerBytes: 4 * 2 ** 20,
};

/** How long a search waits for entries that were published a moment ago, and how many may then still be missing. */
const WAIT_MS = 500;
const MOST_LAG = 16_384;
/** Searches that run at a time; those that wait beyond that are refused. */
const MOST_RUNNING = 4;
const MOST_WAITING = 64;

export interface SearchHit {
  readonly index: number;
  /** The entry's bytes. */
  readonly entry: Buffer;
}

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

  bundle(entries: readonly Buffer[]): void {
    this.#bundles += 1;
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

/** Answers searches: finds candidates in the index, and reads them from the tree before it says that they match. */
export class Searcher {
  readonly #index: SearchIndex;
  readonly #reader: TreeReader;
  readonly #limits: SearchLimits;
  #running = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(index: SearchIndex, reader: TreeReader, limits: SearchLimits = DEFAULT_LIMITS) {
    this.#index = index;
    this.#reader = reader;
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
    const page = new Page(this.#reader, query, limit, new Budget(this.#limits));
    const below = await this.#collect(view, page, top);
    return { size, hits: page.hits, below, scanned: top - below };
  }

  /** @returns the index down to which everything was decided. */
  async #collect(view: SearchView, page: Page, top: number): Promise<number> {
    const { query, budget } = page;
    const { tail, db } = view;
    let below = top;
    if (below > tail.first) {
      below = await page.read(candidatesIn(tail, query, below - tail.first), tail.first);
    }
    const chunks = new CandidateChunks(
      db,
      query,
      (records) => budget.record(records),
      () => !budget.isSpent,
    );
    try {
      while (below > 0 && !page.isDone) {
        let found: Candidates | number;
        try {
          found = await chunks.next(below);
        } catch (error) {
          throw this.#index.fault(db, error);
        }
        below = typeof found === "number" ? found : await page.read(found, found.chunk * CHUNK_ENTRIES);
      }
    } finally {
      await chunks.close().catch(() => undefined); // the database was closed under it
    }
    return below;
  }
}

/** The hits of a page, as they are read. */
class Page {
  readonly hits: SearchHit[] = [];
  readonly budget: Budget;
  readonly query: SearchQuery;
  readonly #reader: TreeReader;
  readonly #limit: number;
  readonly #matches: (bytes: Buffer) => boolean;
  #hasRead = false;

  constructor(reader: TreeReader, query: SearchQuery, limit: number, budget: Budget) {
    this.query = query;
    this.budget = budget;
    this.#reader = reader;
    this.#limit = limit;
    this.#matches = makeMatcher(query);
  }

  get isDone(): boolean {
    return this.hits.length >= this.#limit || this.budget.isSpent;
  }

  /**
   * Reads the candidates from the tree, and keeps those that match.
   * @param floor the first index of their chunk
   * @returns the index down to which everything was decided: `floor`, or where the page ended
   */
  async read({ offsets }: Candidates, floor: number): Promise<number> {
    let first = Number.POSITIVE_INFINITY;
    let entries: readonly Buffer[] = [];
    for (const offset of offsets) {
      const index = floor + offset;
      if (index < first) {
        if (this.#hasRead && this.budget.isSpent) return index + 1;
        this.#hasRead = true;
        first = Math.floor(index / TILE_WIDTH) * TILE_WIDTH;
        // The candidates descend: this is the last one of its bundle that is asked for.
        entries = await this.#reader.entries(first, index + 1);
        this.budget.bundle(entries);
      }
      const entry = entries[index - first]!;
      if (!mayBeWithin(entry, this.query)) continue;
      this.budget.parse();
      if (!this.#matches(entry)) continue;
      this.hits.push({ index, entry: Buffer.from(entry) });
      this.budget.hit(entry);
      if (this.hits.length >= this.#limit) return index;
    }
    return floor;
  }
}
