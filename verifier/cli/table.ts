import { fit, printable, widthOfText } from "./printable.ts";

export type Column = {
  title: string;
  align: "left" | "right";
  /** It is not made narrower than this. */
  least: number;
};

const gap = "  ";

/** A cell holds more than is ever shown; what is cut here would be cut below. */
const longestCell = 400;

/**
 * Lays out a table.
 * @param rows cells as they came; they are made {@link printable} here
 * @param width columns of the terminal
 * @returns lines, the titles first
 */
export function layTable(columns: readonly Column[], rows: readonly (readonly string[])[], width: number): string[] {
  const cells = rows.map((row) => row.map((cell) => printable(cell.slice(0, longestCell))));
  const widths = columns.map((column, i) =>
    cells.reduce((most, row) => Math.max(most, widthOfText(row[i]!)), widthOfText(column.title)),
  );
  shrink(widths, columns, width - gap.length * (columns.length - 1));
  const line = (row: readonly string[]): string =>
    row
      .map((cell, i) => {
        const text = fit(cell, widths[i]!);
        const padding = " ".repeat(widths[i]! - widthOfText(text));
        return columns[i]!.align === "left" ? text + padding : padding + text;
      })
      .join(gap)
      .trimEnd();
  return [line(columns.map((column) => column.title)), ...cells.map(line)];
}

/** Takes from the widest column, again and again, until all fit or none may be narrower. */
function shrink(widths: number[], columns: readonly Column[], room: number): void {
  let over = widths.reduce((sum, width) => sum + width, 0) - room;
  for (; over > 0; over--) {
    let widest = -1;
    for (let i = 0; i < widths.length; i++) {
      if (widths[i]! > columns[i]!.least && (widest < 0 || widths[i]! > widths[widest]!)) widest = i;
    }
    if (widest < 0) return;
    widths[widest]!--;
  }
}
