import { cancelUpstream, type UpstreamAddress } from "./upstream.ts";

interface Key {
  readonly pid: number;
  readonly key: Buffer;
}

/**
 * The keys of the live sessions. A cancel request is passed on only for one of these: the proxy is not a way to reach
 * sessions that others opened.
 */
export class CancelKeys {
  readonly #keys = new Set<string>();
  readonly #upstream: UpstreamAddress;
  readonly #timeoutMs: number;

  constructor(upstream: UpstreamAddress, timeoutMs: number) {
    this.#upstream = upstream;
    this.#timeoutMs = timeoutMs;
  }

  add(key: Key): void {
    this.#keys.add(nameOf(key));
  }

  delete(key: Key): void {
    this.#keys.delete(nameOf(key));
  }

  /** Like the server, says nothing about whether the key was good or the request arrived. */
  async cancel(pid: number, key: Buffer): Promise<void> {
    if (!this.#keys.has(nameOf({ pid, key }))) return;
    try {
      await cancelUpstream(this.#upstream, pid, key, this.#timeoutMs);
    } catch {
      // The server cannot be reached: there is nobody to tell.
    }
  }
}

function nameOf({ pid, key }: Key): string {
  return `${pid}:${key.toString("latin1")}`;
}
