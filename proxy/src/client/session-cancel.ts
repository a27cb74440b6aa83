import type { Backend, BackendKey } from "../backend.ts";
import type { Execution } from "../session/execution.ts";

/** How long an execution that returns too much may take to end by itself. */
const EXCEEDED_MS = 20;

/**
 * The cancels that the proxy itself asks of one session's backend. Nobody waits for their answers: one that does not
 * arrive leaves the statement to run to its end.
 */
export class SessionCancel {
  readonly #backend: Backend;
  readonly #key: () => BackendKey | undefined;
  readonly #onSettled: () => void;
  #last = false;
  #underWay = 0;

  /** @param onSettled a cancel has gone out, or could not */
  constructor(backend: Backend, key: () => BackendKey | undefined, onSettled: () => void) {
    this.#backend = backend;
    this.#key = key;
    this.#onSettled = onSettled;
  }

  /** A cancel is on its way: what is sent to the server now might be what it hits. */
  get underWay(): boolean {
    return this.#underWay > 0;
  }

  /** What runs is not wanted any more, nor anything after it. Asked once. */
  forGood(): void {
    if (this.#last || this.#key() === undefined) return;
    this.#last = true;
    this.now();
  }

  /** What runs is to be cancelled; the session goes on. */
  now(): void {
    const key = this.#key();
    if (key === undefined) return;
    this.#underWay += 1;
    this.#backend
      .cancel(key)
      .catch(() => undefined)
      .finally(() => {
        this.#underWay -= 1;
        this.#onSettled();
      });
  }

  /**
   * A cancel that arrives late would hit the next statement, so what ends by itself in a moment is left alone. What it
   * returns in the meantime is not passed on.
   */
  exceeding(execution: Execution): void {
    setTimeout(() => {
      if (!execution.ended) this.now();
    }, EXCEEDED_MS).unref();
  }
}
