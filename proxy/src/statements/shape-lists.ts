/**
 * Lists whose length says nothing: the rows behind VALUES, and the constants of an IN list. The first two members stay
 * (one alone can be another thing to the grammar: `POSITION(a IN (1))`, a single row where only one is allowed), and of
 * the others those that are new.
 */
import { KIND, Kind, spaceEnd } from "./lexical.ts";

/** Where the shape is cut back to when a member is left out: behind the last one that was kept. */
interface Cut {
  end: number;
  tokens: number;
}

export interface Rows extends Cut {
  /** Depth of parentheses inside a row. */
  readonly depth: number;
  /** Where the row in hand begins in the shape; -1 between rows. */
  start: number;
  comma: boolean;
  kept: number;
  /** The last row that was kept. */
  previous: number;
  seen: Set<string> | undefined;
}

export interface List extends Cut {
  readonly depth: number;
  /** Nothing of the element in hand was seen. */
  fresh: boolean;
  /** Placeholder of the constants that follow each other, and how many were kept. */
  kind: number;
  run: number;
}

/**
 * Called at the parenthesis that ends a row; the shape holds it up to `o`.
 * @returns whether the row is like one before it, and can be cut
 */
export function likeAnother(rows: Rows, shape: Buffer, o: number, tokens: number): boolean {
  const { start, previous, end } = rows;
  rows.start = -1;
  rows.comma = false;
  if (rows.kept >= 2) {
    if (sameBytes(shape, start, o, previous, end)) return true;
    rows.seen ??= new Set([shape.toString("latin1", previous, end)]);
    const key = shape.toString("latin1", start, o);
    if (rows.seen.has(key)) return true;
    rows.seen.add(key);
  }
  rows.kept++;
  rows.previous = start;
  rows.end = o;
  rows.tokens = tokens;
  return false;
}

function sameBytes(bytes: Buffer, a: number, aEnd: number, b: number, bEnd: number): boolean {
  if (aEnd - a !== bEnd - b) return false;
  for (let i = a, j = b; i < aEnd; i++, j++) if (bytes[i] !== bytes[j]) return false;
  return true;
}

/**
 * Called at a constant in the list, before which the shape ends at `o - 1`.
 * @param next offset behind the constant in the text
 * @returns whether it is a whole element, and like the two before it, and can be cut
 */
export function oneMore(list: List, text: Uint8Array, next: number, kind: number, o: number, tokens: number): boolean {
  const behind = KIND[text[spaceEnd(text, next)]!];
  if (!list.fresh || (behind !== Kind.comma && behind !== Kind.close)) {
    list.run = 0;
    return false;
  }
  if (list.kind === kind && list.run >= 2) return true;
  list.run = list.kind === kind ? list.run + 1 : 1;
  list.kind = kind;
  list.end = o;
  list.tokens = tokens;
  return false;
}
