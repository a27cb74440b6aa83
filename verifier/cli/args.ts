import { type ParseArgsConfig, parseArgs } from "node:util";
import { VerifierError } from "../src/errors.ts";
import { parseDecimal } from "../src/text.ts";
import { defaultMaxRow, defaultRotate, type ExportSettings, readMaxRow, readSize } from "./export/settings.ts";
import type { Filter } from "./filter.ts";
import { type CommandName, commandNames } from "./help.ts";
import { type MonitorSettings, monitorTimes, readTimes, type TimeName } from "./monitor/settings.ts";
import { printableShort } from "./printable.ts";
import { parseTime } from "./time.ts";
import type { TrustOptions } from "./trust.ts";
import type { WitnessFlags } from "./witness/settings.ts";

/** What every command that reads a log is told. */
export type LogOptions = TrustOptions & {
  log: string;
  /** Undefined: the default folder. */
  state: string | undefined;
  timeoutMs: number;
  json: boolean;
};

export type HeadInvocation = { command: "head" } & LogOptions;
export type AuditInvocation = { command: "audit" } & LogOptions & {
    all: boolean;
    sources: readonly string[];
    /** Undefined: the default, which depends on where the log is. */
    waitMs: number | undefined;
    entries: "vitrine" | "any";
    filter: Filter;
    /** Undefined: the default. */
    limit: number | undefined;
  };
export type ProveInvocation = { command: "prove" } & LogOptions & {
    index: number;
    output: string | undefined;
    /** An auditor's token, or a file that holds it, and why it is used. */
    disclose: { token: string; reason: string } | undefined;
  };
export type CompareInvocation = { command: "compare" } & Omit<LogOptions, "log"> & {
    /** Where the views are, in order; that of --log is the first. */
    views: readonly string[];
  };
/** What the file is to be: nothing is taken for evidence of an entry because its own bytes say so. */
export type VerifyForm = { form: "bundle" } | { form: "proof"; entry: string } | { form: "checkpoint" };
export type VerifyInvocation = { command: "verify"; file: string; json: boolean } & TrustOptions & VerifyForm;
export type MonitorInvocation = { command: "monitor"; once: boolean; json: boolean } & (
  | { config: string }
  | { config: undefined; settings: MonitorSettings }
);
/** `verify --log`: the file is a source's record of what was submitted to that log. */
export type RecordInvocation = { command: "verify-record"; file: string; sources: readonly string[] } & LogOptions;
/** `verify --receipt --log`: the file is a source's receipt for one entry of that log. */
export type ReceiptInvocation = { command: "verify-receipt"; file: string; sources: readonly string[] } & LogOptions;
export type WitnessInvocation = { command: "witness"; flags: WitnessFlags };
export type ExportInvocation = { command: "export"; settings: ExportSettings } & LogOptions;

export type Invocation =
  | { command: "help"; about: CommandName | undefined }
  | { command: "version" }
  | HeadInvocation
  | AuditInvocation
  | ProveInvocation
  | CompareInvocation
  | MonitorInvocation
  | VerifyInvocation
  | RecordInvocation
  | ReceiptInvocation
  | WitnessInvocation
  | ExportInvocation;

const text = { type: "string" } as const;
const flag = { type: "boolean" } as const;
const helpOption = { help: { type: "boolean", short: "h" } } as const;
const list = { type: "string", multiple: true } as const;
const everywhere = { ...helpOption, vkey: list, json: flag } as const;
const ofWitnesses = { policy: text, "max-age": text } as const;
/** Each view of several has its own cosignatures, so no policy is asked of them. */
const ofViews = { ...everywhere, log: text, state: text, timeout: text } as const;
const ofLog = { ...ofViews, ...ofWitnesses } as const;

/**
 * Reads the command line.
 * @param argv without the interpreter and the script
 * @throws VerifierError `usage`
 */
export function readCommandLine(argv: readonly string[]): Invocation {
  const [first, ...rest] = argv;
  if (first === undefined) throw usage(`name a command: ${commandNames.join(", ")}; see vitrine-verifier --help`);
  if (first === "help") return { command: "help", about: rest[0] === undefined ? undefined : commandNamed(rest[0]) };
  if (first.startsWith("-")) return readGeneral(argv);
  switch (commandNamed(first)) {
    case "head":
      return readHead(rest);
    case "audit":
      return readAudit(rest);
    case "prove":
      return readProve(rest);
    case "compare":
      return readCompare(rest);
    case "monitor":
      return readMonitor(rest);
    case "verify":
      return readVerify(rest);
    case "witness":
      return readWitness(rest);
    case "export":
      return readExport(rest);
  }
}

