import { readFile } from "node:fs/promises";
import { Access, readRules } from "./access/index.ts";
import { formatTimestamp, KeyFiles, Recorder } from "./audit/index.ts";
import { CancelKeys } from "./client/cancel.ts";
import { Pauses } from "./client/pauses.ts";
import type { ProxyConfig } from "./config/config.ts";
import { type ConsoleSettings, type Desk, isConsole, openConsole } from "./console/index.ts";
import { ProxyError } from "./errors.ts";
import { type Health, healthOf } from "./health.ts";
import { Identity } from "./identity/index.ts";
import { type EventName, Lines } from "./lines/index.ts";
import type { ListenAddress } from "./listen/address.ts";
import { listenAll, notAccepted, tooFewDescriptors } from "./listen/index.ts";
import { claimSockets, type SocketClaim } from "./listen/socket-file.ts";
import { Metrics } from "./metrics/metrics.ts";
import { Statistics } from "./metrics/statistics.ts";
import { Observer } from "./observer.ts";
import { Operations } from "./operations/index.ts";
import { watchServers } from "./pool-metrics.ts";
import { Reach } from "./reach.ts";
import { ConfigInForce, sayRefused } from "./reload/config.ts";
import { KeyInForce } from "./reload/key.ts";
import { RulesInForce } from "./reload/rules.ts";
import type { Among, ProxyHooks, RunningProxy } from "./running.ts";
import { ProxyServer } from "./server.ts";
import { relayTo } from "./servers/relay.ts";
import { Terminating } from "./servers/terminate.ts";
import { Policy } from "./session/policy.ts";
import { Values } from "./session/values.ts";
import { Analyzer } from "./statements/index.ts";
import { createStatusServer, listenStatus } from "./status.ts";
import { ClientTls, ServerTls, TlsInForce } from "./tls/index.ts";
import { connectUpstream, Retries, type UpstreamAddress, UpstreamMetrics, Upstreams } from "./upstream/index.ts";
import type { Startup } from "./wire/startup.ts";

/** Sessions of the console beyond the limit of clients. */
const CONSOLES = 5;
/** How long a stopping proxy tries to hand its last entries to the log. */
const SUBMIT_TIMEOUT_MS = 10_000;
/** How long whoever asks for the proxy's health waits for the server's. */
const KNOCK_TIMEOUT_MS = 2_000;

