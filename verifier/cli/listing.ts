import type { Entry } from "../src/index.ts";
import { identityOf, loginOf, operationOf, tablesOf } from "./filter.ts";
import { type Column, layTable } from "./table.ts";

export type Listed = { index: number; entry: Entry };

/** The newest entries that match, as many as are wanted; memory does not grow with those that only match. */
export class Listing {
  readonly #limit: number;
  readonly #ring: { index: number; text: string }[] = [];
  #matched = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** @param text of an entry that passed E1 and E2; of those that are listed in the end it is parsed */
  add(index: number, text: string): void {
    if (this.#limit > 0) this.#ring[this.#matched % this.#limit] = { index, text };
    this.#matched++;
  }

  get matched(): number {
    return this.#matched;
  }

  /** In the order of the log. */
  get listed(): Listed[] {
    const oldest = this.#matched <= this.#limit || this.#limit === 0 ? 0 : this.#matched % this.#limit;
    const ordered = [...this.#ring.slice(oldest), ...this.#ring.slice(0, oldest)];
    return ordered.map(({ index, text }) => ({ index, entry: JSON.parse(text) as Entry }));
  }
}

const columns: readonly Column[] = [
  { title: "index", align: "right", least: 20 },
  { title: "time (UTC)", align: "left", least: 30 },
  { title: "operation", align: "left", least: 10 },
  { title: "login", align: "left", least: 8 },
  { title: "database", align: "left", least: 8 },
  { title: "tables", align: "left", least: 8 },
  { title: "outcome", align: "left", least: 12 },
  { title: "rows", align: "right", least: 20 },
];

/** @param width columns of the terminal */
export function layListing(listed: readonly Listed[], width: number): string[] {
  return layTable(columns, listed.map(cellsOf), width);
}

/** The login, and who stands behind it; what is only claimed is not shown as if it were true. */
function whoOf(entry: Entry): string {
  const login = loginOf(entry) ?? "";
  const identity = identityOf(entry);
  return identity === undefined || identity === login ? login : `${login} (${identity})`;
}

function cellsOf({ index, entry }: Listed): string[] {
  return [
    String(index),
    `${entry.time.slice(0, 10)} ${entry.time.slice(11, 23)}`,
    operationOf(entry),
    whoOf(entry),
    typeof entry.database === "string" ? entry.database : "",
    tablesOf(entry).join(", "),
    outcomeOf(entry),
    entry.kind === "statement" && entry.rows !== undefined ? String(entry.rows) : "",
  ];
}

function outcomeOf(entry: Entry): string {
  const sqlstate = typeof entry.sqlstate === "string" ? ` ${entry.sqlstate}` : "";
  // What was bound and not executed (spec/entry.md) is not to look like what was.
  const bound = entry.executed === false ? ", bound only" : "";
  if (entry.kind === "statement") return `${entry.outcome}${sqlstate}${bound}`;
  if (entry.kind === "access.refused") return `refused${sqlstate}`;
  return typeof entry.reason === "string" ? entry.reason : "";
}
