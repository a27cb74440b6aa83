import { type MonitorSettings, monitorTimes, readTimes, type TimeName } from "../monitor/settings.ts";
import { type AskedHelp, flag, list, ofEntries, parse, required, text, trustOptions, usage } from "./common.ts";

export type MonitorInvocation = { command: "monitor"; once: boolean; json: boolean } & (
  | { config: string }
  | { config: undefined; settings: MonitorSettings }
);
const monitorTimeNames = Object.keys(monitorTimes) as TimeName[];

export function readMonitor(argv: readonly string[]): MonitorInvocation | AskedHelp {
  const options = {
    ...ofEntries,
    config: text,
    once: flag,
    source: list,
    acknowledged: text,
    view: list,
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
  const named = (name: "state" | "status" | "webhook" | "acknowledged"): string | undefined =>
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
    token: values.token === undefined ? undefined : required(values.token, "--token FILE|TOKEN", "monitor"),
    sources,
    acknowledged: named("acknowledged"),
    views: views.map((view) => required(view, "--view", "monitor")),
    ...readTimes(times, (name) => `--${name}`),
  };
  const settings = { logs: [log], state: named("state"), status: named("status"), webhook: named("webhook") };
  return { command: "monitor", once, json, config: undefined, settings };
}
