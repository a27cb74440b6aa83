import { defaultMaxRow, defaultRotate, type ExportSettings, readMaxRow, readSize } from "../export/settings.ts";
import { printableShort } from "../printable.ts";
import { parseTime } from "../time.ts";
import {
  type AskedHelp,
  count,
  flag,
  type LogOptions,
  logOptions,
  ofEntries,
  parse,
  readReading,
  required,
  seconds,
  text,
  usage,
} from "./common.ts";

export type ExportInvocation = { command: "export"; settings: ExportSettings } & LogOptions;

export function readExport(argv: readonly string[]): ExportInvocation | AskedHelp {
  const { json: _, ...ofThisLog } = ofEntries;
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
    reason: text,
  } as const;
  const { values } = parse(argv, options, "export");
  if (values.help) return { command: "help", about: "export" };
  if (values.once && values.follow) throw usage("--once and --follow exclude each other");
  const to = destination(values);
  const output = to.format === "ocsf" ? to.output : undefined;
  const position = values.position ?? (output === undefined ? undefined : `${output}.position`);
  if (position === undefined)
    throw usage("--position FILE is missing: the next run goes on from it; with --output FILE it is FILE.position");
  const settings: ExportSettings = {
    to,
    position: required(position, "--position FILE", "export"),
    from: values.from === undefined ? 0 : count(values.from, "--from"),
    since: values.since === undefined ? undefined : parseTime(values.since, "--since"),
    once: values.once ?? false,
    intervalMs: Math.max(10, seconds(values.interval ?? "2", "--interval")),
    maxRow: readMaxRow(values["max-row"] ?? defaultMaxRow),
    reason: readReading(values, "export"),
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
