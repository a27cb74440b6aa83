import { TILE_WIDTH } from "../formats/tile.ts";
import { CHUNK_ENTRIES, encodeOffsets, numbered, sealRecord, termOf, termPrefix } from "./postings.ts";
import { membersOf, type SearchField, searchFields } from "./terms.ts";
import { emptySpans, encodeSpans, type Span, STAMP_BYTES, widen } from "./zones.ts";

/**
 * Values of a field by which an entry is indexed. One that has more is indexed as one that may have any value: so the
 * memory of a chunk is bounded, and who searches looks into the entry.
 */
const MOST_VALUES = 24;
/** Added to a field's code: the entries that may have any value. */
const ANY_VALUE = 128;

/** The prefix of the records with the spans of a chunk, and of those with the span of a group of chunks. */
export const SPANS_PREFIX: Buffer = Buffer.of(0xf0);
export const GROUP_PREFIX: Buffer = Buffer.of(0xf1);

export interface IndexRecord {
  readonly key: Buffer;
  readonly value: Buffer;
}

/** The prefixes of the records that together have every entry with one of these values, and perhaps some without. */
export function prefixesOf(field: SearchField, values: readonly string[]): Buffer[] {
  const prefixes = values.map((value) => termPrefix(field.code, termOf(value)));
  return field.isList ? [...prefixes, termPrefix(field.code + ANY_VALUE, "")] : prefixes;
}

/** The chunk at the end of the tree: in memory until it is full. At a start it is read from the tree again. */
export class SearchChunk {
  readonly number: number;
  /** Entries so far. */
  count = 0;
  readonly spans: Span[] = emptySpans();
  /** By field code and term: offsets, ascending. */
  readonly #postings = new Map<number, Map<string, number[]>>();

  constructor(number: number) {
    this.number = number;
  }

  /** Index of its first entry. */
  get first(): number {
    return this.number * CHUNK_ENTRIES;
  }

  get isFull(): boolean {
    return this.count === CHUNK_ENTRIES;
  }

  /** Adds the next entry. */
  add(bytes: Buffer): void {
    const offset = this.count;
    this.count += 1;
    const entry = membersOf(bytes);
    if (entry === undefined) return;
    for (const field of searchFields) {
      const values = field.valuesOf(entry);
      if (field.isList && values.length > MOST_VALUES) this.#post(field.code + ANY_VALUE, "", offset);
      else for (const value of values) this.#post(field.code, termOf(value), offset);
    }
    const { time } = entry;
    if (typeof time === "string" && time.length === STAMP_BYTES) {
      widen(this.spans[Math.floor(offset / TILE_WIDTH)]!, { least: time, most: time });
    }
  }

  #post(code: number, term: string, offset: number): void {
    let terms = this.#postings.get(code);
    if (terms === undefined) {
      terms = new Map();
      this.#postings.set(code, terms);
    }
    const offsets = terms.get(term);
    if (offsets === undefined) terms.set(term, [offset]);
    else if (offsets.at(-1) !== offset) offsets.push(offset);
  }

  /** @returns the offsets of the entries that may have this value, in no order. */
  offsets(field: SearchField, value: string): readonly number[] {
    const own = this.#postings.get(field.code)?.get(termOf(value)) ?? [];
    const any = this.#postings.get(field.code + ANY_VALUE)?.get("") ?? [];
    return [...own, ...any];
  }

  /** @returns what is written of the chunk when it is full. */
  *records(): Generator<IndexRecord> {
    for (const [code, terms] of this.#postings) {
      for (const [term, offsets] of terms) {
        const key = numbered(termPrefix(code, term), this.number);
        yield { key, value: sealRecord(key, encodeOffsets(offsets)) };
      }
    }
    const key = numbered(SPANS_PREFIX, this.number);
    yield { key, value: sealRecord(key, encodeSpans(this.spans)) };
  }
}
