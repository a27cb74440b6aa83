import type { Entry } from "../../src/index.ts";

/** One entry of the signed tree, to be made a row of. */
export type Row = {
  /** Of the log whose tree it is in. */
  origin: string;
  index: number;
  /** The exact bytes, whose leaf hash is in the tree. */
  bytes: Uint8Array;
  leaf: Uint8Array;
  /** Undefined when the bytes are not an entry of Vitrine; `problem` says why. */
  entry: Entry | undefined;
  problem: string | undefined;
  /** Values that stand sealed in the entry, by name, each held against its digest. */
  disclosed: ReadonlyMap<string, unknown>;
  /** Milliseconds since 1970, by the clock of this machine. */
  readAt: number;
};

/** How rows are written. */
export type RowOptions = {
  /** The entry's own text goes along. */
  raw: boolean;
};

/** @returns the row without what may make it large: an entry has at most 65,535 bytes, a disclosure may have many. */
export function withoutDisclosures(row: Row): Row {
  return { ...row, disclosed: new Map() };
}

/** @returns the row's own name in the log, such as `log.example/vitrine/17` */
export function rowName({ origin, index }: Row): string {
  return `${origin}/${index}`;
}
