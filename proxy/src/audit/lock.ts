/**
 * One process at a time may use a spool. What tells is a listening Unix socket, because the kernel ends it with the
 * process, also after kill -9 and whatever the next process's id is; a file with a process id in it proves neither.
 *
 * On Linux there are two. The first has an abstract name made from the folder's device and inode: taking it is atomic
 * and it leaves nothing behind, but it is seen only within one network namespace. The second stands in the folder, as
 * `lock`, and is seen from other containers that mount it; its file stays behind after a crash, and is taken over when
 * nobody answers on it. Elsewhere there is only the second. A folder shared between machines is not protected: the
 * spool belongs on a local disk. Whoever else has an account on the machine can take the abstract name and so keep a
 * proxy from starting, but not make two of them start.
 */
import { open, stat, unlink } from "node:fs/promises";
import { connect, createServer, type Server } from "node:net";
import { join } from "node:path";
import { ProxyError } from "../errors.ts";

const LOCK_NAME = "lock";
/** sun_path has 104 bytes on macOS and 108 on Linux, one for the final NUL. */
const MAX_SOCKET_PATH = 103;

export interface Lock {
  release(): Promise<void>;
}

/** @throws ProxyError `spool_locked` */
export async function lockFolder(dir: string): Promise<Lock> {
  const servers: Server[] = [];
  const release = async (): Promise<void> => {
    // In reverse, so that the socket in the folder, which closing unlinks, goes while the name is still held.
    for (const server of servers.reverse()) await new Promise<void>((resolve) => server.close(() => resolve()));
  };
  try {
    if (process.platform === "linux") {
      const { dev, ino } = await stat(dir, { bigint: true });
      servers.push(await claim(`\0vitrine-spool-${dev}-${ino}`, dir));
    }
    servers.push(await claimInFolder(dir));
  } catch (error) {
    await release();
    throw error;
  }
  return { release };
}

async function claimInFolder(dir: string): Promise<Server> {
  const path = join(dir, LOCK_NAME);
  if (Buffer.byteLength(path) <= MAX_SOCKET_PATH) return claimPath(path, dir);
  if (process.platform !== "linux")
    throw new ProxyError(
      "bad_config",
      `the path of the spool folder ${dir} is too long for a socket in it; choose a shorter one`,
    );
  // The same file by a short path. libuv unlinks by path when it closes, so the folder stays open until then.
  const folder = await open(dir, "r");
  try {
    const server = await claimPath(`/proc/self/fd/${folder.fd}/${LOCK_NAME}`, dir);
    server.once("close", () => void folder.close());
    return server;
  } catch (error) {
    await folder.close();
    throw error;
  }
}

async function claimPath(path: string, dir: string): Promise<Server> {
  if (await answers(path)) throw locked(dir);
  await unlink(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "ENOENT") throw error;
  });
  return claim(path, dir);
}

function claim(path: string, dir: string): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy());
    server.once("error", (error: NodeJS.ErrnoException) => reject(error.code === "EADDRINUSE" ? locked(dir) : error));
    // Not one that worker processes share: the lock must end with the process that has it.
    server.listen({ path, exclusive: true }, () => {
      server.unref();
      resolve(server);
    });
  });
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}

function locked(dir: string): ProxyError {
  return new ProxyError("spool_locked", `another process uses the spool ${dir}; stop it first`);
}
