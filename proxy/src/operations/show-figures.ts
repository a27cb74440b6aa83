import { valueText } from "../config/config.ts";
import { CONFIG_KEYS, type ConfigKey } from "../config/keys.ts";
import type { Row } from "../console/index.ts";
import { type ListenAddress, shownAddress } from "../listen/address.ts";
import { RELOADED } from "../reload/config.ts";
import type { View } from "./view.ts";

/** Figures and settings. Times in microseconds, as PgBouncer has them. */

export function stats(view: View): Row[] {
  return view.statistics.rows().map((row) => ({
    database: row.database,
    total_session_count: row.sessions,
    total_query_count: row.statements,
    total_failed_count: row.failed,
    total_received: row.bytesIn,
    total_sent: row.bytesOut,
    total_query_time: Math.round(row.ms * 1000),
    avg_query_count: Math.round(row.average.statements),
    avg_recv: Math.round(row.average.bytesIn),
    avg_sent: Math.round(row.average.bytesOut),
    avg_query_time: Math.round(row.average.ms * 1000),
  }));
}

export function totals(view: View): Row[] {
  return view.statistics.rows().map((row) => ({
    database: row.database,
    session_count: row.sessions,
    query_count: row.statements,
    failed_count: row.failed,
    bytes_received: row.bytesIn,
    bytes_sent: row.bytesOut,
    query_time: Math.round(row.ms * 1000),
  }));
}

/** What the pools have done since the start, all together. */
export function poolTotals(view: View): Row[] {
  if (view.pools === undefined) return [];
  const { leases, waitedMs, opened, closed, replaced, timeouts, cancels, pins } = view.pools.totals;
  const counts = { leases, wait_time: Math.round(waitedMs * 1000), opened, closed, replaced, timeouts, cancels };
  return [
    ...Object.entries(counts).map(([name, count]) => ({ name, count })),
    ...[...pins].map(([reason, count]) => ({ name: `pinned: ${reason}`, count })),
  ];
}

export function spool(view: View): Row[] {
  const found = view.recorder();
  return [
    {
      state: found.state,
      bytes: found.bytes,
      max_bytes: found.maxBytes,
      age_ms: Math.round(found.oldestAgeMs),
      entries: found.entries,
      unsubmitted: found.unsubmitted,
      open_intents: found.openIntents,
      commits: found.commits,
      slowest_commit_us: Math.round(found.slowestCommitMs * 1000),
      log: found.submitter.trouble === undefined ? "ok" : "trouble",
      worker: 1,
    },
  ];
}

export function config(view: View): Row[] {
  const { values } = view.config();
  return CONFIG_KEYS.map((key) => ({
    key: key.path,
    value: shown(key, values.get(key.path)),
    default: key.default === undefined ? null : shown(key, key.default),
    changeable: RELOADED.includes(key.path) ? "yes" : "no",
  }));
}

/** As the file would have it. Of the server's URL only where it is: its parameters may hold a password. */
function shown(key: ConfigKey, value: unknown): string | null {
  if (value === undefined || value === null) return null;
  if (typeof value === "string") return value;
  if (key.kind === "upstream") {
    const { hosts } = value as { hosts: readonly { host: string; port: number }[] };
    return hosts.map(shownAddress).join(",");
  }
  if (key.kind === "listen") return (value as readonly ListenAddress[]).map(shownAddress).join(",");
  if (key.kind === "address") return shownAddress(value as ListenAddress);
  if (key.kind === "auth") return JSON.stringify(value, asWritten);
  return valueText(value);
}

/** Patterns and networks are read into what is quick to ask, with the text that they were read from. */
function asWritten(_: string, value: unknown): unknown {
  const text = (value as { text?: unknown } | null)?.text;
  return typeof text === "string" ? text : value;
}