/** @throws ProxyError with one of the start codes of spec/errors.md */
export async function startProxy(config: ProxyConfig, hooks: ProxyHooks = {}, among?: Among): Promise<RunningProxy> {
  const lines = new Lines(hooks.line ?? (() => undefined), config.lines, () => new Date().toISOString());
  const tell = (event: EventName, sentence: string): void => {
    lines.say(event, sentence);
    hooks.notice?.(sentence);
  };
  const notice = (sentence: string): void => tell("notice", sentence);
  const metrics = new Metrics();
  const version = await ownVersion();
  const analyzer = await Analyzer.load();
  const clientTls = config.tls === undefined ? undefined : await ClientTls.load(config.tls);
  const serverTls = await ServerTls.load(config.upstreamTls);
  const access = config.rules === undefined ? undefined : new Access(await readRules(config.rules));
  const upstreams = new Upstreams(
    config.upstream,
    { connectTimeoutMs: config.limits.connectTimeoutMs, breaker: config.breaker, tls: serverTls },
    new Retries(config.retry),
    new UpstreamMetrics(metrics.registry),
  );
  const terminating = await Terminating.load(config.auth, config.pool, upstreams, analyzer, notice);
  const open = terminating.opener(relayTo(upstreams), (error) => metrics.errors.inc({ code: error.code }));
  let server: ProxyServer | undefined;
  let spoolError: ProxyError | undefined;
  const recorder = await Recorder.open({
    key: new KeyFiles(config.source.key),
    onKey: notice,
    spool: config.spool,
    record: config.record,
    log: config.log,
    software: { name: "vitrine-proxy", version },
    configDigest: config.digest,
    durability: config.durability,
    onCommit: (ms, records) => {
      metrics.commits.observe(ms / 1000);
      metrics.commitRecords.observe(records);
    },
    onTrouble: (why) => {
      if (why === undefined) tell("log.taking", "the log takes entries again");
      else tell("log.waiting", `the log at ${config.log.url} takes no entries, and they wait in the spool: ${why}`);
    },
    onState: (state, error) => {
      tell(`spool.${state}`, `spool ${state}${error === undefined ? "" : `: ${error.code}: ${error.message}`}`);
      spoolError = error;
      if (state === "closed") server?.failAll(SPOOL_FULL);
      else if (state === "failed") server?.failAll(error ?? SPOOL_FAILED);
    },
  });
  const nextKey = new KeyInForce(recorder, notice);
  let values = new Values(config.sealed, config.limits.disclosureBytes);
  let sessions = 0;
  let { limits } = config;
  const consoleOf = (): ConsoleSettings => inForce.config.console;
  const atConsole = ({ database }: Startup): boolean => isConsole(database, consoleOf());
  // Asked when a client comes, and again when it is logged in: many may be on their way at a time. Who comes to see why
  // there are so many is let in, up to a few.
  const fullHouse = (startup: Startup): ProxyError | undefined =>
    server!.sessions < limits.clients + (atConsole(startup) ? CONSOLES : 0)
      ? undefined
      : new ProxyError("too_many_connections", `the proxy's limit of ${limits.clients} clients is reached`);
  const reach = new Reach(() => Promise.any(upstreams.hosts.map(({ address }) => knock(address))));
  const statistics = new Statistics();
  const pauses = new Pauses();
  // While clients wait for the end of a pause there is room for who comes to end it.
  const fullPause = ({ database }: Startup): ProxyError | undefined => {
    const coming = server!.clients - server!.sessions;
    const room = limits.logins - Math.min(CONSOLES, limits.logins / 2);
    if (!pauses.holds(database) || coming <= room) return undefined;
    return new ProxyError("too_many_connections", "the database is paused, and no more clients can wait for its end");
  };
  const keys = new CancelKeys(among && ((key) => among.cancel(key)));
  const places = among?.places(() => server!);
  server = new ProxyServer({
    shared: {
      recorder,
      analyzer,
      // Of sessions that begin; each keeps what it has.
      get values() {
        return values;
      },
      policy: new Policy(config.durability.reads, config.durability.others),
      clock: formatTimestamp,
      access,
      watch: new Observer(metrics, lines, statistics),
      identity: config.identity.length === 0 ? undefined : new Identity(config.identity),
    },
    get settings() {
      return limits;
    },
    resumed: async (startup, left) => {
      if (!atConsole(startup)) await pauses.untilResumed(startup.database, left);
    },
    open: async (client) => {
      if (atConsole(client.startup))
        return openConsole(client, terminating.door(client), consoleOf, desk, `${version}/vitrine`);
      await places?.prepare();
      const backend = await open(client);
      // A pool has its own connections, and may have had this one for long.
      if (backend.kind === undefined) reach.reached();
      return backend;
    },
    keys,
    metrics,
    pauses,
    tls: clientTls,
    nextSessionId: (startup) => {
      const refusal = fullHouse(startup);
      if (refusal !== undefined) throw refusal;
      if (!atConsole(startup)) places?.take();
      return `${recorder.epoch}.${++sessions}`;
    },
    notAccepted: (cause, count) => {
      lines.say("client.refused", notAccepted(cause, count), { code: cause });
    },
    admission: (startup) => {
      if (recorder.state === "failed") return spoolError ?? SPOOL_FAILED;
      if (recorder.state !== "open") return SPOOL_FULL;
      return fullHouse(startup) ?? (atConsole(startup) ? undefined : fullPause(startup));
    },
  });
  const running = server;
  const inForce = new ConfigInForce(config, recorder, (next) => {
    limits = next.limits;
    lines.options = next.lines;
    values = new Values(next.sealed, limits.disclosureBytes);
    terminating.settings = next.auth;
    terminating.pools.settings = next.pool;
    running.limitsChanged();
  });
  const operations = new Operations({
    view: {
      connections: () => running.infos(),
      nameless: () => running.nameless,
      pools: terminating.pools,
      pauses,
      statistics,
      recorder: () => recorder.stats(),
      config: () => inForce.config,
      version,
    },
    server: running,
    pools: terminating.pools,
    lines,
    reload: () => reload(),
    stop: () => hooks.stop?.(),
  });
  const desk: Desk = among ?? operations;
  metrics.watch(running, recorder);
  watchServers(metrics, terminating.pools, () => running.infos());
  const listener = (): "ok" | "closed" | "paused" => {
    if (!running.listening) return "closed";
    return pauses.all ? "paused" : "ok";
  };
  const health = (): Promise<Health> => healthOf({ recorder, listener, reach });
  const status = config.status === undefined ? undefined : createStatusServer(metrics.registry, health);
  let address: ListenAddress;
  let sockets: SocketClaim | undefined;
  const rules =
    access === undefined || config.rules === undefined
      ? undefined
      : new RulesInForce(access, config.rules, recorder, notice);
  const tls = new TlsInForce(clientTls, serverTls, notice);
  try {
    await nextKey.takeUp();
    await rules?.announce();
    await terminating.announce(recorder);
    if (status !== undefined && config.status !== undefined) {
      await listenStatus(status, config.status);
    }
    // Where there are workers, who started them has claimed the sockets for all.
    if (among === undefined) sockets = await claimSockets(config.listen);
    address = await listenAll(running, config);
    rules?.watch();
    tls.watch();
    terminating.watch();
    if (clientTls !== undefined) notice(clientTls.says);
    const scarce = tooFewDescriptors(limits.clients);
    if (scarce !== undefined) notice(scarce);
  } catch (error) {
    status?.close();
    await running.close(0);
    sockets?.release();
    await recorder.stop("shutdown", SUBMIT_TIMEOUT_MS);
    throw error;
  }
  let closing: Promise<{ unsubmitted: number }> | undefined;
  const close = async (): Promise<{ unsubmitted: number }> => {
    inForce.close();
    rules?.close();
    tls.close();
    terminating.unwatch();
    await running.close(limits.drainTimeoutMs);
    sockets?.release();
    terminating.close();
    const result = await recorder.stop("shutdown", SUBMIT_TIMEOUT_MS);
    status?.close();
    status?.closeAllConnections();
    statistics.close();
    lines.close();
    return result;
  };
  const reload = async (read?: string): Promise<string> => {
    await nextKey.takeUp();
    await tls.reload();
    await terminating.reload();
    try {
      let ruled = "";
      const changed = await inForce.reload(async () => {
        if (rules !== undefined) ruled = `; ${await rules.reload()}`;
      }, read);
      lines.say("config.changed", `${changed}${ruled}`);
      return `${changed}${ruled}`;
    } catch (error) {
      if (!(error instanceof ProxyError)) throw error;
      sayRefused(lines, error);
      throw error;
    }
  };
  return {
    address,
    source: recorder.source,
    epoch: recorder.epoch,
    reload,
    health,
    share: operations,
    metrics: () => metrics.registry.getMetricsAsJSON(),
    cancel: (key) => keys.cancel(key),
    close: () => {
      closing ??= close();
      return closing;
    },
  };
}

/** Connects, and no more: a PostgreSQL server takes no note of it. @throws ProxyError `upstream_unreachable` */
async function knock(address: UpstreamAddress): Promise<void> {
  (await connectUpstream(address, KNOCK_TIMEOUT_MS)).destroy();
}

const SPOOL_FULL = new ProxyError(
  "spool_full",
  "the audit spool is full because its log cannot be reached; nothing is executed that could not be recorded",
);
const SPOOL_FAILED = new ProxyError(
  "spool_failed",
  "the audit spool cannot be written; nothing is executed unrecorded",
);

async function ownVersion(): Promise<string> {
  const file = new URL("../../package.json", import.meta.url);
  return (JSON.parse(await readFile(file, "utf8")) as { version: string }).version;
}
