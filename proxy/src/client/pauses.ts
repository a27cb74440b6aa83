/** Every database. */
const ALL = "";

/** The databases whose clients wait: what was begun ends, and nothing else begins. */
export class Pauses {
  readonly #databases = new Set<string>();
  readonly #waiting = new Set<() => void>();

  get any(): boolean {
    return this.#databases.size > 0;
  }

  /** Whether all databases are paused at once. */
  get all(): boolean {
    return this.#databases.has(ALL);
  }

  holds(database: string): boolean {
    return this.#databases.size > 0 && (this.#databases.has(ALL) || this.#databases.has(database));
  }

  /** @param database all of them when left out */
  pause(database: string = ALL): void {
    this.#databases.add(database);
  }

  /**
   * @param database all of them when left out, those paused one by one too
   * @returns whether that changes anything
   */
  resume(database: string = ALL): boolean {
    const was = database === ALL ? this.any : this.#databases.delete(database);
    if (database === ALL) this.#databases.clear();
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const look of waiting) look();
    return was;
  }

  /**
   * @param left aborted when whoever waits has left
   * @returns when the database is not paused, or nobody waits for that
   */
  async untilResumed(database: string, left?: AbortSignal): Promise<void> {
    while (this.holds(database) && left?.aborted !== true) {
      await new Promise<void>((resolve) => {
        const look = (): void => {
          left?.removeEventListener("abort", look);
          this.#waiting.delete(look);
          resolve();
        };
        left?.addEventListener("abort", look);
        this.#waiting.add(look);
      });
    }
  }
}
