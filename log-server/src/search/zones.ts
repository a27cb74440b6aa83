import { TILE_WIDTH } from "../formats/tile.ts";
import { CHUNK_ENTRIES } from "./postings.ts";
import { isWithin, type SearchQuery } from "./terms.ts";

// The span of the entries' times, by bundle and by group of chunks. Each source has its own clock, and a batch may
// come late: times are in no order, and what lies outside a query's range is told from its span.

/** Chunks in a group. */
export const GROUP_CHUNKS = 256;

const BUNDLES = CHUNK_ENTRIES / TILE_WIDTH;
/** Characters of a timestamp. */
export const STAMP_BYTES = 27;

/** The least and the greatest time of some entries; of none, a span that nothing touches. */
export interface Span {
  least: string;
  most: string;
}

export function emptySpan(): Span {
  return { least: "9".repeat(STAMP_BYTES), most: "0".repeat(STAMP_BYTES) };
}

/** Makes a span reach to what is in the other one. */
export function widen(span: Span, { least, most }: Span): void {
  if (least < span.least) span.least = least;
  if (most > span.most) span.most = most;
}

/** @returns whether an entry of the span may have a time in the query's range. */
export function touches({ least, most }: Span, { since, until }: SearchQuery): boolean {
  return least <= most && (since === undefined || most >= since) && (until === undefined || least < until);
}

/** The spans of a chunk's bundles. */
export function emptySpans(): Span[] {
  return Array.from({ length: BUNDLES }, emptySpan);
}

export function encodeSpans(spans: readonly Span[]): Buffer {
  return Buffer.from(spans.map(({ least, most }) => least + most).join(""), "latin1");
}

/** @returns the spans; undefined when the bytes are none. */
export function decodeSpans(bytes: Buffer): Span[] | undefined {
  if (bytes.length % (2 * STAMP_BYTES) !== 0) return undefined;
  const text = bytes.toString("latin1");
  return Array.from({ length: bytes.length / (2 * STAMP_BYTES) }, (_, i) => {
    const at = 2 * STAMP_BYTES * i;
    return { least: text.slice(at, at + STAMP_BYTES), most: text.slice(at + STAMP_BYTES, at + 2 * STAMP_BYTES) };
  });
}

const TIME_MEMBER = Buffer.from('"time":"');

/**
 * Tells from the bytes of an entry that its time is out of the range, without parsing it. The first six members of an
 * entry have a fixed order, and inside a string a quote has a backslash before it: the first `"time":"` is the member.
 * @returns whether the entry may be in the range
 */
export function mayBeWithin(bytes: Buffer, query: SearchQuery): boolean {
  if (query.since === undefined && query.until === undefined) return true;
  const at = bytes.indexOf(TIME_MEMBER) + TIME_MEMBER.length;
  return isWithin(bytes.toString("latin1", at, at + STAMP_BYTES), query);
}
