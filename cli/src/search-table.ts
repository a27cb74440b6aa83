import { printable } from "./printable.ts";
import type { Hit } from "./search-client.ts";

/** The hits of a search as a table for people. */

interface Column {
  readonly title: string;
  /** Wider cells are cut. */
  readonly most: number;
  readonly right?: boolean;
  readonly cell: (hit: Hit) => string;
}

const text = (value: unknown): string => (typeof value === "string" ? value : "");

function member(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>)[name] : undefined;
}

function tables({ entry }: Hit): string {
  if (!Array.isArray(entry.relations)) return "";
  const names = entry.relations.map((relation) => {
    const schema = member(relation, "schema");
    return `${typeof schema === "string" ? `${schema}.` : ""}${text(member(relation, "name"))}`;
  });
  return names.join(", ");
}

/** With who stands behind it, where that was authenticated; what is only claimed is not shown as if it were true. */
function login({ entry: { actor } }: Hit): string {
  const [name, identity] = [text(member(actor, "login")), text(member(actor, "identity"))];
  return identity === "" || identity === name ? name : `${name} (${identity})`;
}

function outcome({ entry }: Hit): string {
  const what = entry.kind === "access.refused" ? "refused" : text(entry.outcome) || text(entry.reason);
  const said = [what, text(entry.sqlstate)].filter(Boolean).join(" ");
  // What was bound and not executed (spec/entry.md) is not to look like what was.
  return entry.executed === false ? `${said}, bound only` : said;
}

const COLUMNS: readonly Column[] = [
  { title: "index", most: 16, right: true, cell: ({ index }) => String(index) },
  { title: "time (UTC)", most: 23, cell: ({ entry }) => text(entry.time).slice(0, 23).replace("T", " ") },
  {
    title: "operation",
    most: 24,
    cell: ({ entry }) => text(entry.kind === "statement" ? entry.operation : entry.kind),
  },
  { title: "login", most: 40, cell: login },
  { title: "database", most: 24, cell: ({ entry }) => text(entry.database) },
  { title: "tables", most: 48, cell: tables },
  { title: "outcome", most: 24, cell: outcome },
  {
    title: "rows",
    most: 16,
    right: true,
    cell: ({ entry }) => (Number.isInteger(entry.rows) ? String(entry.rows) : ""),
  },
];

/** @returns lines, the titles first */
export function searchTable(hits: readonly Hit[]): string[] {
  const rows = hits.map((hit) => COLUMNS.map(({ cell, most }) => fit(cell(hit), most)));
  const titles = COLUMNS.map(({ title }) => title);
  const widths = COLUMNS.map((_, i) => Math.max(...[titles, ...rows].map((row) => widthOf(row[i]!))));
  return [titles, ...rows].map((row) =>
    row
      .map((cell, i) => {
        const padding = " ".repeat(widths[i]! - widthOf(cell));
        return COLUMNS[i]!.right === true ? padding + cell : cell + padding;
      })
      .join("  ")
      .trimEnd(),
  );
}

const widthOf = (cell: string): number => [...cell].length;

function fit(value: string, most: number): string {
  // What is cut here would be cut below; making a long text fit for the terminal takes time.
  const characters = [...printable(value.slice(0, 4 * most))];
  return characters.length <= most ? characters.join("") : `${characters.slice(0, most - 1).join("")}…`;
}
