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
  /** What events of other systems may say as well; as claimed by the client. */
  correlation?: string | undefined;
  /** The members of the entry that no attribute says, or not whole. */
  unmapped: Record<string, unknown> | undefined;
};

/** @returns the event as one line of JSON, without a line end */
export function eventLine(row: Row, event: Classified, { raw }: RowOptions, isReduced: boolean): string {
  const { entry, bytes, disclosed } = row;
  const said =
    entry === undefined
      ? ""
      : `,"log_provider":${JSON.stringify(entry.source)},"event_code":${JSON.stringify(entry.kind)},"original_time":"${entry.time}"`;
  const correlation = event.correlation === undefined ? "" : `,"correlation_uid":${JSON.stringify(event.correlation)}`;
  const rawMembers = raw && !isReduced ? { raw_data: rawData(row), raw_data_size: bytes.length } : {};
  const values = disclosed.size === 0 ? "" : `,"disclosed":${JSON.stringify(Object.fromEntries(disclosed))}`;
  const rest = event.unmapped === undefined ? "" : `,"entry":${JSON.stringify(event.unmapped)}`;
  // Most of an event is the same in all events of its sort, and is made once: an export is paced by this function.
  return (
    `{"time":${event.time},${classification(event)},"activity_name":${JSON.stringify(event.activityName)}` +
    `,"message":${JSON.stringify(event.message)}${membersOf(event.attributes)}${membersOf(rawMembers)}` +
    `,"metadata":{${metadata(event.profiles)},"uid":${JSON.stringify(rowName(row))},"sequence":${row.index}` +
    `,"log_name":${JSON.stringify(row.origin)}${said}${correlation}${isReduced ? ',"is_truncated":true' : ""}}` +
    `,"unmapped":{"index":${row.index},"leaf_hash":"${encodeBase64(row.leaf)}"${rest}${values}}}`
  );
}

/** @returns the object's members behind a comma each, to stand in a larger object */
function membersOf(value: object): string {
  const json = JSON.stringify(value);
  return json === "{}" ? "" : `,${json.slice(1, -1)}`;
}

/** One for each combination of few numbers. */
const classifications = new Map<string, string>();

function classification(event: Classified): string {
  const { uid, activity, severity, status } = event;
  const key = `${uid} ${activity} ${severity} ${status}`;
  let members = classifications.get(key);
  if (members === undefined) {
    members = membersOf({
      class_uid: uid,
      class_name: event.className,
      category_uid: Math.floor(uid / 1000),
      category_name: event.category,
      activity_id: activity,
      type_uid: uid * 100 + activity,
      severity_id: severity,
      severity: severities[severity],
      ...(status === undefined ? {} : { status_id: status, status: statuses[status] }),
    }).slice(1);
    classifications.set(key, members);
  }
  return members;
}

const product = { name: "Vitrine", vendor_name: "Vitrine", version };
const plainMetadata: string = membersOf({ version: ocsfVersion, product }).slice(1);

function metadata(profiles: readonly string[] | undefined): string {
  return profiles === undefined ? plainMetadata : `${plainMetadata},"profiles":${JSON.stringify(profiles)}`;
}

/** @returns the bytes as text, or what is not UTF-8 in base64 */
export function rawData({ bytes }: Row): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return `base64:${encodeBase64(bytes)}`;
  }
}
