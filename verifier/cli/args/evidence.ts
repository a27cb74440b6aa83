import type { TrustOptions } from "../trust.ts";
import {
  type AskedHelp,
  count,
  flag,
  type LogOptions,
  list,
  logOptions,
  ofEntries,
  parse,
  readReading,
  required,
  text,
  trustOptions,
  usage,
} from "./common.ts";

/** The command lines that are about evidence: it is made, or looked at. */

export type ProveInvocation = { command: "prove" } & LogOptions & {
    index: number;
    output: string | undefined;
    /** Why the sealed values are to be read, with an auditor's token; undefined when they are not. */
    reason: string | undefined;
  };
/** What the file is to be: nothing is taken for evidence of an entry because its own bytes say so. */
export type VerifyForm = { form: "bundle" } | { form: "proof"; entry: string } | { form: "checkpoint" };
export type VerifyInvocation = { command: "verify"; file: string; json: boolean } & TrustOptions & VerifyForm;
/** `verify --log`: the file is a source's record of what was submitted to that log. */
export type RecordInvocation = { command: "verify-record"; file: string; sources: readonly string[] } & LogOptions;
/** `verify --receipt --log`: the file is a source's receipt for one entry of that log. */
export type ReceiptInvocation = { command: "verify-receipt"; file: string; sources: readonly string[] } & LogOptions;
export function readProve(argv: readonly string[]): ProveInvocation | AskedHelp {
  const options = { ...ofEntries, index: text, reason: text, output: { type: "string", short: "o" } } as const;
  const { values } = parse(argv, options, "prove");
  if (values.help) return { command: "help", about: "prove" };
  return {
    command: "prove",
    ...logOptions(values, "prove"),
    index: count(required(values.index, "--index N", "prove"), "--index"),
    output: values.output === undefined ? undefined : required(values.output, "--output FILE", "prove"),
    reason: readReading(values, "prove"),
  };
}

export function readVerify(
  argv: readonly string[],
): VerifyInvocation | RecordInvocation | ReceiptInvocation | AskedHelp {
  const { values, positionals } = parse(
    argv,
    { ...ofEntries, entry: text, checkpoint: flag, receipt: flag, source: list },
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
  for (const name of ["state", "timeout", "source", "token"] as const) {
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
