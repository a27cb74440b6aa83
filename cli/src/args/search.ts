import { CliError } from "../errors.ts";
import { parseTime } from "../time.ts";
import { readToken, readUrl } from "./log-options.ts";
import { HELP, type HelpInvocation, parse } from "./parse.ts";

/** The options that restrict a search by a field, with the parameter that the log has for each. */
export const FIELD_OPTIONS = {
  user: "actor",
  database: "database",
  table: "relation",
  class: "class",
  operation: "operation",
  outcome: "outcome",
  source: "source",
  session: "session",
  kind: "kind",
  identity: "identity",
  claimed: "claimed",
  rule: "rule",
  "would-deny": "would_deny",
} as const;

export type FieldOption = keyof typeof FIELD_OPTIONS;

/** `vitrine search` */
export interface SearchCommand {
  /** The log's URL, without a slash at its end. */
  readonly log: string;
  readonly token: string | undefined;
  /** By option: entries must match one value of each. */
  readonly fields: ReadonlyMap<FieldOption, readonly string[]>;
  /** Timestamps. */
  readonly since: string | undefined;
  readonly until: string | undefined;
  readonly limit: number;
  readonly json: boolean;
}

export interface SearchInvocation {
  readonly do: "search";
  readonly command: SearchCommand;
}

const SEE = "see vitrine search --help";
const DEFAULT_LIMIT = 50;
/** More than a person reads: to read all entries is the verifier's work. */
const MOST_LIMIT = 100_000;

/**
 * Reads what stands behind `vitrine search`.
 *
 * @throws CliError `usage`
 */
export function readSearchCommand(argv: string[]): SearchInvocation | HelpInvocation {
  const text = { type: "string" } as const;
  const many = { type: "string", multiple: true } as const;
  const fieldOptions = Object.fromEntries(Object.keys(FIELD_OPTIONS).map((name) => [name, many]));
  const others = { log: text, "token-file": text, since: text, until: text, limit: text } as const;
  const { values } = parse(argv, { ...HELP, ...others, json: { type: "boolean" }, ...fieldOptions }, "search");
  if (values.help === true) return { do: "help", topic: "search" };
  const single = values as Record<keyof typeof others, string | undefined>;
  const fields = new Map<FieldOption, readonly string[]>();
  for (const name of Object.keys(FIELD_OPTIONS) as FieldOption[]) {
    const given = (values as Partial<Record<FieldOption, string[]>>)[name];
    if (given !== undefined) fields.set(name, given);
  }
  const [since, until] = (["since", "until"] as const).map((name) =>
    single[name] === undefined ? undefined : parseTime(single[name], `--${name}`),
  );
  if (since !== undefined && until !== undefined && until <= since)
    throw new CliError("usage", `--until ${until} is not after --since ${since}: nothing would be found`);
  return {
    do: "search",
    command: {
      log: readUrl(single.log, SEE),
      token: single["token-file"] === undefined ? undefined : readToken(single["token-file"]),
      fields,
      since,
      until,
      limit: readLimit(single.limit),
      json: values.json === true,
    },
  };
}

function readLimit(value: string | undefined): number {
  if (value === undefined) return DEFAULT_LIMIT;
  const limit = /^[1-9][0-9]{0,8}$/.test(value) ? Number(value) : Number.NaN;
  if (limit <= MOST_LIMIT) return limit;
  throw new CliError("usage", `--limit ${JSON.stringify(value)} is not a number from 1 to ${MOST_LIMIT}`);
}
