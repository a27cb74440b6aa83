import { type Row, type Shown, TABLES } from "../console/index.ts";

/** What one worker shows. */
export interface Shares {
  readonly worker: number;
  readonly rows: readonly Row[];
}

/** By these columns rows of several workers are one. Of what is not here each worker has rows of its own, or all the same. */
const BY: Partial<Record<Shown, readonly string[]>> = {
  databases: ["name"],
  lists: ["list"],
  pool_totals: ["name"],
  pools: ["database", "user", "pool_mode"],
  stats: ["database"],
  stats_totals: ["database"],
  users: ["name"],
};

const EACH: ReadonlySet<Shown> = new Set(["clients", "servers", "spool"]);

/**
 * What several workers show, as one proxy would.
 * @param shares in the order of the workers; not empty
 */
export function together(what: Shown, shares: readonly Shares[]): Row[] {
  if (EACH.has(what)) return shares.flatMap(({ worker, rows }) => rows.map((row) => ({ ...row, worker })));
  if (what === "state") return states(shares);
  const by = BY[what];
  if (by === undefined) return [...(shares[0]?.rows ?? [])];
  const groups = new Map<string, Row[]>();
  for (const { rows } of shares) {
    for (const row of rows) {
      const key = JSON.stringify(by.map((column) => row[column]));
      const group = groups.get(key);
      if (group === undefined) groups.set(key, [row]);
      else group.push(row);
    }
  }
  return [...groups.values()].map((rows) => one(what, rows));
}

function one(what: Shown, rows: readonly Row[]): Row {
  const [first] = rows as readonly [Row];
  if (rows.length === 1) return first;
  const longest = rows.reduce((a, b) => (waitOf(b) > waitOf(a) ? b : a));
  return Object.fromEntries(
    Object.entries(TABLES[what]).map(([column, kind]) => {
      if (column === "maxwait" || column === "maxwait_us") return [column, longest[column] ?? 0];
      if (column === "avg_query_time") return [column, average(rows, column, "avg_query_count")];
      const values = rows.map((row) => Number(row[column] ?? 0));
      if (column === "paused") return [column, Math.max(...values)];
      return [column, kind === "int" ? values.reduce((sum, value) => sum + value, 0) : (first[column] ?? null)];
    }),
  );
}

function waitOf({ maxwait, maxwait_us }: Row): number {
  return Number(maxwait ?? 0) * 1_000_000 + Number(maxwait_us ?? 0);
}

/** Of averages, each over so many. */
function average(rows: readonly Row[], column: string, over: string): number {
  let sum = 0;
  let count = 0;
  for (const row of rows) {
    sum += Number(row[column] ?? 0) * Number(row[over] ?? 0);
    count += Number(row[over] ?? 0);
  }
  return count === 0 ? 0 : Math.round(sum / count);
}

/** Active is what is so everywhere, anything else what is so anywhere. */
function states(shares: readonly Shares[]): Row[] {
  const [first] = shares;
  return (first?.rows ?? []).map(({ key }) => {
    const values = shares.map(({ rows }) => rows.find((row) => row.key === key)?.value);
    const yes = key === "active" ? values.every((value) => value === "yes") : values.includes("yes");
    return { key: key ?? "", value: yes ? "yes" : "no" };
  });
}
