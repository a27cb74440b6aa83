import { keptName, VerifierError } from "../../src/index.ts";
import { type Lock, lockFolder } from "../lock.ts";
import { openFolder } from "../state.ts";
import { readTrust } from "../trust.ts";
import type { MonitoredLog } from "./settings.ts";

/**
 * Keeps other monitors of these logs off their state: each would tell everything, and forget what the other has told.
 * To be held before any of it is read.
 * @throws VerifierError `state_locked`; `usage`, also for two logs of one key, whose states would be one
 */
export async function lockLogs(folder: string, logs: readonly MonitoredLog[]): Promise<Lock> {
  const names = new Set<string>();
  for (const log of logs) {
    for (const key of (await readTrust(log)).keys) {
      const name = `${keptName(key).slice(0, 16)}.monitor.lock`;
      if (names.has(name)) throw new VerifierError("usage", `two logs have the key ${key.name}+${key.id}; name one`);
      names.add(name);
    }
  }
  await openFolder(folder);
  const locks: Lock[] = [];
  const release = async (): Promise<void> => {
    for (const lock of locks.splice(0)) await lock.release();
  };
  try {
    for (const name of names) locks.push(await lockFolder(folder, { who: "monitor of this log", name }));
    return { release };
  } catch (error) {
    await release();
    throw error;
  }
}
