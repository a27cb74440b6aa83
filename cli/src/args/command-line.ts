import { type Address, parseAddress, parseSocketOrAddress } from "../address.ts";
import { CliError } from "../errors.ts";
import { COMMANDS, type Command, type Topic } from "../help.ts";
import { parseUpstream, type Upstream } from "../upstream-url.ts";
import { type LogInvocation, readLogCommand } from "./log.ts";
import { HELP, type HelpInvocation, parse } from "./parse.ts";
import { type ReconcileInvocation, readReconcileCommand } from "./reconcile.ts";
import { type RulesInvocation, readRulesCommand } from "./rules.ts";
import { readSearchCommand, type SearchInvocation } from "./search.ts";
import { readUserCommand, type UserInvocation } from "./user.ts";

export interface UpOptions {
  readonly data: string;
  readonly proxy: Address;
  readonly log: Address;
  /** `undefined`: the embedded PostgreSQL. */
  readonly upstream: Upstream | undefined;
}

export type Invocation =
  | HelpInvocation
  | { readonly do: "version" }
  | { readonly do: "up"; readonly options: UpOptions }
  | { readonly do: "part"; readonly part: "log-server" | "proxy"; readonly config: string }
  | { readonly do: "rotate-key"; readonly config: string }
  | { readonly do: "example"; readonly part: "log-server" | "proxy" }
  | SearchInvocation
  | ReconcileInvocation
  | LogInvocation
  | RulesInvocation
  | UserInvocation
  | {
      readonly do: "key";
      readonly name: string;
      readonly output: string | undefined;
      /** Of a proxy, whose missing keys are made; undefined: one key. */
      readonly workers: number | undefined;
    };

/**
 * Reads the command line.
 *
 * @param argv without the interpreter and the script
 * @throws CliError `usage`, `upstream_tls`
 */
export function readCommandLine(argv: readonly string[]): Invocation {
  const [first, ...rest] = argv;
  if (first === undefined)
    throw new CliError(
      "usage",
      "name a command: up, log-server, proxy, key, log, search or reconcile; see vitrine --help",
    );
  if (first === "help") {
    return { do: "help", topic: rest.length === 0 ? undefined : asTopic(rest) };
  }
  if (first.startsWith("-")) {
    const { values } = parse([...argv], { ...HELP, version: { type: "boolean", short: "V" } }, undefined);
    return values.help ? { do: "help", topic: undefined } : { do: "version" };
  }
  const command = asCommand(first);
  switch (command) {
    case "up":
      return readUp(rest);
    case "key":
      return readKey(rest);
    case "search":
      return readSearchCommand(rest);
    case "log":
      return readLogCommand(rest);
    case "reconcile":
      return readReconcileCommand(rest);
    default:
      if (command === "proxy" && rest[0] === "rules") return readRulesCommand(rest.slice(1));
      if (command === "proxy" && rest[0] === "user") return readUserCommand(rest.slice(1));
      if (command === "proxy" && rest[0] === "rotate-key") return readRotateKey(rest.slice(1));
      return readPart(command, rest);
  }
}

function readUp(argv: string[]): Invocation {
  const text = { type: "string" } as const;
  const { values } = parse(argv, { ...HELP, data: text, proxy: text, log: text, upstream: text }, "up");
  if (values.help) return { do: "help", topic: "up" };
  if (values.data === "") throw new CliError("usage", "--data is empty; name a folder");
  const proxy = parseSocketOrAddress(values.proxy ?? "127.0.0.1:6432", "--proxy");
  const log = parseAddress(values.log ?? "127.0.0.1:6962", "--log");
  if (proxy.port !== 0 && proxy.port === log.port && proxy.host === log.host) {
    throw new CliError("usage", "--proxy and --log name the same address; choose two");
  }
  const upstream = values.upstream === undefined ? undefined : parseUpstream(values.upstream);
  return { do: "up", options: { data: values.data ?? "vitrine-data", proxy, log, upstream } };
}

function readPart(part: "log-server" | "proxy", argv: string[]): Invocation {
  const { values } = parse(argv, { ...HELP, config: { type: "string" }, example: { type: "boolean" } }, part);
  if (values.help) return { do: "help", topic: part };
  if (values.example && values.config !== undefined)
    throw new CliError("usage", `--example prints an example, and reads no --config; see vitrine ${part} --help`);
  if (values.example) return { do: "example", part };
  if (!values.config) throw new CliError("usage", `--config FILE is missing; see vitrine ${part} --help`);
  return { do: "part", part, config: values.config };
}

function readRotateKey(argv: string[]): Invocation {
  const { values } = parse(argv, { ...HELP, config: { type: "string" } }, "proxy rotate-key");
  if (values.help) return { do: "help", topic: "proxy rotate-key" };
  if (!values.config) throw new CliError("usage", "--config FILE is missing; see vitrine proxy rotate-key --help");
  return { do: "rotate-key", config: values.config };
}

function readKey(argv: string[]): Invocation {
  const options = { ...HELP, output: { type: "string", short: "o" }, workers: { type: "string" } } as const;
  const { values, positionals } = parse(argv, options, "key", true);
  if (values.help) return { do: "help", topic: "key" };
  const [name, ...more] = positionals;
  if (name === undefined || more.length > 0) {
    throw new CliError("usage", "name one key, such as example.org/audit; see vitrine key --help");
  }
  if (name === "" || /[\s+]/u.test(name)) {
    throw new CliError("usage", `${JSON.stringify(name)} cannot name a key: it is empty, or holds white space or "+"`);
  }
  if (values.workers !== undefined && !/^[1-9][0-9]{0,2}$/.test(values.workers)) {
    throw new CliError("usage", "--workers must be a number from 1 to 999; see vitrine key --help");
  }
  const workers = values.workers === undefined ? undefined : Number(values.workers);
  return { do: "key", name, output: values.output, workers };
}

/** What stands behind `vitrine help`: a command, or a subcommand that has a help of its own. */
function asTopic(words: readonly string[]): Topic {
  const [first, second] = words;
  const command = asCommand(first ?? "");
  if (command === "proxy" && (second === "user" || second === "rules" || second === "rotate-key"))
    return `${command} ${second}`;
  return command;
}

function asCommand(name: string): Command {
  const command = COMMANDS.find((known) => known === name);
  if (command !== undefined) return command;
  throw new CliError("usage", `there is no command ${JSON.stringify(name)}; the commands are ${COMMANDS.join(", ")}`);
}
