import type { Entry } from "../../../src/index.ts";
import type { Row, RowOptions } from "../row.ts";
import { milliseconds } from "../values.ts";
import { actEvent } from "./acts.ts";
import { type Classified, eventLine, rawData } from "./event.ts";
import { accessRefusedEvent, sessionEndEvent, sessionStartEvent } from "./session.ts";
import { statementEvent } from "./statement.ts";

const events: ReadonlyMap<string, (row: Row, entry: Entry) => Classified> = new Map([
  ["statement", statementEvent],
  ["session.start", sessionStartEvent],
  ["session.end", sessionEndEvent],
  ["access.refused", accessRefusedEvent],
]);

const base = {
  uid: 0,
  className: "Base Event",
  category: "Uncategorized",
  activity: 99,
  status: undefined,
  attributes: {},
} as const;

/**
 * An entry as an OCSF event (spec/export.md).
 * @param isReduced the row was too large: its disclosures were left out, and its raw data are
 * @returns one line of JSON, without a line end
 */
export function ocsfLine(row: Row, options: RowOptions, isReduced = false): string {
  const { entry } = row;
  if (entry === undefined) return eventLine(row, unreadable(row), { raw: false }, isReduced);
  const event = events.get(entry.kind)?.(row, entry) ?? actEvent(row, entry) ?? baseEvent(entry);
  return eventLine(row, event, options, isReduced);
}

/** Kinds that OCSF has no class for, and those that this version does not know. */
function baseEvent(entry: Entry): Classified {
  const { v: _, kind, time, ...unmapped } = entry;
  const message = `${entry.source}: ${kind}`;
  return { ...base, activityName: kind, severity: 1, time: milliseconds(time), message, unmapped };
}

/** What is in the tree and is no entry of Vitrine is passed on as it is. Nobody says when it happened. */
function unreadable(row: Row): Classified {
  return {
    ...base,
    activityName: "unreadable entry",
    severity: 3,
    time: row.readAt,
    message: `entry ${row.index} is not in the form of an entry: ${row.problem ?? ""}`,
    attributes: { raw_data: rawData(row), raw_data_size: row.bytes.length },
    unmapped: undefined,
  };
}