function readGeneral(argv: readonly string[]): Invocation {
  const { values } = parse(argv, { ...helpOption, version: { type: "boolean", short: "V" } }, undefined);
  if (values.version && !values.help) return { command: "version" };
  return { command: "help", about: undefined };
}

function readHead(argv: readonly string[]): Invocation {
  const { values } = parse(argv, ofLog, "head");
  if (values.help) return { command: "help", about: "head" };
  return { command: "head", ...logOptions(values, "head") };
}

function readAudit(argv: readonly string[]): Invocation {
  const options = {
    ...ofLog,
    all: flag,
    source: list,
    wait: text,
    entries: text,
    user: text,
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
  const named = (name: "user" | "database" | "table" | "operation"): string | undefined =>
    values[name] === undefined ? undefined : required(values[name], `--${name}`, "audit");
  return {
    command: "audit",
    ...logOptions(values, "audit"),
    all: values.all ?? false,
    sources: values.source ?? [],
    waitMs: values.wait === undefined ? undefined : seconds(values.wait, "--wait"),
    entries: anyOrVitrine(values),
    filter: {
      user: named("user"),
      database: named("database"),
      table: named("table"),
      operation: named("operation"),
      since: time("since"),
      until: time("until"),
    },
    limit: values.limit === undefined ? undefined : count(values.limit, "--limit"),
  };
}

/** What only entries of Vitrine have cannot be asked of entries of any bytes. */
function anyOrVitrine(values: Readonly<Record<string, unknown>>): "vitrine" | "any" {
  const { entries = "vitrine" } = values;
  if (entries === "vitrine") return entries;
  if (entries !== "any") throw usage(`--entries is neither vitrine nor any: ${printableShort(String(entries))}`);
  const needing = ["source", "user", "database", "table", "operation", "since", "until", "limit"];
  const given = needing.find((name) => values[name] !== undefined);
  if (given !== undefined)
    throw usage(`--${given} is for entries of Vitrine, and --entries any says that they may be none`);
  return entries;
}

function readProve(argv: readonly string[]): Invocation {
  const options = { ...ofLog, index: text, token: text, reason: text, output: { type: "string", short: "o" } } as const;
  const { values } = parse(argv, options, "prove");
  if (values.help) return { command: "help", about: "prove" };
  return {
    command: "prove",
    ...logOptions(values, "prove"),
    index: count(required(values.index, "--index N", "prove"), "--index"),
    output: values.output === undefined ? undefined : required(values.output, "--output FILE", "prove"),
    disclose: readDisclose(values, "prove"),
  };
}

/** The log wants to know why: whoever reads sealed values leaves an entry. */
function readDisclose(values: { token?: string; reason?: string }, command: CommandName): ProveInvocation["disclose"] {
  if (values.token === undefined) {
    if (values.reason !== undefined) throw usage("--reason belongs to --token: without it no sealed value is read");
    return undefined;
  }
  const token = required(values.token, "--token FILE|TOKEN", command);
  return { token, reason: required(values.reason, "--reason TEXT, which --token needs,", command) };
}

function readCompare(argv: readonly string[]): Invocation {
  const { values, positionals } = parse(argv, ofViews, "compare", true);
  if (values.help) return { command: "help", about: "compare" };
  const views = values.log === undefined ? positionals : [values.log, ...positionals];
  const { log: _, ...options } = logOptions({ ...values, log: required(views[0], "VIEW", "compare") }, "compare");
  return { command: "compare", ...options, views: views.map((view) => required(view, "VIEW", "compare")) };
}

const monitorTimeNames = Object.keys(monitorTimes) as TimeName[];

function readMonitor(argv: readonly string[]): Invocation {
  const several = { type: "string", multiple: true } as const;
  const options = {
    ...ofLog,
    config: text,
    once: flag,
    source: several,
    view: several,
    status: text,
    webhook: text,
    interval: text,
    "stale-after": text,
    "unreachable-after": text,
    "seal-slack": text,
    "cosignature-after": text,
  } as const;
  const { values } = parse(argv, options, "monitor");
  if (values.help) return { command: "help", about: "monitor" };
  const { once = false, json = false, config, source: sources = [], view: views = [] } = values;
  const named = (name: "state" | "status" | "webhook"): string | undefined =>
    values[name] === undefined ? undefined : required(values[name], `--${name}`, "monitor");
  if (config !== undefined) {
    const other = Object.keys(values).find((name) => !["config", "once", "json"].includes(name));
    if (other !== undefined) throw usage(`--${other} and --config exclude each other: the file says it all`);
    return { command: "monitor", once, json, config: required(config, "--config FILE", "monitor") };
  }
  const times: Partial<Record<TimeName, number>> = {};
  for (const name of monitorTimeNames) {
    const value = values[name];
    if (value !== undefined) times[name] = /^[0-9]{1,7}(?:\.[0-9]{1,3})?$/.test(value) ? Number(value) : Number.NaN;
  }
  const log = {
    log: required(values.log, "--log URL", "monitor"),
    ...trustOptions(values, "monitor"),
    sources,
    views: views.map((view) => required(view, "--view", "monitor")),
    ...readTimes(times, (name) => `--${name}`),
  };
  const settings = { logs: [log], state: named("state"), status: named("status"), webhook: named("webhook") };
  return { command: "monitor", once, json, config: undefined, settings };
}

function readVerify(argv: readonly string[]): Invocation {
  const { values, positionals } = parse(
    argv,
    { ...ofLog, entry: text, checkpoint: flag, receipt: flag, source: list },
    "verify",
    true,
  );
  if (values.help) return { command: "help", about: "verify" };
  if (positionals.length > 1) throw usage(`${positionals.length} files are named; verify takes one at a time`);
  const file = required(positionals[0], "FILE, the evidence bundle,", "verify");
  if (values.log !== undefined) {
    if (values.entry !== undefined || values.checkpoint)
      throw usage("--log is for a record or a receipt; the others need no log");
    const command = values.receipt ? "verify-receipt" : "verify-record";
    return { command, file, sources: values.source ?? [], ...logOptions(values, "verify") };
  }
  if (values.receipt) throw usage("--receipt takes a --log as well: name the log that is to have the entry");
  for (const name of ["state", "timeout", "source"] as const) {
    if (values[name] !== undefined) throw usage(`--${name} is for a record or a receipt, which take a --log as well`);
  }
  return {
    command: "verify",
    file,
    ...formOf(values),
    ...trustOptions(values, "verify"),
    json: values.json ?? false,
  };
}

function formOf({ entry, checkpoint }: { entry?: string; checkpoint?: boolean }): VerifyForm {
  if (entry !== undefined && checkpoint) throw usage("--entry and --checkpoint: a file is one or the other");
  if (checkpoint) return { form: "checkpoint" };
  return entry === undefined ? { form: "bundle" } : { form: "proof", entry: required(entry, "--entry FILE", "verify") };
}

function readWitness(argv: readonly string[]): Invocation {
  const options = {
    ...helpOption,
    config: text,
    listen: text,
    name: text,
    state: text,
    key: text,
    log: { type: "string", multiple: true },
    logs: { type: "string", multiple: true },
    prefix: text,
    url: text,
    fresh: flag,
  } as const;
  const { values } = parse(argv, options, "witness");
  const { help, ...flags } = values;
  if (help) return { command: "help", about: "witness" };
  for (const name of ["config", "listen", "name", "state", "key", "url"] as const) {
    if (flags[name] !== undefined) required(flags[name], `--${name}`, "witness");
  }
  return { command: "witness", flags };
}

function readExport(argv: readonly string[]): Invocation {
  const { json: _, ...ofThisLog } = ofLog;
  const options = {
    ...ofThisLog,
    format: text,
    output: { type: "string", short: "o" },
    rotate: text,
    raw: flag,
    endpoint: text,
    headers: text,
    position: text,
    from: text,
    since: text,
    once: flag,
    follow: flag,
    interval: text,
    "max-row": text,
    token: text,
    reason: text,
  } as const;
  const { values } = parse(argv, options, "export");
  if (values.help) return { command: "help", about: "export" };
  if (values.once && values.follow) throw usage("--once and --follow exclude each other");
  const to = destination(values);
  const output = to.format === "ocsf" ? to.output : undefined;
  const position = values.position ?? (output === undefined ? undefined : `${output}.position`);
  const settings: ExportSettings = {
    to,
    position: required(position, "--position FILE", "export"),
    from: values.from === undefined ? 0 : count(values.from, "--from"),
    since: values.since === undefined ? undefined : parseTime(values.since, "--since"),
    once: values.once ?? false,
    intervalMs: Math.max(10, seconds(values.interval ?? "2", "--interval")),
    maxRow: readMaxRow(values["max-row"] ?? defaultMaxRow),
    asking: readDisclose(values, "export"),
  };
  return { command: "export", ...logOptions(values, "export"), settings };
}

type DestinationValues = {
  format?: string;
  output?: string;
  rotate?: string;
  raw?: boolean;
  endpoint?: string;
  headers?: string;
};

function destination(values: DestinationValues): ExportSettings["to"] {
  const format = required(values.format, "--format ocsf|otlp", "export");
  if (format !== "ocsf" && format !== "otlp")
    throw usage(`--format is neither ocsf nor otlp: ${printableShort(format)}`);
  const others = format === "ocsf" ? (["endpoint", "headers"] as const) : (["output", "rotate", "raw"] as const);
  const other = others.find((name) => values[name] !== undefined);
  if (other !== undefined) throw usage(`--${other} is not for --format ${format}`);
  if (format === "otlp") {
    const headers = values.headers === undefined ? undefined : required(values.headers, "--headers FILE", "export");
    return { format, endpoint: required(values.endpoint, "--endpoint URL", "export"), headers };
  }
  const output = values.output === undefined ? undefined : required(values.output, "--output FILE", "export");
  if (values.rotate !== undefined && output === undefined) throw usage("--rotate is for a file: it needs --output");
  return { format, output, rotate: readSize(values.rotate ?? defaultRotate, "--rotate"), raw: values.raw ?? false };
}

type TrustValues = { vkey?: string[]; policy?: string; "max-age"?: string };

function trustOptions(values: TrustValues, command: CommandName): TrustOptions {
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

type LogValues = TrustValues & { log?: string; state?: string; timeout?: string; json?: boolean };

function logOptions(values: LogValues, command: CommandName): LogOptions {
  const timeoutMs = seconds(values.timeout ?? "20", "--timeout");
  if (timeoutMs === 0) throw usage("--timeout 0 leaves the log no time to answer");
  return {
    log: required(values.log, "--log URL", command),
    ...trustOptions(values, command),
    state: values.state === undefined ? undefined : required(values.state, "--state DIR", command),
    timeoutMs,
    json: values.json ?? false,
  };
}

function required(value: string | undefined, name: string, command: CommandName): string {
  if (value !== undefined && value !== "") return value;
  throw usage(`${name} is ${value === "" ? "empty" : "missing"}; see vitrine-verifier ${command} --help`);
}

function count(value: string, name: string): number {
  const number = parseDecimal(value);
  if (number === undefined) throw usage(`${name} is not a whole number from 0: ${printableShort(value)}`);
  return number;
}

/** An hour is far beyond what a log or a seal may take; timers would not go beyond 24 days. */
const maxSeconds = 3600;

function seconds(value: string, name: string): number {
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

function commandNamed(name: string): CommandName {
  const command = commandNames.find((known) => known === name);
  if (command !== undefined) return command;
  throw usage(`there is no command ${printableShort(name)}; the commands are ${commandNames.join(", ")}`);
}

type Options = NonNullable<ParseArgsConfig["options"]>;
type Parsed<O extends Options> = ReturnType<typeof parseArgs<{ options: O; strict: true; allowPositionals: boolean }>>;

function parse<O extends Options>(
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
    // Behind its first sentence Node goes on about how to write positional arguments.
    const sentence = error.message.split(/\.\s|\n/, 1)[0]!.replace(/\.$/, "");
    const what = sentence.charAt(0).toLowerCase() + sentence.slice(1);
    throw usage(`${printableShort(what)}; see vitrine-verifier ${command === undefined ? "" : `${command} `}--help`);
  }
}

function usage(message: string): VerifierError {
  return new VerifierError("usage", message);
}
