import type { Backend, BackendKey } from "../backend.ts";

/**
 * The keys of the live sessions. A cancel request is passed on only for one of these: the proxy is not a way to reach
 * sessions that others opened.
 */
export class CancelKeys {
  readonly #backends = new Map<string, Backend>();
  readonly #elsewhere: ((key: BackendKey) => void) | undefined;

  /** @param elsewhere told of a key that is none of these */
  constructor(elsewhere?: (key: BackendKey) => void) {
    this.#elsewhere = elsewhere;
  }

  add(key: BackendKey, backend: Backend): void {
    this.#backends.set(nameOf(key), backend);
  }

  delete(key: BackendKey): void {
    this.#backends.delete(nameOf(key));
  }

  /** A client asks. Like the server, says nothing about whether the key was good or the request arrived. */
  async request(key: BackendKey): Promise<void> {
    if (this.#backends.has(nameOf(key))) await this.cancel(key);
    else this.#elsewhere?.(key);
  }

  /** Does it, where the key is one of these. */
  async cancel(key: BackendKey): Promise<void> {
    try {
      await this.#backends.get(nameOf(key))?.cancel(key);
    } catch {
      // The server cannot be reached: there is nobody to tell.
    }
  }
}

function nameOf({ pid, key }: BackendKey): string {
  return `${pid}:${key.toString("latin1")}`;
}
