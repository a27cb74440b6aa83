/** Runs an export that kills itself at a crash point: `POINT ARGS...`. */
import { readCommandLine } from "../../../../cli/args.ts";
import { runExport } from "../../../../cli/commands/export.ts";

const [point, ...args] = process.argv.slice(2);
const invocation = readCommandLine(["export", ...args]);
if (invocation.command !== "export") throw new Error(invocation.command);
process.exitCode = await runExport(invocation, {
  at: (reached) => {
    if (reached === point) process.kill(process.pid, "SIGKILL");
  },
  log: () => undefined,
});
