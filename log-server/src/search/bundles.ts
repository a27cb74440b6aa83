import { TILE_WIDTH } from "../formats/tile.ts";
import type { TreeReader } from "../tree/log.ts";

const CACHE_BYTES = 16 * 2 ** 20;
/** A larger bundle would put out all the others. */
const LARGEST_BYTES = 2 ** 20;

/**
 * Reads the bundles that searches look into, and keeps those that were read last: most searches want the newest
 * entries, and all of them begin there.
 */
export class BundleCache {
  readonly #reader: TreeReader;
  /** Full bundles by their first index, which never change. Kept in the order of their last use. */
  readonly #kept = new Map<number, readonly Buffer[]>();
  readonly #most: number;
  #bytes = 0;

  /** @param most bytes of entries that are kept */
  constructor(reader: TreeReader, most: number = CACHE_BYTES) {
    this.#reader = reader;
    this.#most = most;
  }

  /** Bytes of the entries that are kept. */
  get bytes(): number {
    return this.#bytes;
  }

  /**
   * @param first index of the bundle's first entry
   * @param end at least the entries below it are wanted
   * @param size that the tree has at least
   * @throws LogServerError `store_corrupt`
   */
  async entries(first: number, end: number, size: number): Promise<readonly Buffer[]> {
    const kept = this.#kept.get(first);
    if (kept !== undefined) {
      this.#kept.delete(first);
      this.#kept.set(first, kept);
      return kept;
    }
    if (first + TILE_WIDTH > size) return this.#reader.entries(first, end);
    const entries = await this.#reader.entries(first, first + TILE_WIDTH);
    const bytes = bytesOf(entries);
    // Another search may have read it meanwhile.
    if (bytes > LARGEST_BYTES || this.#kept.has(first)) return entries;
    this.#kept.set(first, entries);
    this.#bytes += bytes;
    for (const [oldest, others] of this.#kept) {
      if (this.#bytes <= this.#most) break;
      this.#kept.delete(oldest);
      this.#bytes -= bytesOf(others);
    }
    return entries;
  }
}

/** They stand in one bundle, one behind the other, with their lengths between them. */
function bytesOf(entries: readonly Buffer[]): number {
  const last = entries.at(-1)!;
  return last.byteOffset + last.length - entries[0]!.byteOffset;
}
