import { createReadStream } from "node:fs";
import { StringDecoder } from "node:string_decoder";
import { CliError, oneLine } from "../errors.ts";

/** A line of PostgreSQL's own log that says that somebody connected, or executed something. */
export interface ServerEvent {
  readonly kind: "connection" | "statement";
  /** Milliseconds since 1970. */
  readonly time: number;
  readonly pid: number;
  /** Undefined where the line does not say. */
  readonly user: string | undefined;
  readonly database: string | undefined;
  readonly text: string;
}

type Format = "csvlog" | "jsonlog" | "plain";

/** A record that is longer is no log's. Characters. */
const MAX_RECORD = 64 * 1024 * 1024;

/**
 * Reads a server's log: csvlog, jsonlog, or plain with a prefix that begins with `%m [%p]`, as is the default.
 * @param path of the file; its format is told from its first line
 * @throws CliError `usage` when it cannot be read, is in none of these forms, or its times have a zone of a name but UTC
 */
export async function* readServerLog(path: string): AsyncGenerator<ServerEvent> {
  let format: Format | undefined;
  let quotes = false;
  let record = "";
  const decoder = new StringDecoder("utf8");
  let number = 0;
  const take = function* (line: string): Generator<ServerEvent> {
    number += 1;
    format ??= formatOf(line, path);
    // In CSV a field in quotes may hold line ends.
    if (format === "csvlog" && line.split('"').length % 2 === 0) quotes = !quotes;
    record = record === "" ? line : `${record}\n${line}`;
    if (record.length > MAX_RECORD) throw wrong(path, `line ${number} belongs to a record of more than 64 MiB`);
    if (quotes) return;
    const event = eventOf(format, record, `${path}:${number}`);
    record = "";
    if (event !== undefined) yield event;
  };
  let rest = "";
  try {
    for await (const chunk of createReadStream(path)) {
      const lines = (rest + decoder.write(chunk as Buffer)).split("\n");
      rest = lines.pop()!;
      if (rest.length > MAX_RECORD) throw wrong(path, `line ${number + 1} has more than 64 MiB`);
      for (const line of lines) yield* take(line);
    }
  } catch (error) {
    if (error instanceof CliError) throw error;
    throw wrong(path, `cannot be read: ${oneLine(error)}`);
  }
  // A last line without its end is being written.
}

function formatOf(line: string, path: string): Format {
  if (line.startsWith("{")) return "jsonlog";
  if (PREFIX.test(line)) return "plain";
  if (/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)? [^,"]+,/.test(line)) return "csvlog";
  throw wrong(path, "is neither csvlog, jsonlog, nor plain with a log_line_prefix that begins with '%m [%p]'");
}

/** `%m [%p] `, and `%u@%d ` where that is next, as in Debian; whatever else may stand before the severity. */
const PREFIX = /^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)? \S+) \[(\d{1,10})\](?: (\S+)@([^\s@]+) )?/;

function eventOf(format: Format, record: string, where: string): ServerEvent | undefined {
  switch (format) {
    case "jsonlog":
      return fromJson(record, where);
    case "csvlog":
      return fromCsv(record, where);
    case "plain":
      return fromPlain(record, where);
  }
}

/** Types of processes that serve clients. */
const CLIENTS: ReadonlySet<unknown> = new Set(["client backend", "walsender"]);

function fromJson(record: string, where: string): ServerEvent | undefined {
  if (record === "") return undefined;
  let value: Record<string, unknown>;
  try {
    value = JSON.parse(record) as Record<string, unknown>;
  } catch {
    throw wrong(where, "is not one line of JSON");
  }
  const { timestamp, pid, user, dbname, message, backend_type: type } = value;
  if (!CLIENTS.has(type) || typeof pid !== "number" || typeof message !== "string") return undefined;
  return event(String(timestamp), pid, text(user), text(dbname), message, where);
}

function text(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}

