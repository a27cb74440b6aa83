import { isIP } from "node:net";
import { CliError } from "../errors.ts";
import { HELP, type HelpInvocation, parse } from "./parse.ts";

/** `vitrine proxy rules check` and `test`. */
export type RulesCommand =
  | { readonly rules: "check"; readonly files: readonly string[]; readonly json: boolean }
  | {
      readonly rules: "test";
      readonly file: string;
      readonly sql: string;
      readonly user: string;
      readonly groups: readonly string[];
      readonly database: string;
      readonly auth: string;
      readonly address: string | undefined;
      readonly application: string;
      readonly searchPath: string;
      /** RFC 3339; undefined: now. */
      readonly at: string | undefined;
      readonly json: boolean;
    };

export interface RulesInvocation {
  readonly do: "rules";
  readonly command: RulesCommand;
}

const SEE = "see vitrine proxy rules --help";
const text = { type: "string" } as const;
const flag = { type: "boolean" } as const;

/**
 * @param argv what stands behind `proxy rules`
 * @throws CliError `usage`
 */
export function readRulesCommand(argv: readonly string[]): RulesInvocation | HelpInvocation {
  const [first, ...rest] = argv;
  if (first === "check") return readCheck(rest);
  if (first === "test") return readTest(rest);
  if (first === "--help" || first === "-h") return { do: "help", topic: "proxy rules" };
  throw new CliError("usage", `name what to do with rules: check FILE, or test FILE; ${SEE}`);
}

function readCheck(argv: string[]): RulesInvocation | HelpInvocation {
  const { values, positionals } = parse(argv, { ...HELP, json: flag }, "proxy rules", true);
  if (values.help) return { do: "help", topic: "proxy rules" };
  if (positionals.length === 0) throw new CliError("usage", `name a file of rules; ${SEE}`);
  return { do: "rules", command: { rules: "check", files: positionals, json: values.json ?? false } };
}

function readTest(argv: string[]): RulesInvocation | HelpInvocation {
  const options = {
    ...HELP,
    sql: text,
    user: text,
    group: { type: "string", multiple: true },
    database: text,
    auth: text,
    address: text,
    application: text,
    "search-path": text,
    at: text,
    json: flag,
  } as const;
  const { values, positionals } = parse(argv, options, "proxy rules", true);
  if (values.help) return { do: "help", topic: "proxy rules" };
  const [file, ...more] = positionals;
  if (file === undefined || more.length > 0) throw new CliError("usage", `name one file of rules; ${SEE}`);
  const { sql, user } = values;
  if (sql === undefined || user === undefined || user === "") {
    throw new CliError("usage", `--user LOGIN and --sql TEXT are needed; ${SEE}`);
  }
  const { address } = values;
  if (address !== undefined && isIP(address) === 0)
    throw new CliError("usage", `--address ${JSON.stringify(address)} is not an IP address; ${SEE}`);
  return {
    do: "rules",
    command: {
      rules: "test",
      file,
      sql,
      user,
      groups: values.group ?? [],
      database: values.database ?? user,
      auth: values.auth ?? "scram-sha-256",
      address,
      application: values.application ?? "",
      searchPath: values["search-path"] ?? '"$user", public',
      at: values.at,
      json: values.json ?? false,
    },
  };
}
