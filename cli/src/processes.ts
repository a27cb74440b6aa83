import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";

/**
 * Tells one process from another that got the same number later: its number and the moment it started. `undefined`
 * when no such process lives.
 */
export function processIdentity(pid: number): string | undefined {
  if (process.platform === "linux") {
    try {
      // proc_pid_stat(5): the second field is a name in parentheses and may hold anything; the 22nd is the start, in
      // clock ticks since boot; the third is the state, and a zombie is dead but for its parent's wait.
      const fields = readFileSync(`/proc/${pid}/stat`, "latin1").replace(/^.*\)/s, "").trim().split(" ");
      if (fields[0] === "Z" || fields[0] === "X") return undefined;
      const boot = readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim();
      return `${pid} ${boot}/${fields[19]}`;
    } catch {
      return undefined; // no such directory: no such process
    }
  }
  try {
    const started = execFileSync("ps", ["-o", "lstart=", "-p", String(pid)], {
      encoding: "utf8",
      env: { ...process.env, LC_ALL: "C", TZ: "UTC" },
      stdio: ["ignore", "pipe", "ignore"],
    });
    return started.trim() === "" ? undefined : `${pid} ${started.trim().replace(/\s+/g, "_")}`;
  } catch {
    return undefined; // ps exits with 1 when there is no such process
  }
}

/** Whether the process that had this identity still lives. */
export function isAlive(identity: string): boolean {
  const pid = Number(identity.split(" ", 1)[0]);
  return Number.isSafeInteger(pid) && pid > 0 && processIdentity(pid) === identity;
}
