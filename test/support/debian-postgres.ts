/** Debian's PostgreSQL 15 with pgAudit: a second server to hold the record against, or the reason why there is none. */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { chmodSync, chownSync, existsSync, mkdirSync, openSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Postgres } from "@vitrine/cli";
import pg from "pg";
import { run } from "./go.ts";
import { DATABASE, freePort, PASSWORD, USER } from "./stack.ts";

const BINARIES = "/usr/lib/postgresql/15/bin";
const PACKAGE = "postgresql-15-pgaudit";
const NOBODY = 65534;
const SUPERUSER_PASSWORD = "superuser";

export interface Audited {
  readonly database: Postgres;
  /** The server's own log, with a line an audited statement. */
  readonly logFile: string;
}

/** @returns pgAudit's library: the installed one, or out of the package, which is fetched and unpacked */
async function pgaudit(folder: string): Promise<{ library: string } | { skip: string }> {
  if (existsSync("/usr/lib/postgresql/15/lib/pgaudit.so")) return { library: "pgaudit" };
  const fetched = await run("apt-get", ["download", PACKAGE], folder, 60_000);
  const file = readdirSync(folder).find((name) => name.startsWith(PACKAGE));
  if (fetched.code !== 0 || file === undefined)
    return { skip: `apt-get download ${PACKAGE}: ${fetched.stderr.trim()}` };
  const unpacked = await run("dpkg", ["-x", file, "unpacked"], folder, 60_000);
  if (unpacked.code !== 0) return { skip: unpacked.stderr.trim() };
  return { library: join(folder, "unpacked/usr/lib/postgresql/15/lib/pgaudit") };
}

/**
 * @param folder one that every account may enter
 * @param more settings, which come after those here
 */
export async function startAudited(folder: string, more: readonly string[] = []): Promise<Audited | string> {
  if (!existsSync(join(BINARIES, "postgres"))) return `there is no ${BINARIES}/postgres`;
  mkdirSync(folder, { recursive: true });
  const audit = await pgaudit(folder);
  if ("skip" in audit) return audit.skip;

  const root = process.getuid?.() === 0;
  const as = root ? { uid: NOBODY, gid: NOBODY } : {};
  if (root) chownSync(folder, NOBODY, NOBODY);
  chmodSync(folder, 0o755);
  const data = join(folder, "data");
  const passwordFile = join(folder, "password");
  writeFileSync(passwordFile, SUPERUSER_PASSWORD, { mode: 0o644 });
  const cluster = ["-D", data, "-U", "postgres", "-A", "scram-sha-256", "-E", "UTF8", "--locale=C", "--no-sync"];
  const made = spawnSync(join(BINARIES, "initdb"), [...cluster, `--pwfile=${passwordFile}`], {
    ...as,
    cwd: "/",
    encoding: "utf8",
  });
  if (made.status !== 0) return `initdb: ${made.error?.message ?? made.stderr.trim().split("\n").at(-1)}`;

  const port = await freePort();
  const logFile = join(folder, "server.log");
  const log = openSync(logFile, "a");
  const settings = [
    "listen_addresses=127.0.0.1",
    `port=${port}`,
    "unix_socket_directories=",
    "fsync=off",
    `shared_preload_libraries=${audit.library},pg_stat_statements`,
    "pgaudit.log=all",
    "pgaudit.log_catalog=on",
    // Which process said it, so which session.
    "log_line_prefix=%p ",
    ...more,
  ];
  const child = spawn(join(BINARIES, "postgres"), ["-D", data, ...settings.flatMap((each) => ["-c", each])], {
    ...as,
    cwd: "/",
    stdio: ["ignore", log, log],
  });
  const ended = once(child, "exit").then(() => `status ${child.exitCode}`);
  const connect = async (database: string): Promise<pg.Client> => {
    const client = new pg.Client({ host: "127.0.0.1", port, user: "postgres", password: SUPERUSER_PASSWORD, database });
    client.on("error", () => undefined);
    await client.connect();
    return client;
  };
  const stop = async (): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null) child.kill("SIGINT");
    await ended;
  };
  for (let attempt = 0; ; attempt++) {
    try {
      const admin = await connect("postgres");
      await admin.query(`CREATE ROLE ${USER} LOGIN PASSWORD '${PASSWORD}'`);
      await admin.query(`CREATE DATABASE ${DATABASE} OWNER ${USER}`);
      await admin.end();
      break;
    } catch (error) {
      if (child.exitCode !== null || attempt > 1200) {
        await stop();
        return `PostgreSQL 15 does not start: ${(error as Error).message}`;
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
  const database = {
    host: "127.0.0.1",
    port,
    pid: child.pid ?? 0,
    password: SUPERUSER_PASSWORD,
    ended,
    connect,
    stop,
  } as const;
  return { database, logFile };
}
