import { setTimeout as sleep } from "node:timers/promises";
import { formatAddress } from "../address.ts";
import { codeOf, EXIT_STATUS, oneLine } from "../errors.ts";
import { isUpMessage, type PartMessage, waiting } from "../part-messages.ts";
import { isAlive } from "../processes.ts";
import { watchTerminal } from "../terminal.ts";

interface Part {
  /** Where it serves, as told to `up`: a URL, or HOST:PORT. */
  readonly at: string;
  readonly description: string;
  close(): Promise<number>;
  /** Fulfilled with the error when the part cannot go on. */
  readonly failed: Promise<Error>;
  /** Reads the configuration again; a line that says what is in force. */
  readonly reload?: () => Promise<string>;
  /** It writes lines of its own of what it does; `up` is told all the same. */
  readonly writesLines?: true;
}

/** @param stop to be called when the part itself is asked to stop */
const START: Record<"log-server" | "proxy", (config: string, stop: () => void) => Promise<Part>> = {
  "log-server": async (config) => {
    const { readLogServerConfig, reloadLine, startLogServer } = await import("@vitrine/log-server");
    const server = await startLogServer(await readLogServerConfig(config));
    return {
      at: server.url,
      description: `${server.url}, key ${server.vkey}`,
      close: async () => {
        await server.close();
        return 0;
      },
      failed: server.failed,
      reload: async () => reloadLine(await server.reload(await readLogServerConfig(config))),
    };
  },
  proxy: async (config, stop) => {
    const { readProxyConfig, startProxy } = await import("@vitrine/proxy");
    const proxy = await startProxy(await readProxyConfig(config), {
      notice: (line) => void tell({ type: "notice", line }),
      line: (line) => process.stderr.write(`${line}\n`),
      stop,
    });
    const at = formatAddress(proxy.address);
    // A proxy that cannot record stays, to tell its clients so.
    const failed = proxy.failed ?? new Promise<Error>(() => undefined);
    const close = async (): Promise<number> => (await proxy.close()).unsubmitted;
    return { at, description: at, close, failed, reload: () => proxy.reload(), writesLines: true };
  },
};

const OUTLIVE_MS = 60_000;
/** How long a start that is not wanted any more may take to come to its end, and then to stop in order. */
const START_MS = 2_000;
let outlive: string | undefined;

/**
 * Runs one part in this process until it is told to stop, by a signal or by the end of the `up` that started it.
 *
 * @returns the exit status
 */
export async function runPart(name: "log-server" | "proxy", config: string): Promise<number> {
  let part: Part | undefined;
  let hungUp = false;
  const { stop, requested } = stopRequested(
    () => part,
    () => {
      hungUp = true;
    },
  );
  process.on("message", (message) => {
    if (isUpMessage(message)) outlive = message.identity;
  });
  try {
    const isUp = new AbortController();
    const late = requested.then(() => sleep(START_MS, undefined, { signal: isUp.signal }));
    const started = await Promise.race([START[name](config, stop), late]);
    // Else the pause would come at the stop, however much later that is.
    isUp.abort();
    if (started === undefined) {
      // CRASH: it may be anywhere in its start, as if it were killed there, and the next one recovers.
      process.stdout.write(`vitrine: ${name} stopped before it was ready\n`);
      process.exit(0);
    }
    part = started;
    await tell({ type: "ready", at: part.at });
    process.stdout.write(`vitrine: ${name} ready at ${part.description}\n`);
    // The configuration may be another one since it was read.
    if (hungUp && part.reload !== undefined) void reloaded(part.reload, part.writesLines === true);
    const failure = await Promise.race([requested, part.failed]);
    if (failure !== undefined) throw failure;
    const unsubmitted = await part.close();
    await tell({ type: "stopped", unsubmitted });
    process.stdout.write(`vitrine: ${name} stopped${waiting(unsubmitted)}\n`);
    return 0;
  } catch (error) {
    const code = codeOf(error);
    if (code === undefined) throw error;
    const status = code in EXIT_STATUS ? EXIT_STATUS[code as keyof typeof EXIT_STATUS] : 1;
    process.stderr.write(`vitrine: ${code}: ${oneLine(error)}\n`);
    await tell({ type: "failed", code, message: oneLine(error), status });
    // What failed may have left sockets or timers behind, and it must not go on with the state it has in memory.
    process.exit(status);
  }
}

/** The order to stop: by a signal, by the end of the `up` that started it, or by the part itself. */
interface StopRequest {
  readonly requested: Promise<undefined>;
  readonly stop: () => void;
}

/** @param early told of an order to reload while there is nothing yet that could */
function stopRequested(running: () => Part | undefined, early: () => void): StopRequest {
  const terminal = watchTerminal();
  let stop = (): void => undefined;
  const requested = new Promise<undefined>((resolve) => {
    stop = () => resolve(undefined);
  });
  // Kept for good: a second signal must not end the process in the middle of its stop.
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, stop);
  process.on("SIGHUP", () => {
    const part = running();
    if (terminal.wasClosed()) stop();
    else if (part === undefined) early();
    else if (part.reload === undefined) stop();
    else void reloaded(part.reload, part.writesLines === true);
  });
  if (process.connected) process.on("disconnect", () => void outlived().then(stop));
  return { requested, stop };
}

async function reloaded(reload: () => Promise<string>, written: boolean): Promise<void> {
  try {
    const line = await reload();
    if (!written) process.stdout.write(`vitrine: ${line}\n`);
    await tell({ type: "notice", line });
  } catch (error) {
    const code = codeOf(error);
    if (code === undefined) throw error;
    const line = `not reloaded, everything stays as it was: ${code}: ${oneLine(error)}`;
    if (!written) process.stderr.write(`vitrine: ${line}\n`);
    await tell({ type: "notice", line });
  }
}

/**
 * When `up` died, the log-server waits for the proxy, which hands over its last entries. They are safe in the spool
 * either way, so the wait is bounded.
 */
async function outlived(): Promise<void> {
  const deadline = Date.now() + OUTLIVE_MS;
  while (outlive !== undefined && isAlive(outlive) && Date.now() < deadline) await sleep(100);
}

async function tell(message: PartMessage): Promise<void> {
  if (!process.connected) return;
  // The callback's error is that the channel just closed: there is nobody left to tell.
  await new Promise<void>((resolve) => process.send?.(message, undefined, undefined, () => resolve()));
}
