/** What a column holds: a text, or a whole number. */
export type ColumnKind = "text" | "int";

/** Columns by name, in their order. */
export type Columns = Readonly<Record<string, ColumnKind>>;

/** By column name; null where there is nothing to say. */
export type Row = Readonly<Record<string, string | number | null>>;

/** Times as PgBouncer writes them: UTC, to the second. */
export function timeText(time: Date): string {
  return `${time.toISOString().slice(0, 19).replace("T", " ")} UTC`;
}

/** `host:port` as two columns. */
export function addressOf(address: string): { readonly addr: string; readonly port: number } {
  const colon = address.lastIndexOf(":");
  const port = Number(address.slice(colon + 1));
  if (colon < 0 || !Number.isSafeInteger(port)) return { addr: address, port: 0 };
  return { addr: address.slice(0, colon).replace(/^\[|\]$/g, ""), port };
}

/** Milliseconds as PgBouncer splits them: whole seconds, and the microseconds beyond. */
export function waitOf(ms: number): { readonly seconds: number; readonly micros: number } {
  const micros = Math.max(0, Math.round(ms * 1000));
  return { seconds: Math.floor(micros / 1_000_000), micros: micros % 1_000_000 };
}
