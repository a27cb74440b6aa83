import { type Entry, encodeBase64 } from "../../../src/index.ts";
import type { Row } from "../row.ts";
import {
  type Actor,
  type Claimed,
  claimedOf,
  knownText,
  nanoseconds,
  parseAddress,
  relationNames,
  shortList,
} from "../values.ts";

/** An AnyValue of OTLP's JSON encoding: 64-bit integers are decimal texts, bytes are base64. */
type AnyValue =
  | { stringValue: string }
  | { intValue: string }
  | { boolValue: boolean }
  | { bytesValue: string }
  | { arrayValue: { values: { stringValue: string }[] } };
type Attribute = { key: string; value: AnyValue };

const info = { severityNumber: 9, severityText: "INFO" } as const;
const warn = { severityNumber: 13, severityText: "WARN" } as const;
const error = { severityNumber: 17, severityText: "ERROR" } as const;

/**
 * An entry as a log record of OTLP (spec/export.md).
 * @param isReduced the row was too large, and its disclosures were left out
 * @returns the JSON of one element of `logRecords`
 */
export function otlpRecord(row: Row, isReduced = false): string {
  const { entry, index, leaf, bytes, readAt } = row;
  const attributes = new Attributes()
    .integer("vitrine.index", index)
    .text("vitrine.origin", row.origin)
    .text("vitrine.leaf_hash", encodeBase64(leaf));
  if (isReduced) attributes.add("vitrine.reduced", { boolValue: true });
  if (entry === undefined) {
    attributes.text("vitrine.problem", row.problem);
    const observed = `${readAt}000000`;
    return recordJson(observed, observed, error, "vitrine.unreadable", bodyOf(bytes), attributes);
  }
  attributes
    .text("vitrine.source", entry.source)
    .integer("vitrine.epoch", entry.epoch)
    .integer("vitrine.seq", entry.seq)
    .text("vitrine.kind", entry.kind);
  describe(row, entry, attributes);
  for (const [name, value] of row.disclosed) {
    attributes.text(`vitrine.disclosed.${name}`, typeof value === "string" ? value : JSON.stringify(value));
  }
  const start = entry.kind === "statement" ? (entry.start as string) : entry.time;
  const name = `vitrine.${entry.kind}`;
  const body = bodyOf(bytes);
  const { trace } = claimedOf(entry);
  return recordJson(nanoseconds(start), nanoseconds(entry.time), severityOf(entry), name, body, attributes, trace);
}

type Severity = typeof info | typeof warn | typeof error;

function severityOf({ kind, outcome }: Entry): Severity {
  if (kind === "statement") return outcome === "completed" ? info : warn;
  return kind === "access.refused" ? warn : info;
}

/** The record's body is the entry itself, so that whoever has it can compute the leaf hash. */
function bodyOf(bytes: Uint8Array): AnyValue {
  try {
    return { stringValue: new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes) };
  } catch {
    return { bytesValue: encodeBase64(bytes) };
  }
}

function recordJson(
  timeUnixNano: string,
  observedTimeUnixNano: string,
  severity: Severity,
  eventName: string,
  body: AnyValue,
  { list }: Attributes,
  trace?: Claimed["trace"],
): string {
  // An id of zeros alone is none (OTLP, LogRecord).
  const isTrace = trace !== undefined && /[^0]/.test(trace.id) && /[^0]/.test(trace.span);
  const ids = isTrace ? { traceId: trace.id, spanId: trace.span } : {};
  return JSON.stringify({ timeUnixNano, observedTimeUnixNano, ...severity, eventName, body, attributes: list, ...ids });
}

type Members = {
  actor: Actor;
  database: string;
  client?: { address: unknown };
  session?: string;
  error?: unknown;
  sqlstate?: string;
  attempts?: number;
  pins?: unknown;
  role?: string;
  rule?: string;
  would_deny?: string;
};
type Statement = Members & {
  operation: string;
  class: string;
  relations: unknown;
  sql?: unknown;
  outcome: string;
  executed?: false;
  rows?: number;
};

const ofAccess = new Set(["statement", "session.start", "session.end", "access.refused"]);

/** OpenTelemetry's semantic conventions for database calls, and for clients, sessions and users. */
function describe(row: Row, entry: Entry, attributes: Attributes): void {
  if (!ofAccess.has(entry.kind)) return;
  const members = entry as unknown as Members;
  const { actor, database, client, session, error: failure, sqlstate } = members;
  const { user } = claimedOf(entry);
  attributes
    .text("db.system.name", "postgresql")
    .text("db.namespace", database)
    .text("user.name", actor.login)
    .text("session.id", session)
    .text("db.response.status_code", sqlstate)
    .text("vitrine.error", knownText(row, "error", failure))
    .text("user.id", actor.identity)
    .texts("vitrine.groups", actor.groups)
    .text("vitrine.auth", actor.auth)
    // Never user.*: the client said so, and nobody has checked it.
    .text("vitrine.claimed.user", user?.name)
    .text("vitrine.claimed.from", user?.from)
    .text("vitrine.role", members.role)
    .text("vitrine.rule", members.rule)
    .text("vitrine.would_deny", members.would_deny)
    .texts("vitrine.pins", members.pins);
  if (members.attempts !== undefined) attributes.integer("vitrine.attempts", members.attempts);
  const address = knownText(row, "client.address", client?.address);
  if (address !== undefined) {
    const parsed = parseAddress(address);
    attributes.text("client.address", "path" in parsed ? parsed.path : "ip" in parsed ? parsed.ip : parsed.hostname);
    if ("port" in parsed) attributes.integer("client.port", parsed.port);
  }
  if (entry.kind === "access.refused") attributes.text("error.type", sqlstate);
  if (entry.kind === "statement") describeStatement(row, entry as unknown as Statement, attributes);
}

function describeStatement(row: Row, statement: Statement, attributes: Attributes): void {
  const { operation, relations, outcome, rows, sqlstate, sql } = statement;
  const names = relationNames(relations);
  attributes
    .text("db.operation.name", operation)
    // The convention has one name or none.
    .text("db.collection.name", names.length === 1 ? names[0] : undefined)
    .text("db.query.text", knownText(row, "sql", sql))
    .text("vitrine.class", statement.class)
    .text("vitrine.outcome", outcome)
    .text("vitrine.executed", statement.executed === false ? "false" : undefined);
  if (rows !== undefined) attributes.integer("db.response.returned_rows", rows);
  if (outcome !== "completed") attributes.text("error.type", sqlstate ?? outcome);
}

class Attributes {
  readonly list: Attribute[] = [];

  add(key: string, value: AnyValue): this {
    this.list.push({ key, value });
    return this;
  }

  /** What is undefined does not apply, and is left out. */
  text(key: string, value: string | undefined): this {
    return value === undefined ? this : this.add(key, { stringValue: value });
  }

  /** What is no list, or a long one, is left out. */
  texts(key: string, values: unknown): this {
    const list = shortList(values)?.map((stringValue) => ({ stringValue }));
    return list === undefined ? this : this.add(key, { arrayValue: { values: list } });
  }

  integer(key: string, value: number): this {
    return this.add(key, { intValue: String(value) });
  }
}
