import type { ChildProcess } from "node:child_process";
import { randomBytes } from "node:crypto";
import {
  chownSync,
  existsSync,
  lchownSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import path from "node:path";
import { CliError, codeOf } from "../errors.ts";
import { type Account, run } from "./account.ts";
import type { Binaries } from "./binaries.ts";

export const SUPERUSER = "postgres";
const MAJOR_VERSION = "18";

/** Written into postgresql.conf once, where a person may change them. */
const SETTINGS = ["shared_buffers=128MB", "max_connections=100", "log_line_prefix=%m [%p] ", "log_checkpoints=off"];

/** How long initdb has to stop. */
const STOP_MS = 5_000;

interface CreateOptions {
  /** Stops it: nothing is left of what was begun. */
  readonly signal?: AbortSignal | undefined;
  /** Told the process that makes the cluster. */
  readonly onSpawn?: ((pid: number) => void) | undefined;
}

/**
 * CRASH: the cluster is made beside its place and renamed into it when it is whole; a start that finds no cluster
 * removes what another left unfinished and begins again. The password is on disk before the cluster that has it.
 */
export async function createCluster(
  folder: string,
  passwordFile: string,
  binaries: Binaries,
  account: Account,
  { signal, onSpawn }: CreateOptions = {},
): Promise<void> {
  signal?.throwIfAborted();
  const unfinished = `${folder}.new`;
  const passwordForInitdb = `${folder}.password`;
  rmSync(unfinished, { recursive: true, force: true });
  rmSync(passwordForInitdb, { force: true });
  rmSync(passwordFile, { force: true });
  const password = randomBytes(24).toString("base64url");
  for (const file of [passwordFile, passwordForInitdb])
    writeFileSync(file, `${password}\n`, { mode: 0o600, flush: true });
  mkdirSync(unfinished, { mode: 0o700 });
  if (account.owner !== undefined) {
    chownSync(unfinished, account.owner.uid, account.owner.gid);
    chownSync(passwordForInitdb, account.owner.uid, account.owner.gid);
  }
  const args = ["-D", unfinished, "-U", SUPERUSER, `--pwfile=${passwordForInitdb}`, "--auth=scram-sha-256"];
  args.push("--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8");
  for (const setting of SETTINGS) args.push("-c", setting);
  try {
    const child = run(account, binaries.initdb, args, "pipe");
    if (child.pid !== undefined) onSpawn?.(child.pid);
    const stop = (): void => stopGroup(child);
    signal?.addEventListener("abort", stop, { once: true });
    let output = "";
    for (const stream of [child.stdout, child.stderr])
      stream?.setEncoding("utf8").on("data", (text) => (output += text));
    const status = await new Promise((resolve, reject) => {
      child.once("error", reject);
      // Not "exit": until then one of those that it has started may still write.
      child.once("close", (code, signal) => resolve(signal ?? code));
    });
    signal?.removeEventListener("abort", stop);
    signal?.throwIfAborted();
    if (status !== 0) {
      const said =
        output
          .split("\n")
          .filter((line) => /error|fatal|could not|cannot/i.test(line))
          .at(0) ?? `status ${status}`;
      throw new CliError("postgres_failed", `PostgreSQL could not create ${folder}: ${said.trim()}`);
    }
    renameSync(unfinished, folder);
  } finally {
    rmSync(passwordForInitdb, { force: true });
    rmSync(unfinished, { recursive: true, force: true });
  }
}

/** initdb leads a process group, in which it has a server do the work. What does not heed the first signal gets another. */
function stopGroup(child: ChildProcess): void {
  const signalGroup = (name: NodeJS.Signals): void => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, name);
    } catch (error) {
      if (codeOf(error) !== "ESRCH") throw error; // all of them are gone
    }
  };
  signalGroup("SIGTERM");
  const late = setTimeout(() => signalGroup("SIGKILL"), STOP_MS).unref();
  child.once("close", () => clearTimeout(late));
}

/** A cluster from elsewhere: of the right version, and, when root copied it, given to the user that runs it. */
export function adopt(folder: string, account: Account): void {
  const versionFile = path.join(folder, "PG_VERSION");
  const version = existsSync(versionFile) ? readFileSync(versionFile, "utf8").trim() : "of no known version";
  if (version !== MAJOR_VERSION) {
    throw new CliError(
      "postgres_failed",
      `${folder} belongs to PostgreSQL ${version}, this is ${MAJOR_VERSION}; use the version of vitrine that made it, or pg_upgrade`,
    );
  }
  const { uid } = statSync(folder);
  if (account.owner === undefined) {
    if (uid === process.getuid?.()) return;
    throw new CliError("postgres_failed", `${folder} belongs to user ${uid}; start vitrine as that user or as root`);
  }
  if (uid === account.owner.uid) return;
  const entries = readdirSync(folder, { recursive: true, encoding: "utf8" });
  for (const entry of entries) lchownSync(path.join(folder, entry), account.owner.uid, account.owner.gid);
  chownSync(folder, account.owner.uid, account.owner.gid);
}
