/** PgBouncer, the peer that proxies are compared with. */
import { type ChildProcess, spawn } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { DATABASE, freePort, PASSWORD, USER } from "../support/stack.ts";
import { version } from "./machine.ts";

/** The peer, before the same server, as the user of the tests; `secret` is what it knows of the password. @returns undefined when it is not installed */
export async function startBouncer(
  upstream: number,
  mode: "session" | "transaction",
  secret: string = PASSWORD,
): Promise<{ port: number; pid: number; stop: () => void } | undefined> {
  if (version("pgbouncer", "--version") === undefined) return undefined;
  const folder = mkdtempSync(join(tmpdir(), "vitrine-pgbouncer-"));
  chmodSync(folder, 0o755);
  const port = await freePort();
  writeFileSync(join(folder, "users"), `"${USER}" "${secret}"\n`);
  writeFileSync(
    join(folder, "pgbouncer.ini"),
    [
      "[databases]",
      `* = host=127.0.0.1 port=${upstream}`,
      "[pgbouncer]",
      "listen_addr = 127.0.0.1",
      `listen_port = ${port}`,
      "unix_socket_dir =",
      "auth_type = scram-sha-256",
      `auth_file = ${join(folder, "users")}`,
      `pool_mode = ${mode}`,
      "max_client_conn = 12000",
      "default_pool_size = 90",
      "log_connections = 0",
      "log_disconnections = 0",
    ].join("\n"),
  );
  const args = process.getuid?.() === 0 ? ["-q", "-u", "nobody"] : ["-q"];
  const child: ChildProcess = spawn("pgbouncer", [...args, join(folder, "pgbouncer.ini")], { stdio: "ignore" });
  for (let attempt = 0; attempt < 50; attempt += 1) {
    const client = new pg.Client({ host: "127.0.0.1", port, user: USER, password: PASSWORD, database: DATABASE });
    try {
      await client.connect();
      await client.end();
      break;
    } catch {
      await sleep(100);
    }
  }
  return {
    port,
    pid: child.pid!,
    stop: () => {
      child.kill("SIGTERM");
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
