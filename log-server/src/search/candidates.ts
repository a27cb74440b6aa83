import { TILE_WIDTH } from "../formats/tile.ts";
import type { IndexDatabase } from "../store/index-folder.ts";
import { GROUP_PREFIX, prefixesOf, type SearchChunk, SPANS_PREFIX } from "./chunk.ts";
import { type NumberedRecord, RecordList } from "./lists.ts";
import { CHUNK_ENTRIES, eachRun } from "./postings.ts";
import type { SearchQuery } from "./terms.ts";
import { decodeSpans, GROUP_CHUNKS, type Span, touches } from "./zones.ts";

/** A part of the tree, down to `floor`, and the entries in it that may be what was searched for. */
export interface Stretch {
  /** Descending. */
  readonly indexes: readonly number[];
  /** Index of its first entry. */
  readonly floor: number;
}

/** Offsets that every one of several sets has. */
class Intersection {
  /** By offset: in how many of the sets so far, if in all of them. */
  readonly #marks = new Uint8Array(CHUNK_ENTRIES);
  #sets = 0;

  /** Begins the next set. */
  next(): void {
    this.#sets += 1;
  }

  /** Adds the offsets from `start` up to `end` to the set begun last. */
  add(start: number, end: number): void {
    for (let i = start; i < end; i += 1) if (this.#marks[i] === this.#sets - 1) this.#marks[i] = this.#sets;
  }

  /**
   * @param floor index of the chunk's first entry
   * @param end offsets from this one on are left out
   * @param spans of the bundles; what cannot be in the query's range is left out
   */
  stretch(floor: number, end: number, spans: readonly Span[] | undefined, query: SearchQuery): Stretch {
    const indexes: number[] = [];
    for (let bundle = Math.ceil(end / TILE_WIDTH) - 1; bundle >= 0; bundle -= 1) {
      const span = spans?.[bundle];
      if (span !== undefined && !touches(span, query)) continue;
      for (let i = Math.min(end, (bundle + 1) * TILE_WIDTH) - 1; i >= bundle * TILE_WIDTH; i -= 1) {
        if (this.#marks[i] === this.#sets) indexes.push(floor + i);
      }
    }
    return { indexes, floor };
  }
}

const isTimed = ({ since, until }: SearchQuery): boolean => since !== undefined || until !== undefined;

/** @returns the candidates in the chunk that is in memory, below an index. */
export function candidatesIn(chunk: SearchChunk, query: SearchQuery, index: number): Stretch {
  const common = new Intersection();
  for (const [field, values] of query.values) {
    common.next();
    for (const value of values) for (const offset of chunk.offsets(field, value)) common.add(offset, offset + 1);
  }
  const end = Math.min(index - chunk.first, chunk.count);
  return common.stretch(chunk.first, end, isTimed(query) ? chunk.spans : undefined, query);
}

/** The chunks in the database that may have what is searched for, from the newest down. */
export class CandidateChunks {
  readonly #query: SearchQuery;
  /** Of each field: the lists whose union has the entries with one of its values. */
  readonly #fields: RecordList[][];
  readonly #spans: RecordList;
  readonly #groups: RecordList;
  readonly #mayGoOn: () => boolean;

  /** @param mayGoOn asked before each further step; when it says no, `next` says how far it came */
  constructor(db: IndexDatabase, query: SearchQuery, read: (records: number) => void, mayGoOn: () => boolean) {
    const list = (prefix: Buffer): RecordList => new RecordList(db, prefix, read);
    this.#query = query;
    this.#fields = [...query.values].map(([field, values]) => prefixesOf(field, values).map(list));
    this.#spans = list(SPANS_PREFIX);
    this.#groups = list(GROUP_PREFIX);
    this.#mayGoOn = mayGoOn;
  }

  /**
   * @param index only entries below it are asked for
   * @returns a stretch that ends at the index: without candidates, where it was time to pause or there are no more
   * @throws Error when a record is damaged, or the database cannot be read
   */
  async next(index: number): Promise<Stretch> {
    for (let end = index; ; ) {
      if (end === 0) return { indexes: [], floor: 0 };
      const highest = Math.ceil(end / CHUNK_ENTRIES) - 1;
      const lists = await this.#agree(highest);
      if (typeof lists === "number") return { indexes: [], floor: lists };
      const { chunk, records } = lists;
      end = Math.min(end, (chunk + 1) * CHUNK_ENTRIES);
      const spans = isTimed(this.#query) ? await this.#spansOf(chunk) : undefined;
      if (typeof spans === "number") {
        end = spans;
      } else {
        const first = chunk * CHUNK_ENTRIES;
        const stretch = intersect(records).stretch(first, end - first, spans, this.#query);
        if (stretch.indexes.length > 0) return stretch;
        end = first;
      }
      if (!this.#mayGoOn()) return { indexes: [], floor: end };
    }
  }

  /**
   * @returns the greatest chunk up to this one for which each field has records, and these; or the index down to which
   * there is none, 0 when there is none at all
   */
  async #agree(highest: number): Promise<{ chunk: number; records: NumberedRecord[][] } | number> {
    let chunk = highest;
    const records: NumberedRecord[][] = [];
    for (let i = 0; i < this.#fields.length; ) {
      const found = (await Promise.all(this.#fields[i]!.map((list) => list.atOrBelow(chunk)))).filter(
        (record) => record !== undefined,
      );
      if (found.length === 0) return 0;
      const greatest = Math.max(...found.map(({ number }) => number));
      records[i] = found.filter(({ number }) => number === greatest);
      const agreed = greatest === chunk || i === 0;
      chunk = greatest;
      if (!agreed && !this.#mayGoOn()) return (chunk + 1) * CHUNK_ENTRIES;
      // The fields before this one have not been asked about this chunk.
      i = agreed ? i + 1 : 0;
    }
    return { chunk, records };
  }

  /** @returns the spans of the chunk's bundles; or the index from which down something may be in the range. */
  async #spansOf(chunk: number): Promise<readonly Span[] | number> {
    const group = Math.floor(chunk / GROUP_CHUNKS);
    const [whole] = this.#decoded(await this.#groups.atOrBelow(group), group);
    if (!touches(whole!, this.#query)) return group * GROUP_CHUNKS * CHUNK_ENTRIES;
    const spans = this.#decoded(await this.#spans.atOrBelow(chunk), chunk);
    return spans.some((span) => touches(span, this.#query)) ? spans : chunk * CHUNK_ENTRIES;
  }

  #decoded(record: NumberedRecord | undefined, number: number): Span[] {
    const spans = record?.number === number ? decodeSpans(record.payload) : undefined;
    if (spans === undefined || spans.length === 0)
      throw new Error(`the times of its chunk or group ${number} are missing`);
    return spans;
  }

  async close(): Promise<void> {
    await Promise.all([...this.#fields.flat(), this.#spans, this.#groups].map((list) => list.close()));
  }
}

function intersect(fields: readonly (readonly NumberedRecord[])[]): Intersection {
  const common = new Intersection();
  for (const records of fields) {
    common.next();
    for (const { number, payload } of records) {
      const whole = eachRun(payload, (start, end) => common.add(start, end));
      if (!whole) throw new Error(`its postings of chunk ${number} are malformed`);
    }
  }
  return common;
}
