/** Sums since the proxy started. */
export interface Sums {
  sessions: number;
  statements: number;
  failed: number;
  bytesIn: number;
  bytesOut: number;
  /** Milliseconds that statements took together. */
  ms: number;
}

export interface DatabaseStatistics extends Readonly<Sums> {
  readonly database: string;
  /** Since the last full minute ended: each second, and of a statement. */
  readonly average: {
    readonly statements: number;
    readonly bytesIn: number;
    readonly bytesOut: number;
    readonly ms: number;
  };
}

const PERIOD_MS = 60_000;
/** Each is a name that a server knows, so they are few; a server that lies must not fill the memory. */
const MAX_DATABASES = 1000;
const OTHERS = "(others)";

/** What was done in each database, by sessions that had access to it. */
export class Statistics {
  readonly #sums = new Map<string, Sums>();
  readonly #now: () => number;
  readonly #timer: NodeJS.Timeout;
  #before = new Map<string, Sums>();
  #beforeAt: number;

  /** @param now a monotonic clock, in milliseconds */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
    this.#beforeAt = now();
    this.#timer = setInterval(() => this.turn(), PERIOD_MS).unref();
  }

  session(database: string): void {
    this.#of(database).sessions += 1;
  }

  statement(database: string, failed: boolean, ms: number, bytesIn: number, bytesOut: number): void {
    const sums = this.#of(database);
    sums.statements += 1;
    if (failed) sums.failed += 1;
    sums.ms += ms;
    sums.bytesIn += bytesIn;
    sums.bytesOut += bytesOut;
  }

  rows(): DatabaseStatistics[] {
    const seconds = Math.max(1, (this.#now() - this.#beforeAt) / 1000);
    return [...this.#sums].map(([database, sums]) => {
      const before = this.#before.get(database) ?? noSums();
      const statements = sums.statements - before.statements;
      return {
        database,
        ...sums,
        average: {
          statements: statements / seconds,
          bytesIn: (sums.bytesIn - before.bytesIn) / seconds,
          bytesOut: (sums.bytesOut - before.bytesOut) / seconds,
          ms: statements === 0 ? 0 : (sums.ms - before.ms) / statements,
        },
      };
    });
  }

  /** A period is over. */
  turn(): void {
    this.#before = new Map([...this.#sums].map(([database, sums]) => [database, { ...sums }]));
    this.#beforeAt = this.#now();
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #of(name: string): Sums {
    const known = this.#sums.get(name);
    if (known !== undefined) return known;
    const database = this.#sums.size < MAX_DATABASES ? name : OTHERS;
    const sums = this.#sums.get(database) ?? noSums();
    this.#sums.set(database, sums);
    return sums;
  }
}

function noSums(): Sums {
  return { sessions: 0, statements: 0, failed: 0, bytesIn: 0, bytesOut: 0, ms: 0 };
}