/** PostgreSQL's section "Using CSV-Format Log Output". */
const CSV = { time: 0, user: 1, database: 2, pid: 3, message: 13, type: 23 } as const;

function fromCsv(record: string, where: string): ServerEvent | undefined {
  if (record === "") return undefined;
  const fields = csvFields(record);
  const message = fields[CSV.message];
  if (message === undefined) throw wrong(where, "has too few fields for csvlog");
  // Before PostgreSQL 13 there is no type; then every line with a role counts.
  const type = fields[CSV.type];
  if (type !== undefined && type !== "" && !CLIENTS.has(type)) return undefined;
  return event(
    fields[CSV.time]!,
    Number(fields[CSV.pid]),
    text(fields[CSV.user]),
    text(fields[CSV.database]),
    message,
    where,
  );
}

function csvFields(record: string): string[] {
  const fields: string[] = [];
  for (let at = 0; at <= record.length; ) {
    if (record[at] !== '"') {
      const comma = record.indexOf(",", at);
      const end = comma < 0 ? record.length : comma;
      fields.push(record.slice(at, end));
      at = end + 1;
      continue;
    }
    let value = "";
    for (at += 1; at < record.length; at++) {
      if (record[at] !== '"') {
        const quote = record.indexOf('"', at);
        const end = quote < 0 ? record.length : quote;
        value += record.slice(at, end);
        at = end - 1;
      } else if (record[at + 1] === '"') {
        value += '"';
        at += 1;
      } else break;
    }
    fields.push(value);
    at += 2;
  }
  return fields;
}

function fromPlain(line: string, where: string): ServerEvent | undefined {
  const prefix = PREFIX.exec(line);
  const message = prefix === null ? null : /\b(?:LOG|NOTICE|INFO|WARNING): {1,2}(.*)$/s.exec(line);
  // What goes on over several lines has no prefix.
  if (prefix === null || message === null) return undefined;
  const [, time, pid, user, database] = prefix;
  // Who has not logged in yet is [unknown] there.
  const known = (name: string | undefined): string | undefined => (name === "[unknown]" ? undefined : name);
  return event(time!, Number(pid), known(user), known(database), message[1]!, where);
}

const CONNECTION =
  /^(?:replication )?connection authorized: user=(.*?)(?: database=(.*?))?(?: application_name=.*| SSL enabled.*| GSS .*)?$/s;
const STATEMENT =
  /^(?:statement: |execute |AUDIT: |fastpath function call|duration: [0-9.]+ ms {2}(?:statement|execute)\b)/;

function event(
  time: string,
  pid: number,
  user: string | undefined,
  database: string | undefined,
  message: string,
  where: string,
): ServerEvent | undefined {
  const connection = CONNECTION.exec(message);
  if (connection === null && !STATEMENT.test(message)) return undefined;
  const ms = timeOf(time);
  if (ms === undefined) {
    throw wrong(
      where,
      `has the time ${JSON.stringify(time.slice(0, 60))}, whose zone is not UTC; set log_timezone to UTC`,
    );
  }
  if (connection === null) return { kind: "statement", time: ms, pid, user, database, text: message };
  const named = { user: user ?? connection[1], database: database ?? connection[2] };
  return { kind: "connection", time: ms, pid, ...named, text: message };
}

function timeOf(value: string): number | undefined {
  const parts = /^(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d(?:\.\d+)?) (?:(UTC|GMT|Z)|([+-]\d\d)(?::?(\d\d))?)$/.exec(value);
  if (parts === null) return undefined;
  const zone = parts[3] === undefined ? `${parts[4]}:${parts[5] ?? "00"}` : "Z";
  const ms = Date.parse(`${parts[1]}T${parts[2]}${zone}`);
  return Number.isNaN(ms) ? undefined : ms;
}

function wrong(where: string, what: string): CliError {
  return new CliError("usage", `--server-log ${where} ${what}`);
}
