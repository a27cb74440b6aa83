import type { ViewsReport } from "../audit/views.ts";
import type { Checkpoint } from "../formats/checkpoint.ts";
import type { SourceRecord } from "../sources/source.ts";
import type { Observed } from "./alerts.ts";
import type { Lag, Unsealed, ViewMemory } from "./memory.ts";

/** Steps M1, M2 and M4 to M6 of spec/monitor.md: what shows only over time. All times are milliseconds. */
export type WatchSettings = {
  /** How long the log may go without a larger tree, and a view may lag behind it or it behind a view. */
  staleAfterMs: number;
  /** How long the log, or a view, may go without an answer. */
  unreachableAfterMs: number;
  /** How much later than promised a seal may come: the way through the log takes time, and so does a round. */
  sealSlackMs: number;
  /** How long no checkpoint may be witnessed as the policy demands: cosignatures come a little after it. */
  cosignatureAfterMs: number;
};

/** A source that had no promise of its own yet is held to what spec/submission.md says. */
const defaultSeals = { every_entries: 1000, every_ms: 10_000 };

/** Of the entries that a source promised to seal, so many times may be waiting: a seal and its checkpoint take a moment. */
const countFactor = 2;

/** Step M1. */
export function checkReach(since: number | null, now: number, { unreachableAfterMs }: WatchSettings): Observed[] {
  if (since === null || now - since <= unreachableAfterMs) return [];
  return [{ code: "unreachable", message: `the log has not answered for ${seconds(now - since)}` }];
}

/** Step M2. */
export function checkStale(head: Lag | null, now: number, { staleAfterMs }: WatchSettings): Observed[] {
  if (head === null || now - head.since <= staleAfterMs) return [];
  const message = `the log has shown no tree larger than ${head.size} entries for ${seconds(now - head.since)}`;
  return [{ code: "stale", message }];
}

/**
 * Step M4.
 * @param sources as far as they were audited
 * @param before what was without a seal in the last round
 * @returns what is now, and the seals that are overdue
 */
export function checkSeals(
  sources: readonly SourceRecord[],
  before: readonly [string, Unsealed][],
  now: number,
  { sealSlackMs }: WatchSettings,
): { unsealed: [string, Unsealed][]; found: Observed[] } {
  const known = new Map(before);
  const unsealed: [string, Unsealed][] = [];
  const found: Observed[] = [];
  for (const { name: source, unsealed: first, seals } of sources) {
    if (first === null) continue;
    const { index, epoch, seq, count } = first;
    const last = known.get(source);
    // By the monitor's own clock, from when it first saw the entry: the source's may be any.
    const since = last?.index === index ? last.since : now;
    unsealed.push([source, { index, since }]);
    const { every_ms, every_entries } = seals ?? defaultSeals;
    const late = now - since - every_ms;
    const place = { index, source, epoch, seq };
    if (late > sealSlackMs) {
      const message = `the entries from ${index} on have had no seal for ${seconds(now - since)}; the source promised one within ${seconds(every_ms)}`;
      found.push({ code: "seal_overdue", message, ...place });
    } else if (count > countFactor * every_entries) {
      const message = `${count} entries have no seal; the source promised one every ${every_entries} entries`;
      found.push({ code: "seal_overdue", message, ...place });
    }
  }
  return { unsealed, found };
}

/**
 * Steps M5 and M6.
 * @param report over the log's own checkpoint, which stands first, and the views
 * @param own the log's checkpoint
 */
export function checkViews(
  report: ViewsReport,
  own: Checkpoint,
  before: readonly [string, ViewMemory][],
  now: number,
  { staleAfterMs, unreachableAfterMs }: WatchSettings,
): { views: [string, ViewMemory][]; found: Observed[] } {
  const known = new Map(before);
  const missing = new Map(report.findings.filter(({ code }) => code === "data_missing").map((one) => [one.where, one]));
  const found: Observed[] = report.findings.filter(({ code }) => code !== "data_missing");
  const views: [string, ViewMemory][] = [];
  const [{ name: ownName }, ...others] = report.views as [ViewsReport["views"][number], ...ViewsReport["views"]];
  for (const { name: where, checkpoint } of others) {
    const last = known.get(where) ?? {};
    const memory: ViewMemory = {};
    const why = missing.get(where);
    if (why !== undefined) {
      const since = last.missingSince ?? now;
      memory.missingSince = since;
      const message = `for ${seconds(now - since)}: ${why.message}`;
      if (now - since > unreachableAfterMs) found.push({ code: "view_missing", message, where });
    }
    const behind = lag(last.behind, checkpoint?.size, own.size, now);
    if (behind !== undefined) memory.behind = behind;
    if (behind !== undefined && now - behind.since > staleAfterMs) {
      const message = `it has not reached the tree of ${behind.size} entries for ${seconds(now - behind.since)}`;
      found.push({ code: "view_behind", message, where });
    }
    const ahead = lag(last.ahead, own.size, checkpoint?.size, now);
    if (ahead !== undefined) memory.ahead = ahead;
    if (ahead !== undefined && now - ahead.since > staleAfterMs) {
      const message = `the log does not show the tree of ${ahead.size} entries that it has signed and others have seen for ${seconds(now - ahead.since)}`;
      found.push({ code: "behind_view", message, where });
    }
    views.push([where, memory]);
  }
  // Between the log itself and a view, where tiles are missing, the smaller of the two is named: it may be the log.
  const ownMissing = missing.get(ownName);
  if (ownMissing !== undefined) {
    const since = known.get(ownName)?.missingSince ?? now;
    views.push([ownName, { missingSince: since }]);
    const message = `for ${seconds(now - since)}: ${ownMissing.message}`;
    if (now - since > unreachableAfterMs) found.push({ code: "view_missing", message, where: ownName });
  }
  return { views, found };
}

/**
 * Follows how far one is behind another.
 * @param follower its size, undefined when it is not known
 * @param leader as above
 * @returns what the follower has still to reach, undefined when it has reached all
 */
function lag(
  last: Lag | undefined,
  follower: number | undefined,
  leader: number | undefined,
  now: number,
): Lag | undefined {
  if (last !== undefined && (follower === undefined || follower < last.size)) return last;
  if (follower === undefined || leader === undefined || follower >= leader) return undefined;
  return { size: leader, since: now };
}

function seconds(ms: number): string {
  return `${Math.floor(ms / 1000)} s`;
}
