import { isFindingCode } from "../errors.ts";
import { readDigested, unusable, writeDigested } from "../formats/digested.ts";
import type { VerifierKey } from "../formats/key.ts";
import { type Alert, type AlertEvent, monitorCodes } from "./alerts.ts";

/** A size that somebody should have reached, and since when (milliseconds since 1970). */
export type Lag = { size: number; since: number };

export type Unsealed = { index: number; since: number };

export type ViewMemory = {
  /** Since when it cannot be had, or not be compared. */
  missingSince?: number;
  /** What the log showed, and the view has not reached. */
  behind?: Lag;
  /** What the view showed, and the log has not reached. */
  ahead?: Lag;
};

/** What a monitor remembers of a log from one round to the next, besides what an audit keeps. JSON. */
export type WatchMemory = {
  alerts: Alert[];
  /** The largest tree shown so far, and since when; null before the first. */
  head: Lag | null;
  /** Since when the log does not answer; null while it does. */
  unreachableSince: number | null;
  /** Since when no checkpoint was witnessed as the policy demands; null when the last one was. */
  unwitnessedSince: number | null;
  /** By the name of a source, which may be any: its first entry without a seal, and since when. */
  unsealed: [string, Unsealed][];
  /** By the name of a view. */
  views: [string, ViewMemory][];
  /** What the webhook did not get yet. */
  unsent: AlertEvent[];
};

const format = "vitrine/monitor-state/v1";

export function newMemory(): WatchMemory {
  return {
    alerts: [],
    head: null,
    unreachableSince: null,
    unwitnessedSince: null,
    unsealed: [],
    views: [],
    unsent: [],
  };
}

/**
 * What began in the future began now: the clock was set back, and what is late would wait until it has caught up.
 * @param now milliseconds since 1970
 */
export function rewind(memory: WatchMemory, now: number): void {
  const past = <Time extends number | null>(since: Time): Time =>
    since !== null && since > now ? (now as Time) : since;
  const lags = [memory.head, ...memory.unsealed.map(([, one]) => one)];
  for (const [, view] of memory.views) {
    lags.push(view.behind ?? null, view.ahead ?? null);
    if (view.missingSince !== undefined) view.missingSince = past(view.missingSince);
  }
  for (const lag of lags) if (lag !== null) lag.since = past(lag.since);
  memory.unreachableSince = past(memory.unreachableSince);
  memory.unwitnessedSince = past(memory.unwitnessedSince);
}

/** @returns the text to keep: JSON, with a digest that shows damage. */
export function serializeMemory(memory: WatchMemory, key: VerifierKey): string {
  return writeDigested(format, { vkey: key.text, ...memory });
}

/**
 * @param text as {@link serializeMemory} gave it
 * @param key the log's key
 * @throws VerifierError `usage` when it is damaged, or of another log or version
 */
export function parseMemory(text: string, key: VerifierKey): WatchMemory {
  const { vkey, ...memory } = readDigested(text, format) as { vkey: unknown } & WatchMemory;
  if (vkey !== key.text) throw unusable("it belongs to another log key");
  // The digest is good, so a monitor wrote it; perhaps one that knew of other alerts.
  const codes = [...memory.alerts, ...memory.unsent.map(({ alert }) => alert)].map(({ code }) => code);
  const unknown = codes.find((code) => !isFindingCode(code) && !monitorCodes.includes(code as never));
  if (unknown !== undefined) throw unusable(`it has the alert ${unknown}, which this version does not know`);
  return memory;
}
