/** How long a worker may take to give back what it does not use. */
const RETURN_MS = 3_000;

/** Shares the places for clients out to the workers: never more than there are. */
export class Office<Worker> {
  #limit: number;
  readonly #held = new Map<Worker, number>();
  readonly #recall: (worker: Worker, tight: boolean) => void;
  /** Who was asked to give back and has not answered. */
  readonly #recalled = new Set<Worker>();
  #answered: (() => void) | undefined;
  #last: Promise<unknown> = Promise.resolve();

  /**
   * @param recall asks a worker for what it does not use; `returned` is told of the answer. `tight` when more is held than
   * there is: the worker keeps no place then that a client leaves
   */
  constructor(limit: number, recall: (worker: Worker, tight: boolean) => void) {
    this.#limit = limit;
    this.#recall = recall;
  }

  /** When it is lower than what is held, what nobody uses comes back. */
  set limit(limit: number) {
    this.#limit = limit;
    this.#last = this.#last.then(() => (this.#free < 0 ? this.#collect() : undefined));
  }

  joined(worker: Worker): void {
    this.#held.set(worker, 0);
  }

  /** It is gone, and its clients with it. */
  left(worker: Worker): void {
    this.#held.delete(worker);
    this.#settle(worker);
  }

  /** Places that it was not asked for. */
  given(worker: Worker, places: number): void {
    const held = this.#held.get(worker);
    if (held !== undefined) this.#held.set(worker, Math.max(0, held - places));
  }

  /** What it was asked for. */
  returned(worker: Worker, places: number): void {
    this.given(worker, places);
    this.#settle(worker);
  }

  /** One worker is served at a time, in the order of asking. @returns how many more it has, 0 to `wanted` */
  grant(worker: Worker, wanted: number): Promise<number> {
    const next = this.#last.then(() => this.#grant(worker, wanted));
    this.#last = next;
    return next;
  }

  async #grant(worker: Worker, wanted: number): Promise<number> {
    if (this.#free <= 0) await this.#collect(worker);
    const held = this.#held.get(worker);
    const places = Math.min(wanted, this.#free);
    if (held === undefined || places <= 0) return 0;
    this.#held.set(worker, held + places);
    return places;
  }

  async #collect(but?: Worker): Promise<void> {
    for (const [worker, held] of this.#held) if (worker !== but && held > 0) this.#recalled.add(worker);
    if (this.#recalled.size === 0) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, RETURN_MS);
      this.#answered = () => {
        clearTimeout(timer);
        resolve();
      };
      for (const worker of this.#recalled) this.#recall(worker, this.#free < 0);
    });
    this.#recalled.clear();
    this.#answered = undefined;
  }

  get #free(): number {
    let held = 0;
    for (const places of this.#held.values()) held += places;
    return this.#limit - held;
  }

  #settle(worker: Worker): void {
    if (this.#recalled.delete(worker) && this.#recalled.size === 0) this.#answered?.();
  }
}
