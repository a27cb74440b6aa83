import { CliError } from "../errors.ts";
import { parseTime } from "../time.ts";
import { HELP, type HelpInvocation, parse } from "./parse.ts";

/** `vitrine proxy user …` */
export type UserCommand =
  | {
      readonly action: "add";
      readonly name: string;
      readonly where: UsersPlace;
      readonly password: "ask" | "keep" | "none";
      readonly iterations: number | undefined;
      readonly identity: string | undefined;
      readonly groups: readonly string[] | undefined;
      readonly expires: string | undefined;
      readonly role: string | undefined;
      readonly certificate: string | undefined;
    }
  | { readonly action: "list"; readonly where: UsersPlace; readonly json: boolean }
  | { readonly action: "remove"; readonly name: string; readonly where: UsersPlace };

export interface UserInvocation {
  readonly do: "user";
  readonly command: UserCommand;
}

/** The file itself, or the proxy's configuration, which names it. */
export interface UsersPlace {
  readonly file: string | undefined;
  readonly config: string | undefined;
}

const SEE = "see vitrine proxy user --help";
const text = { type: "string" } as const;
const flag = { type: "boolean" } as const;
const PLACE = { ...HELP, file: text, config: text } as const;
/** What takes seconds is no check of a password any more. */
const MAX_ITERATIONS = 1_000_000;

/**
 * @param argv what stands behind `proxy user`
 * @throws CliError `usage`
 */
export function readUserCommand(argv: readonly string[]): UserInvocation | HelpInvocation {
  const [first, ...rest] = argv;
  switch (first) {
    case "add":
      return readAdd(rest);
    case "list": {
      const { values } = parse(rest, { ...PLACE, json: flag }, "proxy user");
      if (values.help) return { do: "help", topic: "proxy user" };
      return { do: "user", command: { action: "list", where: placeOf(values), json: values.json ?? false } };
    }
    case "remove": {
      const { values, positionals } = parse(rest, PLACE, "proxy user", true);
      if (values.help) return { do: "help", topic: "proxy user" };
      return { do: "user", command: { action: "remove", name: oneName(positionals), where: placeOf(values) } };
    }
    case "--help":
    case "-h":
      return { do: "help", topic: "proxy user" };
    default:
      throw new CliError("usage", `vitrine proxy user takes one of add, list, remove; ${SEE}`);
  }
}

function readAdd(argv: string[]): UserInvocation | HelpInvocation {
  const options = {
    ...PLACE,
    identity: text,
    group: { type: "string", multiple: true },
    expires: text,
    role: text,
    certificate: text,
    iterations: text,
    "no-password": flag,
    "keep-password": flag,
  } as const;
  const { values, positionals } = parse(argv, options, "proxy user", true);
  if (values.help) return { do: "help", topic: "proxy user" };
  const { "no-password": none, "keep-password": keep, iterations, identity, expires, role, certificate } = values;
  if (none && keep) throw new CliError("usage", `--no-password and --keep-password exclude each other; ${SEE}`);
  const count = iterations === undefined ? undefined : Number(iterations);
  if (iterations !== undefined && (!/^[1-9][0-9]{3,6}$/.test(iterations) || count! < 4096 || count! > MAX_ITERATIONS)) {
    throw new CliError("usage", `--iterations must be a number from 4096 (RFC 7677) to ${MAX_ITERATIONS}`);
  }
  return {
    do: "user",
    command: {
      action: "add",
      name: oneName(positionals),
      where: placeOf(values),
      password: none ? "none" : keep ? "keep" : "ask",
      iterations: count,
      identity,
      groups: values.group?.flatMap((list) => list.split(",")),
      expires: expires === undefined ? undefined : parseTime(expires, "--expires"),
      role,
      certificate,
    },
  };
}

function oneName(positionals: readonly string[]): string {
  const [name, ...more] = positionals;
  if (name === undefined || more.length > 0) throw new CliError("usage", `name one user; ${SEE}`);
  return name;
}

function placeOf({ file, config }: { file?: string; config?: string }): UsersPlace {
  if ((file === undefined) === (config === undefined)) {
    throw new CliError("usage", `give the users with --file FILE, or --config FILE of the proxy; ${SEE}`);
  }
  return { file, config };
}
