import { type Row, type RowOptions, withoutDisclosures } from "../row.ts";
import { ocsfLine } from "./index.ts";

export type LineOptions = RowOptions & {
  /** Bytes; a row that is longer is written without its disclosures and raw data. */
  maxRow: number;
};

/** @returns the rows as JSON lines, each with its line end */
export function ocsfLines(rows: readonly Row[], options: LineOptions): string {
  let text = "";
  for (const row of rows) {
    const line = ocsfLine(row, options);
    const isLarge = line.length * 3 > options.maxRow && Buffer.byteLength(line) > options.maxRow;
    text += isLarge ? ocsfLine(withoutDisclosures(row), options, true) : line;
    text += "\n";
  }
  return text;
}
