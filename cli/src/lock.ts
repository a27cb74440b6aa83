import { appendFileSync, linkSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { CliError, codeOf } from "./errors.ts";
import { isAlive, processIdentity } from "./processes.ts";

export interface FolderLock {
  /** Notes a process that `up` started, so that a later `up` waits for it should this one be killed. */
  note(pid: number): void;
  release(): void;
}

/**
 * Takes the data folder for this process: `up.lock` names the `up` that has it and, a line each, the processes it
 * started. A lock whose `up` is dead is taken over as soon as its parts, which notice that death and stop in order,
 * have gone.
 *
 * @param waiting told once, when parts of a dead `up` must be waited for
 * @param signal gives up that wait
 * @throws CliError `data_in_use`; the signal's reason
 */
export async function lockFolder(
  folder: string,
  waiting: () => void,
  signal?: AbortSignal,
  timeoutMs = 120_000,
): Promise<FolderLock> {
  const file = path.join(folder, "up.lock");
  const mine = path.join(folder, `up.lock.${process.pid}`);
  const self = processIdentity(process.pid);
  if (self === undefined) throw new Error("this process cannot find itself");
  writeFileSync(mine, `${self}\n`, { mode: 0o600 });
  try {
    const deadline = Date.now() + timeoutMs;
    for (let told = false; !linked(mine, file); ) {
      const holder = readIfThere(file);
      if (holder === undefined) continue;
      const [up, ...parts] = holder.trim().split("\n") as [string, ...string[]];
      if (isAlive(up)) {
        throw new CliError(
          "data_in_use",
          `${folder} is in use by another \`vitrine up\` (process ${up.split(" ", 1)[0]}); stop it, or choose another folder with --data DIR`,
        );
      }
      if (!parts.some(isAlive)) {
        removeStale(file, mine, holder);
        continue;
      }
      if (!told) waiting();
      told = true;
      if (Date.now() > deadline) {
        const pids = parts.filter(isAlive).map((part) => part.split(" ", 1)[0]);
        throw new CliError(
          "data_in_use",
          `${folder} is still used by what an earlier \`vitrine up\` started (process ${pids.join(", ")}); stop it first`,
        );
      }
      signal?.throwIfAborted();
      await sleep(100);
    }
  } finally {
    rmSync(mine, { force: true });
  }
  return {
    note(pid: number): void {
      const identity = processIdentity(pid);
      if (identity !== undefined) appendFileSync(file, `${identity}\n`);
    },
    release(): void {
      rmSync(file, { force: true });
    },
  };
}

/** link(2) fails when the name is taken: of two that try, one gets it. */
function linked(from: string, to: string): boolean {
  try {
    linkSync(from, to);
    return true;
  } catch (error) {
    if (codeOf(error) === "EEXIST") return false;
    throw error;
  }
}

/**
 * Between reading a stale lock and removing it another `up` may have replaced it; so it is moved aside, looked at
 * again, and put back if it turns out to be somebody's.
 */
function removeStale(file: string, mine: string, stale: string): void {
  const aside = `${mine}.stale`;
  try {
    renameSync(file, aside);
  } catch (error) {
    if (codeOf(error) === "ENOENT") return;
    throw error;
  }
  if (readIfThere(aside) !== stale) linked(aside, file);
  rmSync(aside, { force: true });
}

function readIfThere(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    if (codeOf(error) === "ENOENT") return undefined;
    throw error;
  }
}
