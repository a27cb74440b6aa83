import type { AlertEvent } from "../../src/index.ts";
import { printable, printableJson } from "../printable.ts";

/** An event of a log, as it is told. */
export type Told = AlertEvent & {
  /** The log's URL or folder, and its origin; absent for what is of the monitor itself. */
  log?: string;
  origin?: string;
};

/** @returns a timestamp of spec/README.md */
export function timestamp(ms: number): string {
  return new Date(ms).toISOString().replace("Z", "000Z");
}

/** The members of an event (spec/monitor.md, alerts). */
export function eventJson({ event, at, alert, log, origin, evidence }: Told): Record<string, unknown> {
  const { code, verdict, message, since, scope: _, ...place } = alert;
  return {
    format: "vitrine/alert/v1",
    time: timestamp(at),
    event,
    alert: code,
    verdict,
    ...(log === undefined ? {} : { log, origin }),
    ...place,
    message,
    since: timestamp(since),
    ...(evidence === undefined ? {} : { evidence }),
  };
}

/** @returns one line of JSON, or of text for people, without a newline */
export function eventLine(told: Told, json: boolean): string {
  if (json) return printableJson(eventJson(told));
  const { event, at, alert, origin, evidence } = told;
  const { code, verdict, message, index, source, epoch, seq, where } = alert;
  const place = [
    index === undefined ? "" : `entry ${index}`,
    source === undefined ? "" : `source ${printable(source)}`,
    epoch === undefined ? "" : `epoch ${epoch}`,
    seq === undefined ? "" : `sequence ${seq}`,
    where === undefined ? "" : printable(where),
  ].filter((part) => part !== "");
  const of = origin === undefined ? "" : `  ${printable(origin)}`;
  const at_ = place.length === 0 ? "" : `  at ${place.join(", ")}`;
  const notes = evidence === undefined ? "" : `; both notes are kept in ${printable(evidence)}`;
  return `${timestamp(at)}  ${event}  ${verdict}  ${code}${of}${at_}: ${printable(message)}${notes}`;
}
