import type { WitnessFlags } from "../witness/settings.ts";
import { type AskedHelp, flag, helpOption, list, parse, required, text } from "./common.ts";

export type WitnessInvocation = { command: "witness"; flags: WitnessFlags };
export function readWitness(argv: readonly string[]): WitnessInvocation | AskedHelp {
  const options = {
    ...helpOption,
    config: text,
    listen: text,
    name: text,
    state: text,
    key: text,
    log: list,
    logs: list,
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
