/** A map bounded by the bytes it holds, in two generations. */

/**
 * What is looked up moves to the young generation; when that holds half of the bound, it becomes the old one and the
 * old one is dropped. So what was used within the last half of the bound is always there, and a lookup that finds its
 * entry young costs one `Map.get` (a strict LRU list would reorder at every hit).
 */
export class ByteCache<V> {
  #young: Map<string, { value: V; bytes: number }> = new Map();
  #old: Map<string, { value: V; bytes: number }> = new Map();
  #youngBytes = 0;
  #oldBytes = 0;
  readonly #half: number;

  /** @param bytes bound on the sum of what `set` was told */
  constructor(bytes: number) {
    this.#half = Math.floor(bytes / 2);
  }

  /** Bytes held now, as told to `set`. */
  get bytes(): number {
    return this.#youngBytes + this.#oldBytes;
  }

  get(key: string): V | undefined {
    const found = this.#young.get(key);
    if (found !== undefined) return found.value;
    const old = this.#old.get(key);
    if (old === undefined) return undefined;
    this.#old.delete(key);
    this.#oldBytes -= old.bytes;
    this.#put(key, old);
    return old.value;
  }

  /** Does nothing when one entry alone would exceed half of the bound. The key must not be in the cache. */
  set(key: string, value: V, bytes: number): void {
    this.#put(key, { value, bytes });
  }

  #put(key: string, entry: { value: V; bytes: number }): void {
    if (entry.bytes > this.#half) return;
    if (this.#youngBytes + entry.bytes > this.#half) {
      this.#old = this.#young;
      this.#oldBytes = this.#youngBytes;
      this.#young = new Map();
      this.#youngBytes = 0;
    }
    this.#young.set(key, entry);
    this.#youngBytes += entry.bytes;
  }
}
