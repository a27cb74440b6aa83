import { readFileSync } from "node:fs";

/** Descriptors that no client gets: those of the spool, of the log's connections, of files that are read again. */
export const KEPT_DESCRIPTORS = 64;

/** @returns how many files this process may have open; undefined where the system does not tell, or there is no limit */
export function descriptorLimit(): number | undefined {
  let text: string;
  try {
    // proc_pid_limits(5): name, soft limit, hard limit, unit. Node has raised the soft one to the hard one at its start.
    text = readFileSync("/proc/self/limits", "latin1");
  } catch {
    return undefined; // not on Linux: then accept(2) says it when it is too late
  }
  const soft = /^Max open files +([0-9]+|unlimited) /m.exec(text)?.[1];
  return soft === undefined || soft === "unlimited" ? undefined : Number(soft);
}

/**
 * Whether a client that was just accepted leaves enough for others. The system gives the lowest number that is free
 * (POSIX, File Descriptor Allocation), so the number says how many are in use.
 *
 * @param descriptor the client's own, where it is known
 * @param coming how many clients will have a server connection opened for them, and have none yet
 */
export function leavesEnough(descriptor: number | undefined, limit: number | undefined, coming: number): boolean {
  if (descriptor === undefined || limit === undefined) return true;
  return descriptor + coming + KEPT_DESCRIPTORS < limit;
}

/** @returns the descriptor of a socket; Node has no public name for it */
export function descriptorOf(socket: object): number | undefined {
  const { _handle } = socket as { readonly _handle?: { readonly fd?: unknown } | null };
  return typeof _handle?.fd === "number" && _handle.fd >= 0 ? _handle.fd : undefined;
}
