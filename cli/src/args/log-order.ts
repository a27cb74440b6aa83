import { CliError } from "../errors.ts";
import { parseTime } from "../time.ts";
import { readToken, readUrl } from "./log-options.ts";
import { HELP, type HelpInvocation, parse } from "./parse.ts";

/** Where a log that runs is, and who orders what of it, and why. */
interface Order {
  readonly url: string;
  readonly token: string;
  readonly reason: string;
}

/** `vitrine log source …` and `vitrine log erase` */
export type OrderCommand =
  | (Order & { readonly order: "register"; readonly vkey: string })
  | (Order & { readonly order: "retire"; readonly name: string })
  | (Order & {
      readonly order: "erase";
      readonly scope: { readonly index: number } | { readonly login: string } | { readonly before: string };
    });

export interface OrderInvocation {
  readonly do: "order";
  readonly command: OrderCommand;
}

const SEE = "see vitrine log --help";
const text = { type: "string" } as const;
const WHO = { ...HELP, log: text, "token-file": text, reason: text } as const;

/** @throws CliError `usage` */
export function readSource(argv: string[]): OrderInvocation | HelpInvocation {
  const { values, positionals } = parse(argv, WHO, "log", true);
  if (values.help) return { do: "help", topic: "log" };
  const [action, what, ...more] = positionals;
  if ((action !== "register" && action !== "retire") || what === undefined || what === "" || more.length > 0) {
    throw new CliError("usage", `expected vitrine log source register VKEY, or retire NAME; ${SEE}`);
  }
  const order = readOrder(values);
  return {
    do: "order",
    command: action === "register" ? { ...order, order: action, vkey: what } : { ...order, order: action, name: what },
  };
}

/** @throws CliError `usage` */
export function readErase(argv: string[]): OrderInvocation | HelpInvocation {
  const { values } = parse(argv, { ...WHO, index: text, login: text, before: text }, "log");
  if (values.help) return { do: "help", topic: "log" };
  const { index, login, before } = values;
  if ([index, login, before].filter((each) => each !== undefined).length !== 1) {
    throw new CliError("usage", `give exactly one of --index, --login and --before; ${SEE}`);
  }
  const order = readOrder(values);
  const scope =
    index !== undefined
      ? { index: readIndex(index) }
      : login !== undefined
        ? { login: required(login, "--login ROLE") }
        : { before: parseTime(before!, "--before") };
  return { do: "order", command: { ...order, order: "erase", scope } };
}

function readOrder(values: { log?: string; "token-file"?: string; reason?: string }): Order {
  const url = readUrl(values.log, SEE);
  const token = readToken(required(values["token-file"], "--token-file FILE"));
  return { url, token, reason: required(values.reason, "--reason TEXT") };
}

function readIndex(word: string): number {
  const value = Number(word);
  if (/^(?:0|[1-9][0-9]*)$/.test(word) && Number.isSafeInteger(value)) return value;
  throw new CliError("usage", `--index ${JSON.stringify(word)} is not a number from 0; ${SEE}`);
}

function required(value: string | undefined, name: string): string {
  if (value !== undefined && value !== "") return value;
  throw new CliError("usage", `${name} is ${value === "" ? "empty" : "missing"}; ${SEE}`);
}
