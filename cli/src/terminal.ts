import { closeSync, openSync } from "node:fs";

function isThere(): boolean {
  try {
    closeSync(openSync("/dev/tty", "r"));
    return true;
  } catch {
    // ENXIO: the process has no terminal, or no longer.
    return false;
  }
}

/**
 * SIGHUP says two things: to a process with a terminal, that it was closed, and then the kernel has taken it away; to
 * any, by custom, that its configuration has changed.
 *
 * @returns what tells the one from the other
 */
export function watchTerminal(): { wasClosed(): boolean } {
  const had = isThere();
  return { wasClosed: () => had && !isThere() };
}
