import { type AuditInvocation, readAudit } from "./args/audit.ts";
import { helpOption, parse, usage } from "./args/common.ts";
import {
  type ProveInvocation,
  type ReceiptInvocation,
  type RecordInvocation,
  readProve,
  readVerify,
  type VerifyInvocation,
} from "./args/evidence.ts";
import { type ExportInvocation, readExport } from "./args/export.ts";
import { type CompareInvocation, type HeadInvocation, readCompare, readHead } from "./args/heads.ts";
import { type MonitorInvocation, readMonitor } from "./args/monitor.ts";
import { readWitness, type WitnessInvocation } from "./args/witness.ts";
import { type CommandName, commandNames } from "./help.ts";
import { printableShort } from "./printable.ts";

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

function commandNamed(name: string): CommandName {
  const command = commandNames.find((known) => known === name);
  if (command !== undefined) return command;
  throw usage(`there is no command ${printableShort(name)}; the commands are ${commandNames.join(", ")}`);
}
