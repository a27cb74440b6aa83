import { CliError } from "../errors.ts";
import { parseTime } from "../time.ts";
import { type OrderInvocation, readErase, readSource } from "./log-order.ts";
import { readTool, type ToolInvocation } from "./log-tool.ts";
import { HELP, type HelpInvocation, parse } from "./parse.ts";

const TOKEN_ACTIONS = ["add", "list", "revoke"] as const;

/** `vitrine log token …` */
export type TokenCommand =
  | {
      readonly action: "add";
      readonly config: string;
      readonly name: string;
      /** Not checked yet. */
      readonly roles: readonly string[];
      /** A timestamp in the form of spec/README.md. */
      readonly expires: string | undefined;
    }
  | { readonly action: "list"; readonly config: string }
  | { readonly action: "revoke"; readonly config: string; readonly name: string };

export type LogInvocation =
  | { readonly do: "token"; readonly command: TokenCommand }
  | OrderInvocation
  | ToolInvocation
  | HelpInvocation;

const text = { type: "string" } as const;
const SEE = "see vitrine log --help";

/**
 * Reads what stands behind `vitrine log`.
 *
 * @throws CliError `usage`
 */
export function readLogCommand(argv: readonly string[]): LogInvocation {
  const [first, ...rest] = argv;
  if (first === "--help" || first === "-h") return { do: "help", topic: "log" };
  switch (first) {
    case "token":
      return readToken(rest);
    case "source":
      return readSource(rest);
    case "erase":
      return readErase(rest);
    case "fsck":
    case "export":
    case "inspect":
      return readTool(first, rest);
    default: {
      const what = first === undefined ? "name a subcommand" : `there is no subcommand ${JSON.stringify(first)}`;
      throw new CliError("usage", `${what}: token, source, erase, fsck, export or inspect; ${SEE}`);
    }
  }
}

function readToken(argv: string[]): LogInvocation {
  const options = { ...HELP, config: text, name: text, role: text, expires: text } as const;
  const { values, positionals } = parse(argv, options, "log", true);
  if (values.help) return { do: "help", topic: "log" };
  const action = TOKEN_ACTIONS.find((known) => known === positionals[0]);
  if (action === undefined || positionals.length > 1) {
    throw new CliError("usage", `vitrine log token takes one of ${TOKEN_ACTIONS.join(", ")}; ${SEE}`);
  }
  const config = required(values.config, "--config FILE");
  if (action !== "add" && (values.role !== undefined || values.expires !== undefined)) {
    throw new CliError("usage", `--role and --expires belong to vitrine log token add; ${SEE}`);
  }
  if (action === "list") return { do: "token", command: { action, config } };
  const name = required(values.name, "--name NAME");
  if (action === "revoke") return { do: "token", command: { action, config, name } };
  const roles = required(values.role, "--role ROLE").split(",");
  const expires = values.expires === undefined ? undefined : parseTime(values.expires, "--expires");
  return { do: "token", command: { action, config, name, roles, expires } };
}

function required(value: string | undefined, name: string): string {
  if (value !== undefined && value !== "") return value;
  throw new CliError("usage", `${name} is ${value === "" ? "empty" : "missing"}; ${SEE}`);
}
