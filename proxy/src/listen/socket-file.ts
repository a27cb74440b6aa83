import { linkSync, readFileSync, renameSync, rmSync, unlinkSync, utimesSync, writeFileSync } from "node:fs";
import { lstat } from "node:fs/promises";
import { connect } from "node:net";
import { isFolder, socketPath } from "../address/unix-socket.ts";
import { ProxyError } from "../errors.ts";
import type { ListenAddress } from "./address.ts";

/** As often as PostgreSQL does: programs that clean up /tmp take what has not changed for some days. */
const TOUCH_MS = 58 * 60_000;
const ATTEMPTS = 10;

/** The right to make a socket in a folder, until it is released. */
export interface SocketClaim {
  release(): void;
}

/**
 * Claims the Unix sockets among these addresses. Beside each socket stands a lock file as PostgreSQL writes it (its
 * first line is a process id), so that the two never take a socket from each other. What a process that was killed has
 * left behind is removed.
 *
 * @throws ProxyError `port_in_use`; nothing is claimed then
 */
export async function claimSockets(addresses: readonly ListenAddress[]): Promise<SocketClaim> {
  const claims: SocketClaim[] = [];
  const release = (): void => {
    for (const claim of claims) claim.release();
  };
  try {
    for (const address of addresses) if (isFolder(address.host)) claims.push(await claimSocket(address));
  } catch (error) {
    release();
    throw error;
  }
  return { release };
}

async function claimSocket(address: ListenAddress): Promise<SocketClaim> {
  const path = socketPath(address);
  const lock = `${path}.lock`;
  try {
    takeLock(lock, path, address);
  } catch (error) {
    throw told(error, path);
  }
  const release = (): void => rmSync(lock, { force: true });
  try {
    // PgBouncer, for one, has no lock file.
    if (await answers(path)) throw taken(`the socket ${path} is another process's, which answers on it; stop that one`);
    await removeStale(path);
  } catch (error) {
    release();
    throw told(error, path);
  }
  // CRASH: both files stay behind; the next start finds that the lock's process is gone.
  const touch = setInterval(() => touchFiles([path, lock]), TOUCH_MS).unref();
  return {
    release: () => {
      clearInterval(touch);
      release();
    },
  };
}

function takeLock(lock: string, path: string, { host, port }: ListenAddress): void {
  const mine = `${lock}.${process.pid}`;
  const began = Math.floor(Date.now() / 1000 - process.uptime());
  // PostgreSQL's lines: process, data directory, start, port, socket directory.
  // Others may write in the folder, /tmp say: what lies there under this name is not written to, nor what it leads to.
  rmSync(mine, { force: true });
  const text = `${process.pid}\n${process.cwd()}\n${began}\n${port}\n${host}\n`;
  writeFileSync(mine, text, { flag: "wx", mode: 0o600 });
  try {
    for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
      // link(2) fails when the name is taken: of two that try, one gets it, and nobody reads half of it.
      if (linked(mine, lock)) return;
      const holder = textOf(lock);
      if (holder === undefined) continue;
      const pid = Number(/^-?([1-9][0-9]{0,9})\n/.exec(holder)?.[1]);
      if (Number.isNaN(pid)) throw taken(`the lock file ${lock} names no process; remove it if no server uses ${path}`);
      if (lives(pid)) {
        const other = `if process ${pid} is something else, remove that file`;
        throw taken(`the socket ${path} is process ${pid}'s, says ${lock}; stop that one; ${other}`);
      }
      removeStaleLock(lock, `${mine}.stale`, holder);
    }
    throw taken(`the lock file ${lock} comes and goes: another process starts at the same time`);
  } finally {
    rmSync(mine, { force: true });
  }
}

/**
 * Between reading a stale lock and removing it another start may have replaced it; so it is moved aside, looked at again,
 * and put back if it turns out to be somebody's.
 */
function removeStaleLock(lock: string, aside: string, stale: string): void {
  try {
    renameSync(lock, aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return;
    throw error;
  }
  if (textOf(aside) !== stale) linked(aside, lock);
  rmSync(aside, { force: true });
}

/** This process's own id, or its parent's, in an old lock is another one's of before: in a container they are the same at each start. */
function lives(pid: number): boolean {
  if (pid === process.pid || pid === process.ppid) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

async function removeStale(path: string): Promise<void> {
  const found = await lstat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw error;
  });
  if (found === undefined) return;
  if (!found.isSocket()) throw taken(`${path} is there and is no socket; move it away`);
  unlinkSync(path);
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    // A full backlog is one that somebody listens on.
    socket.once("error", (error: NodeJS.ErrnoException) => resolve(error.code === "EAGAIN"));
  });
}

function linked(from: string, to: string): boolean {
  try {
    linkSync(from, to);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}

function textOf(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

function touchFiles(files: readonly string[]): void {
  const now = new Date();
  for (const file of files) {
    try {
      utimesSync(file, now, now);
    } catch {
      // Somebody removed it: who is connected stays so, and a restart makes it anew.
    }
  }
}

function told(error: unknown, path: string): unknown {
  if (error instanceof ProxyError) return error;
  const { code } = error as NodeJS.ErrnoException;
  if (code === undefined) return error;
  return taken(`the socket ${path} cannot be made (${code}); see that its folder is there and can be written`);
}

function taken(what: string): ProxyError {
  return new ProxyError("port_in_use", what);
}
