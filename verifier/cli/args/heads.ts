import { type AskedHelp, type LogOptions, logOptions, ofLog, ofViews, parse, required } from "./common.ts";

/** The command lines that are about checkpoints alone. */

export type HeadInvocation = { command: "head" } & LogOptions;
export type CompareInvocation = { command: "compare" } & Omit<LogOptions, "log"> & {
    /** Where the views are, in order; that of --log is the first. */
    views: readonly string[];
  };
export function readHead(argv: readonly string[]): HeadInvocation | AskedHelp {
  const { values } = parse(argv, ofLog, "head");
  if (values.help) return { command: "help", about: "head" };
  return { command: "head", ...logOptions(values, "head") };
}

export function readCompare(argv: readonly string[]): CompareInvocation | AskedHelp {
  const { values, positionals } = parse(argv, ofViews, "compare", true);
  if (values.help) return { command: "help", about: "compare" };
  const views = values.log === undefined ? positionals : [values.log, ...positionals];
  const { log: _, ...options } = logOptions({ ...values, log: required(views[0], "VIEW", "compare") }, "compare");
  return { command: "compare", ...options, views: views.map((view) => required(view, "VIEW", "compare")) };
}
