import { isFindingCode, VerifierError, version } from "../src/index.ts";
import { type Invocation, readCommandLine } from "./args.ts";
import { faultStatus, internalStatus } from "./exit-status.ts";
import { commandHelp, generalHelp } from "./help.ts";
import { printable, printableJson } from "./printable.ts";

/** Each command's module is loaded when it runs: `--help` needs none of them. */
async function run(invocation: Invocation): Promise<number> {
  switch (invocation.command) {
    case "help":
      process.stdout.write(invocation.about === undefined ? generalHelp : commandHelp[invocation.about]);
      return 0;
    case "version":
      process.stdout.write(`vitrine-verifier ${version}\n`);
      return 0;
    case "head":
      return (await import("./commands/head.ts")).runHead(invocation);
    case "audit":
      return (await import("./commands/audit.ts")).runAudit(invocation);
    case "prove":
      return (await import("./commands/prove.ts")).runProve(invocation);
    case "compare":
      return (await import("./commands/compare.ts")).runCompare(invocation);
    case "monitor":
      return (await import("./commands/monitor.ts")).runMonitor(invocation);
    case "verify":
      return (await import("./commands/verify.ts")).runVerify(invocation);
    case "verify-receipt":
      return (await import("./commands/verify-receipt.ts")).runVerifyReceipt(invocation);
    case "verify-record":
      return (await import("./commands/verify-record.ts")).runVerifyRecord(invocation);
    case "witness":
      return (await import("./commands/witness.ts")).runWitness(invocation);
    case "export":
      return (await import("./commands/export.ts")).runExport(invocation);
  }
}

/** An error with a code reads as one line; without, it is a bug of ours and has its stack. */
function report(error: unknown, json: boolean): number {
  const fault = error instanceof VerifierError && !isFindingCode(error.code) ? error.code : undefined;
  const code = fault ?? "internal";
  const message = error instanceof Error ? error.message : String(error);
  if (json) process.stdout.write(`${printableJson({ error: { code, message } })}\n`);
  const detail = fault === undefined && error instanceof Error ? (error.stack ?? message) : message;
  process.stderr.write(`vitrine-verifier: ${code}: ${detail.split("\n").map(printable).join("\n")}\n`);
  return fault === undefined ? internalStatus : faultStatus[fault];
}

// A reader that goes away (`vitrine-verifier audit … | head`) must not turn the verdict's exit status into another.
for (const stream of [process.stdout, process.stderr]) stream.on("error", () => undefined);

const argv = process.argv.slice(2);
// Node would end with 1, which is the verdict FAIL. What nobody awaited comes here as well.
process.on("uncaughtException", (error) => process.exit(report(error, argv.includes("--json"))));

let status: number;
try {
  status = await run(readCommandLine(argv));
} catch (error) {
  // The command line may be what is wrong, so it is not asked.
  status = report(error, argv.includes("--json"));
}
process.exitCode = status;
