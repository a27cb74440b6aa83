import type { Prepared, Undo } from "./answers.ts";

/**
 * Of a session's portals those whose statement is not a plain one. Beliefs run ahead of the answers, as those about
 * names do: what a message has changed can be taken back, for a portal outlives a message that failed or was skipped
 * when it was made before the last savepoint.
 */
export class Portals {
  /** Undefined stands for a plain one, or none, where there was another before. */
  readonly #portals: Map<string, { readonly prepared: Prepared | undefined }> = new Map();

  get empty(): boolean {
    return this.#portals.size === 0;
  }

  get(name: string): Prepared | undefined {
    return this.#portals.get(name)?.prepared;
  }

  /**
   * @param prepared undefined: a plain one, or none
   * @returns takes it back, unless something later has changed it again; undefined when there is nothing to take back
   */
  set(name: string, prepared: Prepared | undefined): Undo | undefined {
    const before = this.#portals.get(name);
    if (before === undefined && prepared === undefined) return undefined;
    const now = { prepared };
    this.#portals.set(name, now);
    return () => {
      if (this.#portals.get(name) !== now) return;
      if (before === undefined) this.#portals.delete(name);
      else this.#portals.set(name, before);
    };
  }

  clear(): void {
    if (this.#portals.size > 0) this.#portals.clear();
  }
}
