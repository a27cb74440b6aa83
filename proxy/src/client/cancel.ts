import type { Backend, BackendKey } from "../backend.ts";

/**
 * The keys of the live sessions. A cancel request is passed on only for one of these: the proxy is not a way to reach
 * sessions that others opened.
 */
export class CancelKeys {
  readonly #backends = new Map<string, Backend>();
  readonly #elsewhere: ((key: BackendKey) => Promise<void>) | undefined;

  /** @param elsewhere does it for a key that is none of these */
  constructor(elsewhere?: (key: BackendKey) => Promise<void>) {
    this.#elsewhere = elsewhere;
  }

  add(key: BackendKey, backend: Backend): void {
    this.#backends.set(nameOf(key), backend);
  }

  delete(key: BackendKey): void {
    this.#backends.delete(nameOf(key));
  }

  /**
   * A client asks. Like the server, says nothing about whether the key was good or the request arrived; but it resolves
   * when nothing is on its way any more: the client takes the end for that, and sends what must not be hit.
   */
  async request(key: BackendKey): Promise<void> {
    if (!(await this.cancel(key))) await this.#elsewhere?.(key);
  }

  /** Does it, where the key is one of these. @returns whether it is */
  async cancel(key: BackendKey): Promise<boolean> {
    const backend = this.#backends.get(nameOf(key));
    try {
      await backend?.cancel(key);
    } catch {
      // The server cannot be reached: there is nobody to tell.
    }
    return backend !== undefined;
  }
}

function nameOf({ pid, key }: BackendKey): string {
  return `${pid}:${key.toString("latin1")}`;
}
