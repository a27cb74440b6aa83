import { execFileSync, spawnSync } from "node:child_process";
import { readFileSync, readlinkSync, realpathSync } from "node:fs";
import path from "node:path";
import { CliError, codeOf } from "../errors.ts";
import type { Account } from "./account.ts";
import type { Binaries } from "./binaries.ts";

/**
 * Stops a server that still runs on the folder because its `up` was killed. The file of a server that is dead is left
 * to PostgreSQL, which knows what to do with it.
 *
 * @throws CliError `postgres_failed` when it cannot be stopped
 */
export async function stopOrphan(
  folder: string,
  binaries: Binaries,
  account: Account,
  onOrphan: (() => void) | undefined,
): Promise<void> {
  const pid = postmasterPid(folder);
  if (pid === undefined || !runsOn(pid, folder)) return;
  onOrphan?.();
  const { file, args, ...as } = account.command(binaries.pgCtl, [
    "stop",
    "-D",
    folder,
    "-m",
    "fast",
    "-w",
    "-t",
    "120",
  ]);
  const stopped = spawnSync(file, args, {
    ...as,
    cwd: "/",
    encoding: "utf8",
    env: { PATH: process.env.PATH, LC_ALL: "C" },
  });
  if (stopped.status !== 0 && runsOn(pid, folder)) {
    throw new CliError(
      "postgres_failed",
      `the PostgreSQL of an earlier \`vitrine up\` (process ${pid}) still runs on ${folder} and did not stop; stop it by hand`,
    );
  }
}

function postmasterPid(folder: string): number | undefined {
  try {
    // The first line is the process id (PostgreSQL section 66.1); negative for a standalone backend.
    const pid = Math.abs(Number(readFileSync(path.join(folder, "postmaster.pid"), "latin1").split("\n", 1)[0]));
    return Number.isSafeInteger(pid) && pid > 1 ? pid : undefined;
  } catch (error) {
    if (codeOf(error) === "ENOENT") return undefined;
    throw error;
  }
}

/**
 * The number in the file may by now be another process's, which pg_ctl would stop all the same. A server's working
 * folder is its data folder.
 */
function runsOn(pid: number, folder: string): boolean {
  try {
    if (process.platform === "linux") return readlinkSync(`/proc/${pid}/cwd`) === realpathSync(folder);
    const command = execFileSync("ps", ["-o", "args=", "-p", String(pid)], { encoding: "utf8" });
    return command.includes(`-D ${folder}`) && /postgres/.test(command);
  } catch {
    return false; // no such process, or not one of ours
  }
}
