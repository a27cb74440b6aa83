import { existsSync, writeFileSync } from "node:fs";
import path from "node:path";
import { formatAddress, parseSocketOrAddress, reachableHost } from "../address.ts";
import type { UpOptions } from "../args/command-line.ts";
import { type Child, PartError, startChild } from "../child.ts";
import { setInYaml } from "../config-files.ts";
import { aboutDataFolder, type DataFolder, isDataFolder, openDataFolder } from "../data-folder.ts";
import { CliError, oneLine } from "../errors.ts";
import { Interrupted, orInterrupted, watchSignals } from "../interrupt.ts";
import { childPiece, databasePiece, firstEnded, type Piece } from "../pieces.ts";
import { ensureSample, SAMPLE_DATABASE, SAMPLE_ROLE } from "../postgres/sample.ts";
import { startPostgres } from "../postgres/server.ts";
import { checkListen, checkUpstream } from "../probe.ts";
import { startedReport } from "../report.ts";
import { connectionString } from "../upstream-url.ts";
import { registerWorkers, workersOf } from "../worker-sources.ts";

const UPSTREAM_TIMEOUT_MS = 5000;

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

/**
 * Starts the database, the log-server and the proxy, waits for a signal or for one of them to end, and stops them in
 * the opposite order.
 *
 * @returns the exit status: 0 when it was told to stop and everything did, in order
 * @throws CliError, PartError
 */
export async function up(options: UpOptions, version: string): Promise<number> {
  let waitingFor = "what is being started";
  const pieces: Piece[] = [];
  const interrupt = watchSignals(
    () => say(`vitrine: still waiting for ${waitingFor}`),
    () => {
      for (const piece of pieces) piece.reload?.();
    },
  );
  // Nothing is created for a start that cannot succeed; but in a folder that exists, the addresses are looked at only
  // when it is ours: another `up`, or what a killed one left running, may have both.
  const folder = path.resolve(options.data);
  const isNew = !isDataFolder(folder);
  if (isNew) await orInterrupted(checkAddresses(options), interrupt.signal);
  const { createKey } = await import("@vitrine/log-server");
  const leftovers = (): void =>
    say("vitrine: an earlier start was killed; waiting until what it left running has stopped");
  const data = await openDataFolder(folder, createKey, leftovers, interrupt.signal);
  const dead = new Set<Piece>();
  let clean = true;
  let problem: unknown;
  try {
    if (!isNew) await orInterrupted(checkAddresses(options), interrupt.signal);
    const report = await bringUp(options, data, pieces, interrupt.signal);
    say(`Vitrine ${version}\n${report}\nvitrine: ready`);
    const death = await Promise.race([interrupt.received.then(() => undefined), ...pieces.map(diedByItself)]);
    if (death !== undefined) {
      // At once: to stop the others may take a while.
      complain(death.error);
      dead.add(death.piece);
      clean = false;
    }
  } catch (error) {
    if (!(error instanceof Interrupted)) problem = (await causeAmong(pieces, error)) ?? aboutDataFolder(folder, error);
  }
  if (problem === undefined) say(clean ? "vitrine: stopping" : "vitrine: stopping the others");
  for (const piece of pieces.toReversed()) {
    waitingFor = piece.stopping;
    const stopped = await piece.stop();
    if (problem === undefined && !dead.has(piece)) say(`vitrine: ${stopped.note}`);
    clean &&= stopped.clean;
  }
  data.lock.release();
  if (problem !== undefined) throw problem;
  return clean ? 0 : 1;
}

function complain(error: CliError): void {
  process.stderr.write(`vitrine: ${error.code}: ${oneLine(error)}\n`);
}

async function checkAddresses(options: UpOptions): Promise<void> {
  await checkListen(options.proxy, "the proxy", "--proxy");
  await checkListen(options.log, "the log-server", "--log");
  if (options.upstream !== undefined) await checkUpstream(options.upstream, UPSTREAM_TIMEOUT_MS);
}

/** When one part could not start because another, started before it, is gone, the other's end is what to report. */
async function causeAmong(pieces: readonly Piece[], error: unknown): Promise<CliError | undefined> {
  const startFailed = error instanceof PartError || (error instanceof CliError && error.code === "part_failed");
  const ended = await firstEnded(startFailed ? pieces.slice(0, -1) : pieces);
  return ended === undefined ? undefined : deathOf(ended.piece, ended.lastLine);
}

