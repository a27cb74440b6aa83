import { type ParseArgsConfig, parseArgs } from "node:util";
import { VerifierError } from "../../src/errors.ts";
import { parseDecimal } from "../../src/formats/text.ts";
import type { CommandName } from "../help.ts";
import { printableShort } from "../printable.ts";
import type { TrustOptions } from "../trust.ts";

/** What the command lines of several commands have in common. */

/** Somebody wants to know what the command takes. */
export type AskedHelp = { command: "help"; about: CommandName };

/** What every command that reads a log is told. */
export type LogOptions = TrustOptions & {
  log: string;
  /** For a log that gives entries to holders of a token alone: the token, or a file that holds it. */
  token: string | undefined;
  /** Undefined: the default folder. */
  state: string | undefined;
  timeoutMs: number;
  json: boolean;
};

type Text = { readonly type: "string" };
type Flag = { readonly type: "boolean" };
type List = { readonly type: "string"; readonly multiple: true };
type HelpOption = { readonly help: { readonly type: "boolean"; readonly short: "h" } };

export const text: Text = { type: "string" };
export const flag: Flag = { type: "boolean" };
export const list: List = { type: "string", multiple: true };
export const helpOption: HelpOption = { help: { type: "boolean", short: "h" } };

type OfViews = HelpOption & { vkey: List; json: Flag; log: Text; state: Text; timeout: Text };
type OfLog = OfViews & { policy: Text; "max-age": Text };
type OfEntries = OfLog & { token: Text };

/** Each view of several has its own cosignatures, so no policy is asked of them. */
export const ofViews: OfViews = { ...helpOption, vkey: list, json: flag, log: text, state: text, timeout: text };
export const ofLog: OfLog = { ...ofViews, policy: text, "max-age": text };
/** Of commands that read entries, which may take a token. */
export const ofEntries: OfEntries = { ...ofLog, token: text };

/** The log wants to know why: whoever reads sealed values leaves an entry. @returns the reason, when they are to be read */
export function readReading(values: { token?: string; reason?: string }, command: CommandName): string | undefined {
  if (values.reason === undefined) return undefined;
  if (values.token === undefined) throw usage("--reason belongs to --token: without it no sealed value is read");
  return required(values.reason, "--reason TEXT", command);
}

type TrustValues = { vkey?: string[]; policy?: string; "max-age"?: string };

export function trustOptions(values: TrustValues, command: CommandName): TrustOptions {
  const { vkey = [], "max-age": maxAge } = values;
  const policy = values.policy === undefined ? undefined : required(values.policy, "--policy FILE", command);
  if (vkey.length === 0 && policy === undefined) required(undefined, "--vkey FILE|KEY", command);
  if (maxAge !== undefined && policy === undefined) throw usage("--max-age is about cosignatures: it needs --policy");
  return {
    vkeys: vkey.map((one) => required(one, "--vkey FILE|KEY", command)),
    policy,
    maxAge: maxAge === undefined ? undefined : duration(maxAge, "--max-age"),
  };
}

type LogValues = TrustValues & { log?: string; token?: string; state?: string; timeout?: string; json?: boolean };

export function logOptions(values: LogValues, command: CommandName): LogOptions {
  const timeoutMs = seconds(values.timeout ?? "20", "--timeout");
  if (timeoutMs === 0) throw usage("--timeout 0 leaves the log no time to answer");
  return {
    log: required(values.log, "--log URL", command),
    ...trustOptions(values, command),
    token: values.token === undefined ? undefined : required(values.token, "--token FILE|TOKEN", command),
    state: values.state === undefined ? undefined : required(values.state, "--state DIR", command),
    timeoutMs,
    json: values.json ?? false,
  };
}

export function required(value: string | undefined, name: string, command: CommandName): string {
  if (value !== undefined && value !== "") return value;
  throw usage(`${name} is ${value === "" ? "empty" : "missing"}; see vitrine-verifier ${command} --help`);
}

export function count(value: string, name: string): number {
  const number = parseDecimal(value);
  if (number === undefined) throw usage(`${name} is not a whole number from 0: ${printableShort(value)}`);
  return number;
}

/** An hour is far beyond what a log or a seal may take; timers would not go beyond 24 days. */
const maxSeconds = 3600;

export function seconds(value: string, name: string): number {
  const ms = /^[0-9]{1,4}(?:\.[0-9]{1,3})?$/.test(value) ? Math.round(Number(value) * 1000) : undefined;
  if (ms !== undefined && ms <= maxSeconds * 1000) return ms;
  throw usage(`${name} is not a number of seconds from 0 to ${maxSeconds}: ${printableShort(value)}`);
}

const units: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400 };

/** @returns seconds */
function duration(value: string, name: string): number {
  const parts = /^(0|[1-9][0-9]{0,8})([smhd]?)$/.exec(value);
  if (parts !== null) return Number(parts[1]) * units[parts[2] === "" ? "s" : parts[2]!]!;
  throw usage(`${name} is not a span of time such as 90 (seconds), 15m, 24h or 7d: ${printableShort(value)}`);
}

type Options = NonNullable<ParseArgsConfig["options"]>;
type Parsed<O extends Options> = ReturnType<typeof parseArgs<{ options: O; strict: true; allowPositionals: boolean }>>;

export function parse<O extends Options>(
  args: readonly string[],
  options: O,
  command: CommandName | undefined,
  positionals = false,
): Parsed<O> {
  try {
    return parseArgs({ args: [...args], options, strict: true, allowPositionals: positionals });
  } catch (error) {
    if (!(error instanceof TypeError) || !String((error as { code?: unknown }).code).startsWith("ERR_PARSE_ARGS_"))
      throw error;
    const [, dashed] = /^Option '(?:-., )?--?([a-z-]+)[^']*' argument is ambiguous/.exec(error.message) ?? [];
    // An argument may be what was meant, or the next option because this one's was left out.
    if (dashed !== undefined) throw usage(`--${dashed} has no value; one that begins with a dash is --${dashed}=VALUE`);
    // Behind its first sentence Node goes on about how to write positional arguments.
    const sentence = error.message.split(/\.\s|\n/, 1)[0]!.replace(/\.$/, "");
    const what = sentence.charAt(0).toLowerCase() + sentence.slice(1);
    throw usage(`${printableShort(what)}; see vitrine-verifier ${command === undefined ? "" : `${command} `}--help`);
  }
}

export function usage(message: string): VerifierError {
  return new VerifierError("usage", message);
}
