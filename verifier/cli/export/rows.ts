import { readEntry } from "../../src/entries/entry.ts";
import { Shapes } from "../../src/entries/entry-shape.ts";
import {
  type Entry,
  hashLength,
  type LogReader,
  sealedValues,
  tileWidth,
  VerifierError,
  verifyDisclosure,
} from "../../src/index.ts";
import { readAhead } from "../../src/reading/read-ahead.ts";
import { SignedTree } from "../../src/reading/signed-tree.ts";
import { fetchDisclosures } from "../disclosures.ts";
import type { HttpClient } from "../http.ts";
import type { Row } from "./row.ts";

/** Asks for what is sealed. */
export type Asking = { http: HttpClient; token: string; reason: string };

export type RowsOptions = {
  reader: LogReader;
  origin: string;
};

/** Bundles under way at once. */
const readAheadDepth = 4;
/** Requests for disclosures under way at once. */
const askedAtOnce = 4;

/**
 * The entries of a signed tree in order, each shown to be in it.
 * @param root signed
 * @returns arrays of rows, one for each bundle
 * @throws VerifierError what {@link SignedTree} throws
 */
export async function* signedRows(
  { size, root }: { size: number; root: Uint8Array },
  from: number,
  options: RowsOptions,
): AsyncGenerator<Row[]> {
  const shapes = new Shapes();
  const tree = new SignedTree(options.reader, size, root);
  const read = async (n: number): Promise<Row[]> => {
    const { entries, leaves } = await tree.bundle(n);
    const rows: Row[] = [];
    const readAt = Date.now();
    for (let i = Math.max(0, from - n * tileWidth); i < entries.length; i++) {
      const leaf = leaves.slice(i * hashLength, (i + 1) * hashLength);
      rows.push(rowOf(options.origin, n * tileWidth + i, entries[i]!, leaf, readAt, shapes));
    }
    return rows;
  };
  yield* readAhead(bundles(from, size), readAheadDepth, read);
}

function* bundles(from: number, size: number): Generator<number> {
  for (let n = Math.floor(from / tileWidth); n * tileWidth < size; n++) yield n;
}

function rowOf(
  origin: string,
  index: number,
  bytes: Uint8Array,
  leaf: Uint8Array,
  readAt: number,
  shapes: Shapes,
): Row {
  const disclosed: Row["disclosed"] = nothing;
  try {
    // Steps E1 and E2, where most entries are like others before; only what they say is read anew.
    const entry = JSON.parse(readEntry(bytes, shapes).text) as Entry;
    return { origin, index, bytes, leaf, entry, problem: undefined, disclosed, readAt };
  } catch (error) {
    if (!(error instanceof VerifierError)) throw error;
    return { origin, index, bytes, leaf, entry: undefined, problem: error.message, disclosed, readAt };
  }
}

const nothing: Row["disclosed"] = new Map();

/**
 * Gives rows the values that are sealed in their entries, each held against its digest (step B5).
 *
 * The log records each reading as an entry with a sealed reason of its own. Asking for that one as well would make
 * another entry, and so on without end: of the log's own acts nothing is asked.
 * @param log is told of each value that does not fit; its row goes without
 * @throws VerifierError `usage` when the token is refused; `data_missing`, `log_unreachable`
 */
export async function disclose(rows: readonly Row[], asking: Asking, log: (message: string) => void): Promise<void> {
  const sealed = rows.filter(
    ({ entry, origin }) => entry !== undefined && entry.source !== `${origin}/acts` && sealedValues(entry).size > 0,
  );
  const work = sealed[Symbol.iterator]();
  const worker = async (): Promise<void> => {
    for (const row of work) {
      const disclosures = await fetchDisclosures(asking.http, row.index, asking);
      const values = new Map<string, unknown>();
      for (const text of disclosures) {
        try {
          const { name, value } = verifyDisclosure(text, row.entry!);
          values.set(name, value);
        } catch (error) {
          if (!(error instanceof VerifierError)) throw error;
          log(`entry ${row.index} goes without a value that the log disclosed: ${error.message}`);
        }
      }
      row.disclosed = values;
    }
  };
  await Promise.all(Array.from({ length: askedAtOnce }, worker));
}
