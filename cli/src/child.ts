import { spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { CliError } from "./errors.ts";
import { lastLine, sizeOf } from "./log-file.ts";
import { isPartMessage, type PartMessage, type UpMessage } from "./part-messages.ts";
import { processIdentity } from "./processes.ts";

/** A part that could not start, in its own words: with a code of its own list (spec/errors.md). */
export class PartError extends Error {
  readonly code: string;
  readonly status: number;
  override readonly name = "PartError";

  constructor(part: string, failure: Extract<PartMessage, { type: "failed" }>) {
    super(`${part}: ${failure.message}`);
    this.code = failure.code;
    this.status = failure.status;
  }
}

export interface Child {
  readonly name: "log-server" | "proxy";
  readonly pid: number | undefined;
  /** Where it serves; rejects with PartError or CliError when it could not start. */
  readonly ready: Promise<string>;
  /** Resolves when the process is gone, asked for or not, with its last line of error. */
  readonly ended: Promise<string>;
  /** Makes it outlive another process, should this one die: who gives to it must be gone before it stops. */
  outlive(pid: number): void;
  /** Has it read its configuration again; it tells by a notice what came of it. */
  reload(): void;
  stop(): Promise<Stopped>;
}

/** How it ended: after it had served, before it could, or not in order because it had to be killed or failed. */
export type Stopped =
  | { readonly how: "served"; readonly unsubmitted: number }
  | { readonly how: "unready" }
  | { readonly how: "disorderly" };

const COMMAND = fileURLToPath(new URL("../../bin/vitrine.js", import.meta.url));

/** An uncaught error as Node prints it, above its stack; or a line of ours. */
const CRASHED = /^(Uncaught )?[A-Za-z]*Error\b.*:|^FATAL ERROR:|^vitrine: [a-z_]+: /;

/** Far above what a stop takes; the spool and the store recover from a kill. */
const STOP_TIMEOUT_MS = 120_000;

/**
 * Starts a part in a process of its own, which leads its own process group so that a Ctrl-C in the terminal does not
 * reach it, and which stops by itself should this process die.
 *
 * @param onNotice told what a person should know while the part runs
 */
export function startChild(
  name: "log-server" | "proxy",
  configFile: string,
  logFile: string,
  onNotice: (line: string) => void,
): Child {
  const logFrom = sizeOf(logFile);
  // A file rather than a pipe: a pipe would break, and take the part along, when this process dies.
  const log = openSync(logFile, "a", 0o600);
  const child = spawn(process.execPath, [...process.execArgv, COMMAND, name, "--config", configFile], {
    detached: true,
    stdio: ["ignore", log, log, "ipc"],
  });
  closeSync(log);

  let failure: PartMessage | undefined;
  let unsubmitted: number | undefined;
  const lastWord = (): string => {
    if (failure?.type === "failed") return `${failure.code}: ${failure.message}`;
    if (child.signalCode !== null) return `killed by ${child.signalCode}`;
    return lastLine(logFile, logFrom, CRASHED) ?? `status ${child.exitCode}`;
  };
  const ended = new Promise<string>((resolve) => {
    child.once("error", (error) => resolve(error.message));
    // Not "exit": that may come before the last message has been read.
    child.once("close", () => resolve(lastWord()));
  });
  const ready = new Promise<string>((resolve, reject) => {
    child.on("message", (message) => {
      if (!isPartMessage(message)) return;
      if (message.type === "ready") resolve(message.at);
      if (message.type === "notice") onNotice(message.line);
      if (message.type === "stopped") unsubmitted = message.unsubmitted;
      if (message.type !== "failed") return;
      failure = message;
      reject(new PartError(name, message));
    });
    void ended.then((line) =>
      reject(new CliError("part_failed", `the ${name} did not start: ${line}; see ${logFile}`)),
    );
  });
  let serving = false;
  ready.then(
    () => {
      serving = true;
    },
    // Whoever stops during the start does not look at it any more.
    () => {},
  );

  const stop = async (): Promise<Stopped> => {
    const running = (): boolean => child.exitCode === null && child.signalCode === null;
    if (running()) child.kill("SIGTERM");
    const timer = setTimeout(() => child.kill("SIGKILL"), STOP_TIMEOUT_MS);
    await ended;
    clearTimeout(timer);
    // SIGTERM ends only a process that had not yet begun: from its first line on it handles that signal.
    if (child.exitCode !== 0 && child.signalCode !== "SIGTERM") return { how: "disorderly" };
    return serving ? { how: "served", unsubmitted: unsubmitted ?? 0 } : { how: "unready" };
  };
  const outlive = (pid: number): void => {
    const identity = processIdentity(pid);
    if (identity === undefined || !child.connected) return;
    const message: UpMessage = { type: "outlive", identity };
    // An error says that it is gone, which `ended` says as well.
    child.send(message, () => {});
  };
  const reload = (): void => {
    // Earlier it might not handle that signal yet; one that is not to serve any more need not.
    ready.then(
      () => child.kill("SIGHUP"),
      () => {},
    );
  };
  return { name, pid: child.pid, ready, ended, outlive, reload, stop };
}
