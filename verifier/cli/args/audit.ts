import type { Filter } from "../filter.ts";
import { printableShort } from "../printable.ts";
import { parseTime } from "../time.ts";
import {
  type AskedHelp,
  count,
  flag,
  type LogOptions,
  list,
  logOptions,
  ofEntries,
  parse,
  required,
  seconds,
  text,
  usage,
} from "./common.ts";

export type AuditInvocation = { command: "audit" } & LogOptions & {
    all: boolean;
    sources: readonly string[];
    /** File of the findings that somebody has looked into. */
    acknowledged: string | undefined;
    /** Undefined: the default, which depends on where the log is. */
    waitMs: number | undefined;
    entries: "vitrine" | "any";
    filter: Filter;
    /** Undefined: the default. */
    limit: number | undefined;
  };

const filters = ["user", "identity", "claimed", "database", "table", "operation"] as const;

export function readAudit(argv: readonly string[]): AuditInvocation | AskedHelp {
  const options = {
    ...ofEntries,
    all: flag,
    source: list,
    acknowledged: text,
    wait: text,
    entries: text,
    user: text,
    identity: text,
    claimed: text,
    database: text,
    table: text,
    operation: text,
    since: text,
    until: text,
    limit: text,
  } as const;
  const { values } = parse(argv, options, "audit");
  if (values.help) return { command: "help", about: "audit" };
  const time = (name: "since" | "until"): string | undefined =>
    values[name] === undefined ? undefined : parseTime(values[name], `--${name}`);
  type Named = "user" | "identity" | "claimed" | "database" | "table" | "operation" | "acknowledged";
  const named = (name: Named): string | undefined =>
    values[name] === undefined ? undefined : required(values[name], `--${name}`, "audit");
  const [since, until] = [time("since"), time("until")];
  if (since !== undefined && until !== undefined && until <= since)
    throw usage(`--until ${until} is not after --since ${since}: nothing would be listed`);
  return {
    command: "audit",
    ...logOptions(values, "audit"),
    all: values.all ?? false,
    sources: values.source ?? [],
    acknowledged: named("acknowledged"),
    waitMs: values.wait === undefined ? undefined : seconds(values.wait, "--wait"),
    entries: anyOrVitrine(values),
    filter: {
      user: named("user"),
      identity: named("identity"),
      claimed: named("claimed"),
      database: named("database"),
      table: named("table"),
      operation: named("operation"),
      since,
      until,
    },
    limit: values.limit === undefined ? undefined : count(values.limit, "--limit"),
  };
}

/** What only entries of Vitrine have cannot be asked of entries of any bytes. */
function anyOrVitrine(values: Readonly<Record<string, unknown>>): "vitrine" | "any" {
  const { entries = "vitrine" } = values;
  if (entries === "vitrine") return entries;
  if (entries !== "any") throw usage(`--entries is neither vitrine nor any: ${printableShort(String(entries))}`);
  const needing = ["source", "acknowledged", ...filters, "since", "until", "limit"];
  const given = needing.find((name) => values[name] !== undefined);
  if (given !== undefined)
    throw usage(`--${given} is for entries of Vitrine, and --entries any says that they may be none`);
  return entries;
}