function notice(part: string): (line: string) => void {
  return (line) => say(`vitrine: ${part}: ${line}`);
}

/** Starts everything; `pieces` holds, at every moment, what must be stopped. */
async function bringUp(options: UpOptions, data: DataFolder, pieces: Piece[], signal: AbortSignal): Promise<string> {
  signal.throwIfAborted();
  const started = options.upstream === undefined ? await startDatabase(data, pieces, signal) : undefined;
  const upstream = options.upstream ?? started?.address;
  if (upstream === undefined) throw new Error("no upstream");

  setInYaml(data.file("logServerYaml"), { listen: formatAddress(options.log) });
  await prepareWorkers(data);
  const logServer = startChild(
    "log-server",
    data.file("logServerYaml"),
    data.file("logServerLog"),
    notice("log-server"),
  );
  const logUrl = new URL(await startPiece(logServer, data, pieces, signal));
  const log = `http://${formatAddress({ host: reachableHost(options.log.host), port: Number(logUrl.port || 80) })}`;

  setInYaml(data.file("proxyYaml"), {
    listen: formatAddress(options.proxy),
    upstream: connectionString(upstream, { parameters: options.upstream?.tls }),
    "log.url": log,
  });
  const proxy = startChild("proxy", data.file("proxyYaml"), data.file("proxyLog"), notice("proxy"));
  if (proxy.pid !== undefined) logServer.outlive(proxy.pid);
  const { port } = parseSocketOrAddress(await startPiece(proxy, data, pieces, signal), "the proxy's address");
  const address = { host: reachableHost(options.proxy.host), port };
  const connect =
    started === undefined
      ? connectionString(address, options.upstream ?? {})
      : connectionString(address, { user: SAMPLE_ROLE, password: started.password, database: SAMPLE_DATABASE });
  // For scripts: it holds the sample's password.
  writeFileSync(data.file("connection"), `${connect}\n`, { mode: 0o600 });
  return startedReport({
    data: options.data,
    created: data.created,
    connect,
    embedded: started !== undefined,
    log,
    vkey: data.read("logVkey"),
    hasAuditorToken: existsSync(data.file("auditorToken")),
  });
}

async function startDatabase(
  data: DataFolder,
  pieces: Piece[],
  signal: AbortSignal,
): Promise<{ address: { host: string; port: number }; password: string }> {
  if (!existsSync(data.file("postgres"))) say("Creating a PostgreSQL 18 with a sample database ...");
  const postgres = await startPostgres({
    folder: data.file("postgres"),
    passwordFile: data.file("superuserPassword"),
    logFile: data.file("postgresLog"),
    onOrphan: () => say("vitrine: stopping the PostgreSQL of an earlier start that was killed"),
    onCreate: (pid) => data.lock.note(pid),
    signal,
  });
  pieces.push(databasePiece(postgres));
  signal.throwIfAborted();
  const password = await orInterrupted(ensureSample(postgres, data.file("appPassword")), signal);
  return { address: postgres, password };
}

async function startPiece(child: Child, data: DataFolder, pieces: Piece[], signal: AbortSignal): Promise<string> {
  pieces.push(childPiece(child));
  if (child.pid !== undefined) data.lock.note(child.pid);
  return orInterrupted(child.ready, signal);
}

async function diedByItself(piece: Piece): Promise<{ piece: Piece; error: CliError }> {
  return { piece, error: deathOf(piece, await piece.ended) };
}

function deathOf(piece: Piece, lastLine: string): CliError {
  return new CliError("part_failed", `${piece.label} ended by itself: ${lastLine}`);
}

/** Each worker of the proxy is a source of its own. */
async function prepareWorkers(data: DataFolder): Promise<void> {
  const workers = workersOf(data.file("proxyYaml"));
  if (workers === 1) return;
  const [{ createKey }, { ofWorker }] = await Promise.all([import("@vitrine/log-server"), import("@vitrine/proxy")]);
  const fileOf = (number: number): string => ofWorker(data.file("sourceKey"), number);
  registerWorkers(workers, data.read("sourceVkey"), data.file("logServerYaml"), fileOf, createKey);
}
