import { encodeBase64, version } from "../../../src/index.ts";
import { type Row, type RowOptions, rowName } from "../row.ts";

/** The version of the schema that events are written by (https://schema.ocsf.io/1.8.0). */
export const ocsfVersion = "1.8.0";

export const severities = ["Unknown", "Informational", "Low", "Medium", "High"] as const;
const statuses = ["Unknown", "Success", "Failure"] as const;

/** What is particular to an event of one class. */
export type Classified = {
  /** The class, and its name; the category is its thousands. */
  uid: number;
  className: string;
  category: string;
  activity: number;
  activityName: string;
  severity: 1 | 2 | 3 | 4;
  status: 0 | 1 | 2 | undefined;
  /** Milliseconds since 1970. */
  time: number;
  message: string;
  /** Attributes of the class. */
  attributes: Record<string, unknown>;
  profiles?: readonly string[];
  /** The members of the entry that no attribute says, or not whole. */
  unmapped: Record<string, unknown> | undefined;
};

/** @returns the event as one line of JSON, without a line end */
export function eventLine(row: Row, event: Classified, { raw }: RowOptions, isReduced: boolean): string {
  const { entry, bytes } = row;
  const { status, profiles } = event;
  const profile = profiles === undefined ? {} : { profiles };
  return JSON.stringify({
    time: event.time,
    class_uid: event.uid,
    class_name: event.className,
    category_uid: Math.floor(event.uid / 1000),
    category_name: event.category,
    activity_id: event.activity,
    activity_name: event.activityName,
    type_uid: event.uid * 100 + event.activity,
    severity_id: event.severity,
    severity: severities[event.severity],
    ...(status === undefined ? {} : { status_id: status, status: statuses[status] }),
    message: event.message,
    ...event.attributes,
    metadata: {
      version: ocsfVersion,
      product: { name: "Vitrine", vendor_name: "Vitrine", version },
      ...profile,
      uid: rowName(row),
      sequence: row.index,
      log_name: row.origin,
      ...(entry === undefined ? {} : { log_provider: entry.source, event_code: entry.kind, original_time: entry.time }),
      ...(isReduced ? { is_truncated: true } : {}),
    },
    ...(raw && !isReduced ? { raw_data: rawData(row), raw_data_size: bytes.length } : {}),
    unmapped: {
      index: row.index,
      leaf_hash: encodeBase64(row.leaf),
      ...(event.unmapped === undefined ? {} : { entry: event.unmapped }),
      ...(row.disclosed.size === 0 ? {} : { disclosed: Object.fromEntries(row.disclosed) }),
    },
  });
}

/** @returns the bytes as text, or what is not UTF-8 in base64 */
export function rawData({ bytes }: Row): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return `base64:${encodeBase64(bytes)}`;
  }
}
