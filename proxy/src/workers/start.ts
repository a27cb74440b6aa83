import type { Server } from "node:http";
import { Counter, Gauge, Registry } from "prom-client";
import { type ProxyConfig, readProxyConfig } from "../config/config.ts";
import { ProxyError, type ProxyErrorCode } from "../errors.ts";
import type { Health } from "../health.ts";
import { Lines } from "../lines/index.ts";
import { claimSockets } from "../listen/socket-file.ts";
import { sayCommand } from "../operations/index.ts";
import { checkIsFile, sayRefused } from "../reload/config.ts";
import type { ProxyHooks, RunningProxy } from "../running.ts";
import { startProxy } from "../start.ts";
import { createStatusServer, listenStatus } from "../status.ts";
import { Crew } from "./crew.ts";
import { CrewDesk } from "./desk.ts";
import type { Answer } from "./messages.ts";
import { Sums } from "./sums.ts";

/**
 * Starts the proxy as its configuration says: in this process, or as several worker processes behind one port.
 * @throws ProxyError with one of the start codes of spec/errors.md
 */
export async function startProxyOrWorkers(config: ProxyConfig, hooks: ProxyHooks = {}): Promise<RunningProxy> {
  return config.workers === 1 ? startProxy(config, hooks) : startWorkers(config, hooks);
}

async function startWorkers(config: ProxyConfig, hooks: ProxyHooks): Promise<RunningProxy> {
  let fail: (error: Error) => void = () => undefined;
  const failed = new Promise<Error>((resolve) => {
    fail = resolve;
  });
  const lines = new Lines(hooks.line ?? (() => undefined), config.lines, () => new Date().toISOString());
  const crew = new Crew(config, config.limits.clients, {
    line: (line) => hooks.line?.(line),
    notice: (line) => hooks.notice?.(line),
    tell: (event, sentence) => {
      lines.say(event, sentence);
      hooks.notice?.(sentence);
    },
    wanted: (wanted, signal) => desk.answer(wanted, signal),
    followed: (number) => void desk.followed(number),
    empty: () => hooks.stop?.(),
    failed: (error) => fail(error),
  });
  const desk = new CrewDesk(
    crew,
    (act, user) => sayCommand(lines, act, user),
    () => reloadInTurn(),
    () => hooks.stop?.(),
  );
  // One claim for all: the workers listen on one socket.
  const sockets = await claimSockets(config.listen);
  let first: Awaited<ReturnType<Crew["start"]>>;
  try {
    first = await crew.start(config.workers);
  } catch (error) {
    sockets.release();
    throw error;
  }
  const own = ownMetrics(crew);
  const sums = new Sums();
  const all = async (): Promise<readonly Registry[]> => [own, sums.of(await crew.figures())];
  const metrics = async (): Promise<readonly unknown[]> =>
    (await Promise.all((await all()).map((one) => one.getMetricsAsJSON()))).flat();
  const health = async (): Promise<Health> => together(await crew.ask("health"), config.workers);
  let status: Server | undefined;
  if (config.status !== undefined) {
    const text = async (): Promise<string> => (await Promise.all((await all()).map((one) => one.metrics()))).join("\n");
    status = createStatusServer({ contentType: own.contentType, metrics: text }, health);
    try {
      await listenStatus(status, config.status);
    } catch (error) {
      await crew.close();
      sockets.release();
      throw error;
    }
  }
  async function reload(): Promise<string> {
    const next = await readAgain(config.file, lines);
    const before = crew.reloaded;
    // One that begins meanwhile is given it.
    crew.reloaded = next.text;
    const answers = await crew.ask({ reload: next.text }, Number.POSITIVE_INFINITY);
    const taken = answers.flatMap((answer) => ("sentence" in answer ? [answer.sentence] : []));
    const refused = answers.flatMap((answer) => ("error" in answer ? [answer.error] : []))[0];
    // What one has taken is in force: whoever refused it has said so, and takes it when it begins anew.
    if (refused !== undefined && taken.length === 0) crew.reloaded = before;
    else {
      crew.office.limit = next.limits.clients;
      lines.options = next.lines;
    }
    if (refused !== undefined) throw new ProxyError(refused.code as ProxyErrorCode, refused.message);
    return taken.length === 0 ? "no worker serves" : `${taken.length} workers: ${taken[0]}`;
  }
  /** One at a time, in the order of asking. */
  let reloads: Promise<unknown> = Promise.resolve();
  const reloadInTurn = (): Promise<string> => {
    const mine = reloads.then(reload);
    reloads = mine.catch(() => undefined);
    return mine;
  };
  let closing: Promise<{ unsubmitted: number }> | undefined;
  return {
    address: { host: first.host, port: first.port },
    source: first.source,
    epoch: first.epoch,
    failed,
    health,
    metrics,
    // Each worker knows its own.
    cancel: async () => false,
    reload: reloadInTurn,
    close: () => {
      closing ??= (async () => {
        const unsubmitted = await crew.close();
        sockets.release();
        status?.close();
        status?.closeAllConnections();
        lines.close();
        return { unsubmitted };
      })();
      return closing;
    },
  };
}

/** Before any worker does, so that none takes what another could not. What goes wrong later each of them says itself. */
async function readAgain(file: string, lines: Lines): Promise<ProxyConfig> {
  try {
    await checkIsFile(file);
    return await readProxyConfig(file);
  } catch (error) {
    if (error instanceof ProxyError) sayRefused(lines, error);
    throw error;
  }
}

function ownMetrics(crew: Crew): Registry {
  const registry = new Registry();
  const registers = [registry];
  new Gauge({
    name: "vitrine_proxy_workers",
    help: "Worker processes that serve",
    registers,
    collect() {
      this.set(crew.serving);
    },
  });
  new Counter({
    name: "vitrine_proxy_worker_ends_total",
    help: "Worker processes that ended by themselves",
    registers,
    collect() {
      this.reset();
      this.inc(crew.restarts);
    },
  });
  return registry;
}

const WORSE = ["ok", "degraded", "failing"] as const;

/** The worst of each check. Where a worker is missing the others serve, so nothing fails by that alone. */
function together(answers: readonly Answer[], workers: number): Health {
  const all = answers.flatMap((answer) => ("health" in answer ? [answer.health] : []));
  const worst = all.toSorted((a, b) => WORSE.indexOf(b.status) - WORSE.indexOf(a.status))[0];
  if (worst === undefined) {
    const checks = { listener: "closed", upstream: "unreachable", spool: "failed", log: "behind" } as const;
    return { status: "failing", source: "", epoch: 1, checks };
  }
  return all.length < workers && worst.status === "ok" ? { ...worst, status: "degraded" } : worst;
}
