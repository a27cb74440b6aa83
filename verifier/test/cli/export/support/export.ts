import { readCommandLine } from "../../../../cli/args.ts";
import { runExport } from "../../../../cli/commands/export.ts";
import { faultStatus } from "../../../../cli/exit-status.ts";
import { VerifierError } from "../../../../src/errors.ts";

/** Runs the command in this process, for rows that go to a file or a collector. `told` is what it says to people. */
export async function exportWith(args: readonly string[]): Promise<{ status: number; told: string }> {
  const told: string[] = [];
  try {
    const invocation = readCommandLine(["export", ...args]);
    if (invocation.command !== "export") throw new Error(invocation.command);
    const status = await runExport(invocation, { at: () => undefined, log: (line) => void told.push(line) });
    return { status, told: told.join("\n") };
  } catch (error) {
    if (!(error instanceof VerifierError)) throw error;
    const status = (faultStatus as Record<string, number>)[error.code] ?? -1;
    return { status, told: [...told, `${error.code}: ${error.message}`].join("\n") };
  }
}
