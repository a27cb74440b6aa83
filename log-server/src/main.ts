import { readLogServerConfig } from "./config/config.ts";
import { exitStatus, LogServerError, reason } from "./errors.ts";
import { reloadLine } from "./reload.ts";
import { type RunningLogServer, startLogServer } from "./start.ts";

// Runs one log: node main.js <configuration file>. One line on stderr and a status when it cannot (spec/errors.md).

function exitCode(error: unknown): number {
  return error instanceof LogServerError && error.code in exitStatus
    ? exitStatus[error.code as keyof typeof exitStatus]
    : 70;
}

function describe(error: unknown): string {
  return error instanceof LogServerError ? `${error.code}: ${error.message}` : reason(error);
}

async function reload(log: RunningLogServer, path: string): Promise<void> {
  try {
    process.stdout.write(`${reloadLine(await log.reload(await readLogServerConfig(path)))}\n`);
  } catch (error) {
    process.stderr.write(`not reloaded, everything stays as it was: ${describe(error)}\n`);
  }
}

try {
  const [path, ...others] = process.argv.slice(2);
  if (path === undefined || others.length > 0) {
    throw new LogServerError("bad_config", "usage: main.js <configuration file>");
  }
  const log = await startLogServer(await readLogServerConfig(path));
  process.on("SIGHUP", () => void reload(log, path));
  const stopped = new Promise<undefined>((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => resolve(undefined));
  });
  // Last: whoever reads it may send a signal at once.
  process.stdout.write(`${log.origin} serves at ${log.url}, key ${log.vkey}\n`);
  const failure = await Promise.race([log.failed, stopped]);
  await log.close();
  // The failure itself was reported when it happened.
  process.exitCode = failure === undefined ? 0 : exitCode(failure);
} catch (error) {
  process.stderr.write(`${describe(error)}\n`);
  process.exitCode = exitCode(error);
}
