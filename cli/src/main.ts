import { readFileSync } from "node:fs";
import { type Invocation, readCommandLine } from "./args/command-line.ts";
import { CliError, codeOf, EXIT_STATUS, oneLine } from "./errors.ts";
import { COMMAND_HELP, GENERAL_HELP } from "./help.ts";
import { Interrupted } from "./interrupt.ts";
import { printableJson } from "./printable.ts";

/** Each command's module is loaded when it runs: `--help` needs none of them. */
async function run(invocation: Invocation): Promise<number> {
  switch (invocation.do) {
    case "help":
      process.stdout.write(invocation.topic === undefined ? GENERAL_HELP : COMMAND_HELP[invocation.topic]);
      return 0;
    case "version":
      process.stdout.write(`vitrine ${packageVersion()}\n`);
      return 0;
    case "example":
      process.stdout.write(readFileSync(new URL(`../../share/${invocation.part}.yaml`, import.meta.url), "utf8"));
      return 0;
    case "key":
      return makeKeys(invocation);
    case "search":
      return (await import("./commands/search.ts")).runSearch(invocation.command);
    case "reconcile":
      return (await import("./commands/reconcile.ts")).runReconcile(invocation.command);
    case "order":
      return (await import("./commands/order.ts")).runOrder(invocation.command);
    case "token":
      return (await import("./commands/token.ts")).runToken(invocation.command);
    case "tool":
      return (await import("./commands/log-tool.ts")).runTool(invocation.command);
    case "rules":
      return (await import("./commands/rules.ts")).runRules(invocation.command);
    case "user":
      return (await import("./commands/user.ts")).runUser(invocation.command);
    case "rotate-key":
      return (await import("./commands/rotate-key.ts")).rotateKey(invocation.config);
    case "part":
      return (await import("./commands/part.ts")).runPart(invocation.part, invocation.config);
    case "up":
      return (await import("./commands/up.ts")).up(invocation.options, packageVersion());
  }
}

function packageVersion(): string {
  const file = new URL("../../package.json", import.meta.url);
  return (JSON.parse(readFileSync(file, "utf8")) as { version: string }).version;
}

/** An error with a code is somebody's mistake or misfortune and reads as one line; without, it is a bug and has its stack. */
function report(error: unknown, json: boolean): number {
  if (error instanceof Interrupted) return 0;
  const code = codeOf(error);
  // As vitrine-verifier's commands do.
  if (json) {
    const said = { code: code ?? "internal", message: oneLine(error) };
    process.stdout.write(`${printableJson({ error: said })}\n`);
  }
  if (code === undefined) {
    process.stderr.write(`vitrine: internal error: ${error instanceof Error ? error.stack : String(error)}\n`);
    return 70;
  }
  process.stderr.write(`vitrine: ${code}: ${oneLine(error)}\n`);
  return code in EXIT_STATUS ? EXIT_STATUS[code as keyof typeof EXIT_STATUS] : 1;
}

// A reader that goes away (`vitrine up | head`) must not end what runs; and no part may die because the terminal did.
let unwritten: Error | undefined;
process.stdout.on("error", (error) => {
  unwritten ??= error;
});
process.stderr.on("error", () => {});

/** Of a command that ends by itself, what it printed is what it was run for. A reader that goes has seen enough. */
async function checkOutput({ do: what }: Invocation): Promise<void> {
  if (what === "up" || what === "part") return;
  await new Promise<void>((resolve) => process.stdout.write("", () => resolve()));
  if (unwritten === undefined || codeOf(unwritten) === "EPIPE") return;
  throw new CliError("output_failed", `standard output does not take any more: ${oneLine(unwritten)}`);
}

const argv = process.argv.slice(2);
let status: number;
try {
  const invocation = readCommandLine(argv);
  status = await run(invocation);
  await checkOutput(invocation);
} catch (error) {
  // The command line may be what is wrong, so it is not asked.
  status = report(error, argv.includes("--json"));
}
process.exitCode = status;
if (process.connected) process.disconnect();
// The process ends when nothing is left to do, so that what was written to a pipe is read to its end; something that
// was forgotten must not keep it.
setTimeout(() => process.exit(), 5000).unref();

async function makeKeys({ name, output, workers }: Extract<Invocation, { do: "key" }>): Promise<number> {
  const { makeKey, makeWorkerKeys } = await import("./commands/key.ts");
  return workers === undefined ? makeKey(name, output) : makeWorkerKeys(name, output, workers);
}
