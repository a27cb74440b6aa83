import { open, stat, unlink } from "node:fs/promises";
import { connect, createServer, type Server } from "node:net";
import { join } from "node:path";
import { VerifierError } from "../src/errors.ts";
import { pathError, systemCode } from "./files.ts";
import { printable } from "./printable.ts";

/**
 * One process at a time uses something in a folder. It is held by a Unix socket that listens, which ends with the process
 * however the process ends. On Linux the socket has an abstract name made from the folder's device and inode: it is taken
 * atomically, and leaves no file. Other containers that mount the folder do not see that name, so everywhere there is one
 * in the folder as well, whose file a process that was killed leaves behind; nobody answers on it then. Machines that
 * share a folder are not kept apart.
 */
export type Lock = { release(): Promise<void> };

export type LockOptions = {
  /** Who uses it, such as `witness`. */
  who: string;
  /** Of the socket in the folder, and what tells it from others there. */
  name: string;
};

/** Unix socket paths are cut off at 104 bytes on some systems, with the final zero. */
const longestSocketPath = 103;

/** @throws VerifierError `state_locked`, `usage` */
export async function lockFolder(folder: string, options: LockOptions): Promise<Lock> {
  const held: Server[] = [];
  const release = async (): Promise<void> => {
    for (const server of held.splice(0)) await new Promise<void>((resolve) => server.close(() => resolve()));
  };
  try {
    if (process.platform === "linux") {
      const { dev, ino } = await stat(folder, { bigint: true });
      held.push(await listen(`\0vitrine-${options.name}-${dev}-${ino}`, folder, options));
    }
    held.unshift(await listenInside(folder, options));
  } catch (error) {
    await release();
    throw pathError(error, `the state folder ${printable(folder)} cannot be locked`);
  }
  return { release };
}

async function listenInside(folder: string, options: LockOptions): Promise<Server> {
  const path = join(folder, options.name);
  if (Buffer.byteLength(path) <= longestSocketPath) return takeOver(path, folder, options);
  if (process.platform !== "linux") {
    throw new VerifierError(
      "usage",
      `the path of the state folder ${printable(folder)} is too long for a socket in it`,
    );
  }
  // The same file by a shorter path, which must lead there until the socket is closed.
  const handle = await open(folder, "r");
  try {
    const server = await takeOver(`/proc/self/fd/${handle.fd}/${options.name}`, folder, options);
    server.once("close", () => void handle.close());
    return server;
  } catch (error) {
    await handle.close();
    throw error;
  }
}

async function takeOver(path: string, folder: string, options: LockOptions): Promise<Server> {
  if (await isAnswered(path)) throw locked(folder, options);
  await unlink(path).catch((error: unknown) => {
    if (systemCode(error) !== "ENOENT") throw error;
  });
  return listen(path, folder, options);
}

function listen(path: string, folder: string, options: LockOptions): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy());
    server.once("error", (error) => reject(systemCode(error) === "EADDRINUSE" ? locked(folder, options) : error));
    server.listen(path, () => {
      server.unref();
      resolve(server);
    });
  });
}

function isAnswered(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}

function locked(folder: string, { who }: LockOptions): VerifierError {
  return new VerifierError("state_locked", `another ${who} uses the state folder ${printable(folder)}; stop it first`);
}
