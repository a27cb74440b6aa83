import { type ParseArgsConfig, parseArgs } from "node:util";
import { CliError, codeOf } from "../errors.ts";
import type { Topic } from "../help.ts";

/** Somebody wants to read how a command is called; undefined: all of them. */
export interface HelpInvocation {
  readonly do: "help";
  readonly topic: Topic | undefined;
}

export const HELP = { help: { type: "boolean", short: "h" } } as const;

type Options = NonNullable<ParseArgsConfig["options"]>;
type Parsed<O extends Options> = ReturnType<typeof parseArgs<{ options: O; strict: true; allowPositionals: boolean }>>;

/** parseArgs, with its errors in one line of ours that says where to look. */
export function parse<O extends Options>(
  args: string[],
  options: O,
  topic: Topic | undefined,
  positionals = false,
): Parsed<O> {
  const help = topic === undefined ? "vitrine --help" : `vitrine ${topic} --help`;
  try {
    return parseArgs({ args, options, strict: true, allowPositionals: positionals });
  } catch (error) {
    if (!(error instanceof Error) || !codeOf(error)?.startsWith("ERR_PARSE_ARGS_")) throw error;
    const [, dashed] = /^Option '(?:-., )?--?([a-z-]+)[^']*' argument is ambiguous/.exec(error.message) ?? [];
    // An argument may be what was meant, or the next option because this one's was left out.
    if (dashed !== undefined)
      throw new CliError("usage", `--${dashed} has no value; one that begins with a dash is --${dashed}=VALUE`, {
        cause: error,
      });
    // Node's own message goes on, behind the first sentence, about how to write positional arguments.
    const message = error.message.split(/\.\s|\n/, 1)[0]?.replace(/\.$/, "") ?? "";
    const what = message.charAt(0).toLowerCase() + message.slice(1);
    throw new CliError("usage", `${what}; see ${help}`, { cause: error });
  }
}
