import { closeSync, existsSync, openSync, readFileSync, statSync } from "node:fs";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { CliError, codeOf, oneLine } from "../errors.ts";
import { lastLine, sizeOf } from "../log-file.ts";
import { freePort } from "../probe.ts";
import { type Account, chooseAccount, run } from "./account.ts";
import { type Binaries, findBinaries } from "./binaries.ts";
import { adopt, createCluster, SUPERUSER } from "./create.ts";
import { stopOrphan } from "./orphan.ts";

export interface PostgresConfig {
  /** The cluster's folder (PGDATA). Created, with its cluster, when it is not there. */
  readonly folder: string;
  /** A file that holds the superuser's password, created with the cluster. */
  readonly passwordFile: string;
  /** Where the server's own log goes. */
  readonly logFile: string;
  /** Told about a server that outlived its `up`. */
  readonly onOrphan?: () => void;
  /** Told the process id of what creates the cluster: until it is gone nobody else may begin anew. */
  readonly onCreate?: (pid: number) => void;
  /** Told the server's process id as soon as there is one; again, of another, when its port was taken. */
  readonly onSpawn?: (pid: number) => void;
  /** Chooses a port; one that is free at this moment, when left out. */
  readonly port?: () => Promise<number>;
  /** Stops what is under way: the making of a cluster, the wait for the server to accept connections, and the server. */
  readonly signal?: AbortSignal;
}

export interface Postgres {
  readonly host: "127.0.0.1";
  readonly port: number;
  readonly pid: number;
  readonly password: string;
  /** Resolves when the server ends, asked for or not, with its last line of log. */
  readonly ended: Promise<string>;
  /** Connects as superuser. The caller ends the connection. */
  connect(database: string): Promise<pg.Client>;
  /** Fast shutdown: disconnects everyone, writes a checkpoint, ends. */
  stop(): Promise<void>;
}

/** Between the moment a port is chosen and the one the server listens on it, somebody else may. */
const PORT_TAKEN = /LOG: {2}could not bind IPv4 address /;
const PORTS_TRIED = 3;
const WHY_NOT_STARTED = /\b(FATAL|PANIC): /;
/** A FATAL in the log of a running server is about one client. */
const WHY_STOPPED = /\bPANIC: |: {2}received .* shutdown request/;

/**
 * Starts a PostgreSQL server of our own on a free port of 127.0.0.1, in a process group of its own: a Ctrl-C in the
 * terminal does not reach it.
 *
 * @throws CliError `postgres_missing`, `postgres_account`, `postgres_failed`
 */
export async function startPostgres(config: PostgresConfig): Promise<Postgres> {
  const binaries = await findBinaries();
  const folder = path.resolve(config.folder);
  const exists = existsSync(folder);
  const account = chooseAccount(path.dirname(folder), binaries.postgres, exists ? statSync(folder).uid : undefined);
  if (!exists)
    await createCluster(folder, path.resolve(config.passwordFile), binaries, account, {
      signal: config.signal,
      onSpawn: config.onCreate,
    });
  else adopt(folder, account);
  await stopOrphan(folder, binaries, account, config.onOrphan);

  const password = readFileSync(config.passwordFile, "utf8").trim();
  for (let tried = 1; ; tried += 1) {
    const port = await (config.port ?? freePort)();
    const logFrom = sizeOf(config.logFile);
    try {
      return await startOn(port, { ...config, folder }, binaries, account, password, logFrom);
    } catch (error) {
      const isTaken = PORT_TAKEN.test(lastLine(config.logFile, logFrom, PORT_TAKEN) ?? "");
      if (!isTaken || tried === PORTS_TRIED || config.signal?.aborted) throw error;
    }
  }
}

async function startOn(
  port: number,
  config: PostgresConfig,
  binaries: Binaries,
  account: Account,
  password: string,
  logFrom: number,
): Promise<Postgres> {
  const log = openSync(config.logFile, "a", 0o600);
  const options = [`listen_addresses=127.0.0.1`, `port=${port}`, "unix_socket_directories=", "logging_collector=off"];
  const child = run(
    account,
    binaries.postgres,
    ["-D", config.folder, ...options.flatMap((option) => ["-c", option])],
    log,
  );
  closeSync(log);
  let isUp = false;
  const ended = new Promise<string>((resolve) => {
    child.once("error", (error) => resolve(oneLine(error)));
    child.once("exit", (code, signal) => {
      if (signal !== null) resolve(`killed by ${signal}`);
      else resolve(lastLine(config.logFile, logFrom, isUp ? WHY_STOPPED : WHY_NOT_STARTED) ?? `status ${code}`);
    });
  });
  const stop = async (): Promise<void> => {
    // SIGINT is the fast shutdown (PostgreSQL section 18.5).
    if (child.exitCode === null && child.signalCode === null) child.kill("SIGINT");
    await ended;
  };
  if (child.pid !== undefined) config.onSpawn?.(child.pid);
  const connect = (database: string): Promise<pg.Client> => connectTo(port, password, database);
  try {
    await accepting(connect, () => isReady(config.folder, child.pid), ended, config.signal);
    isUp = true;
  } catch (error) {
    await stop();
    throw error;
  }
  return { host: "127.0.0.1", port, pid: child.pid as number, password, ended, connect, stop };
}

async function connectTo(port: number, password: string, database: string): Promise<pg.Client> {
  const client = new pg.Client({
    host: "127.0.0.1",
    port,
    user: SUPERUSER,
    password,
    database,
    ssl: false,
    options: "",
    application_name: "vitrine up",
    connectionTimeoutMillis: 10_000,
  });
  // A server that ends breaks the connection outside any query; the query under way, or the next, reports it.
  client.on("error", () => {});
  await client.connect();
  return client;
}

/**
 * Whether a cluster's server says that it lets clients in: line 1 of `postmaster.pid` is its process, line 8 its state
 * (PostgreSQL's utils/pidfile.h). A port that is listened on does not tell: somebody else may have taken it.
 */
function isReady(folder: string, pid: number | undefined): boolean {
  try {
    const lines = readFileSync(path.join(folder, "postmaster.pid"), "latin1").split("\n");
    return Number(lines[0]) === pid && /^(ready|standby) *$/.test(lines[7] ?? "");
  } catch (error) {
    if (codeOf(error) === "ENOENT") return false; // it has just begun, or is gone
    throw error;
  }
}

/** Waits, however long the recovery after a crash takes, until the server accepts connections. */
async function accepting(
  connect: (database: string) => Promise<pg.Client>,
  ready: () => boolean,
  ended: Promise<string>,
  signal: AbortSignal | undefined,
): Promise<void> {
  let last: string | undefined;
  void ended.then((line) => {
    last = line;
  });
  while (!ready()) {
    if (last !== undefined) throw new CliError("postgres_failed", `PostgreSQL did not start: ${last}`);
    signal?.throwIfAborted();
    await sleep(50);
  }
  try {
    await (await connect(SUPERUSER)).end();
  } catch (error) {
    throw new CliError("postgres_failed", `cannot connect to the embedded PostgreSQL: ${oneLine(error)}`, {
      cause: error,
    });
  }
}
