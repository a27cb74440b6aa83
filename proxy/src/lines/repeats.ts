/** So many of a kind are written in a window; the others are counted. */
const WRITTEN = 10;
const WINDOW_MS = 10_000;
/** Kinds that are remembered; what comes beyond them is written. */
const KINDS = 256;

interface Seen {
  count: number;
  readonly since: number;
}

/** Keeps a client that fails a thousand times a second from filling the disk that the spool is on. */
export class Repeats {
  readonly #seen = new Map<string, Seen>();
  readonly #onSilenced: (kind: string, count: number) => void;
  #timer: NodeJS.Timeout | undefined;

  /** @param onSilenced a window is over in which so many were not written */
  constructor(onSilenced: (kind: string, count: number) => void) {
    this.#onSilenced = onSilenced;
  }

  /** @returns whether one more of this kind is to be written */
  admits(kind: string): boolean {
    const seen = this.#seen.get(kind);
    if (seen !== undefined) {
      seen.count += 1;
      return seen.count <= WRITTEN;
    }
    if (this.#seen.size >= KINDS) return true;
    this.#seen.set(kind, { count: 1, since: performance.now() });
    this.#arm();
    return true;
  }

  /** Says what was not said. */
  close(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#tell(Infinity);
  }

  #arm(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#tell(performance.now() - WINDOW_MS / 2);
      if (this.#seen.size > 0) this.#arm();
    }, WINDOW_MS).unref();
  }

  #tell(until: number): void {
    for (const [kind, { count, since }] of this.#seen) {
      if (since > until) continue;
      this.#seen.delete(kind);
      if (count > WRITTEN) this.#onSilenced(kind, count - WRITTEN);
    }
  }
}
