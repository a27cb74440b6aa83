/** A PostgreSQL of the system's with pgaudit, where one is installed: what records statements without a proxy. */
import { execFileSync, spawn } from "node:child_process";
import { chmodSync, chownSync, existsSync, mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { DATABASE, freePort, PASSWORD, USER } from "../support/stack.ts";
import { version } from "./machine.ts";

export interface AuditedServer {
  readonly name: string;
  readonly port: number;
  stop(): Promise<void>;
}

const VERSIONS = "/usr/lib/postgresql";

/** The newest installation that has pgaudit. */
function installation(): string | undefined {
  if (!existsSync(VERSIONS)) return undefined;
  const numbers = readdirSync(VERSIONS).sort((a, b) => Number(b) - Number(a));
  return numbers.map((number) => join(VERSIONS, number)).find((path) => existsSync(join(path, "lib/pgaudit.so")));
}

/** Everything is audited, into the server's own log, as its manual has it. */
const SETTINGS = [
  "shared_preload_libraries=pgaudit",
  "pgaudit.log=all",
  "pgaudit.log_parameter=on",
  "logging_collector=on",
  "log_directory=log",
  "listen_addresses=127.0.0.1",
  "unix_socket_directories=",
];

/** @returns undefined where there is no PostgreSQL with pgaudit, or nobody that it could run as */
export async function startAudited(folder: string): Promise<AuditedServer | undefined> {
  const path = installation();
  if (path === undefined || process.getuid?.() !== 0) return undefined;
  const id = (flag: string): number => Number(execFileSync("id", [flag, "postgres"], { encoding: "utf8" }));
  const [uid, gid] = [id("-u"), id("-g")];
  const home = join(folder, "pgaudit");
  mkdirSync(home);
  chownSync(home, uid, gid);
  chmodSync(home, 0o700);
  const data = join(home, "data");
  const bin = (name: string): string => join(path, "bin", name);
  execFileSync(bin("initdb"), ["-D", data, "-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C"], {
    uid,
    gid,
    cwd: home,
    stdio: "ignore",
  });
  const port = await freePort();
  const args = ["-D", data, ...[...SETTINGS, `port=${port}`].flatMap((setting) => ["-c", setting])];
  const server = spawn(bin("postgres"), args, { uid, gid, cwd: home, stdio: "ignore" });
  const ended = new Promise<void>((resolve) => server.once("exit", () => resolve()));
  const connect = async (database: string): Promise<pg.Client> => {
    const client = new pg.Client({ host: "127.0.0.1", port, user: "postgres", database });
    client.on("error", () => undefined);
    await client.connect();
    return client;
  };
  let admin: pg.Client | undefined;
  for (let attempt = 0; admin === undefined && attempt < 100; attempt += 1) {
    admin = await connect("postgres").catch(() => undefined);
    if (admin === undefined) await sleep(100);
  }
  if (admin === undefined) throw new Error(`PostgreSQL of ${path} with pgaudit does not start`);
  await admin.query(`CREATE ROLE ${USER} LOGIN SUPERUSER PASSWORD '${PASSWORD}'`);
  await admin.query(`CREATE DATABASE ${DATABASE} OWNER ${USER}`);
  await admin.end();
  const own = await connect(DATABASE);
  await own.query("CREATE EXTENSION pgaudit");
  await own.end();
  return {
    name: `${version(bin("postgres"), "--version")?.replace(/^postgres \(PostgreSQL\) (\S+).*/, "PostgreSQL $1") ?? path} with pgaudit`,
    port,
    stop: async () => {
      server.kill("SIGINT");
      await ended;
    },
  };
}
