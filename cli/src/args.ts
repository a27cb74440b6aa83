import { type ParseArgsConfig, parseArgs } from "node:util";
import { type Address, parseAddress } from "./address.ts";
import { CliError, codeOf } from "./errors.ts";
import { COMMANDS, type Command } from "./help.ts";
import { parseUpstream, type Upstream } from "./upstream-url.ts";

export interface UpOptions {
  readonly data: string;
  readonly proxy: Address;
  readonly log: Address;
  /** `undefined`: the embedded PostgreSQL. */
  readonly upstream: Upstream | undefined;
}

export type Invocation =
  | { readonly do: "help"; readonly command: Command | undefined }
  | { readonly do: "version" }
  | { readonly do: "up"; readonly options: UpOptions }
  | { readonly do: "part"; readonly part: "log-server" | "proxy"; readonly config: string }
  | { readonly do: "example"; readonly part: "log-server" | "proxy" }
  | { readonly do: "key"; readonly name: string; readonly output: string | undefined };

const HELP = { help: { type: "boolean", short: "h" } } as const;

/**
 * Reads the command line.
 *
 * @param argv without the interpreter and the script
 * @throws CliError `usage`, `upstream_tls`
 */
export function readCommandLine(argv: readonly string[]): Invocation {
  const [first, ...rest] = argv;
  if (first === undefined)
    throw new CliError("usage", "name a command: up, log-server, proxy or key; see vitrine --help");
  if (first === "help") {
    const [command] = rest;
    return { do: "help", command: command === undefined ? undefined : asCommand(command) };
  }
  if (first.startsWith("-")) {
    const { values } = parse([...argv], { ...HELP, version: { type: "boolean", short: "V" } }, undefined);
    return values.help ? { do: "help", command: undefined } : { do: "version" };
  }
  const command = asCommand(first);
  switch (command) {
    case "up":
      return readUp(rest);
    case "key":
      return readKey(rest);
    default:
      return readPart(command, rest);
  }
}

function readUp(argv: string[]): Invocation {
  const text = { type: "string" } as const;
  const { values } = parse(argv, { ...HELP, data: text, proxy: text, log: text, upstream: text }, "up");
  if (values.help) return { do: "help", command: "up" };
  if (values.data === "") throw new CliError("usage", "--data is empty; name a folder");
  const proxy = parseAddress(values.proxy ?? "127.0.0.1:6432", "--proxy");
  const log = parseAddress(values.log ?? "127.0.0.1:6962", "--log");
  if (proxy.port !== 0 && proxy.port === log.port && proxy.host === log.host) {
    throw new CliError("usage", "--proxy and --log name the same address; choose two");
  }
  const upstream = values.upstream === undefined ? undefined : parseUpstream(values.upstream);
  return { do: "up", options: { data: values.data ?? "vitrine-data", proxy, log, upstream } };
}

function readPart(part: "log-server" | "proxy", argv: string[]): Invocation {
  const { values } = parse(argv, { ...HELP, config: { type: "string" }, example: { type: "boolean" } }, part);
  if (values.help) return { do: "help", command: part };
  if (values.example) return { do: "example", part };
  if (!values.config) throw new CliError("usage", `--config FILE is missing; see vitrine ${part} --help`);
  return { do: "part", part, config: values.config };
}

function readKey(argv: string[]): Invocation {
  const { values, positionals } = parse(argv, { ...HELP, output: { type: "string", short: "o" } }, "key", true);
  if (values.help) return { do: "help", command: "key" };
  const [name, ...more] = positionals;
  if (name === undefined || more.length > 0) {
    throw new CliError("usage", "name one key, such as example.org/audit; see vitrine key --help");
  }
  if (name === "" || /[\s+]/u.test(name)) {
    throw new CliError("usage", `${JSON.stringify(name)} cannot name a key: it is empty, or holds white space or "+"`);
  }
  return { do: "key", name, output: values.output };
}

function asCommand(name: string): Command {
  const command = COMMANDS.find((known) => known === name);
  if (command !== undefined) return command;
  throw new CliError("usage", `there is no command ${JSON.stringify(name)}; the commands are ${COMMANDS.join(", ")}`);
}

type Options = NonNullable<ParseArgsConfig["options"]>;
type Parsed<O extends Options> = ReturnType<typeof parseArgs<{ options: O; strict: true; allowPositionals: boolean }>>;

/** parseArgs, with its errors in one line of ours that says where to look. */
function parse<O extends Options>(
  args: string[],
  options: O,
  command: Command | undefined,
  positionals = false,
): Parsed<O> {
  const help = command === undefined ? "vitrine --help" : `vitrine ${command} --help`;
  try {
    return parseArgs({ args, options, strict: true, allowPositionals: positionals });
  } catch (error) {
    if (!(error instanceof Error) || !codeOf(error)?.startsWith("ERR_PARSE_ARGS_")) throw error;
    // Node's own message goes on, behind the first sentence, about how to write positional arguments.
    const message = error.message.split(/\.\s|\n/, 1)[0]?.replace(/\.$/, "") ?? "";
    const what = message.charAt(0).toLowerCase() + message.slice(1);
    throw new CliError("usage", `${what}; see ${help}`, { cause: error });
  }
}
