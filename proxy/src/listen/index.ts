import { isFolder, socketPath } from "../address/unix-socket.ts";
import { ProxyError } from "../errors.ts";
import { type ListenAddress, shownAddress } from "./address.ts";
import { descriptorLimit, KEPT_DESCRIPTORS } from "./descriptors.ts";
import type { Cause } from "./refusals.ts";

/**
 * Listens on every address of the configuration.
 * @returns the first one
 * @throws ProxyError `port_in_use`; those that it listens on by then stay
 */
export async function listenAll(
  on: { listen(host: string, port: number, mode: number): Promise<ListenAddress> },
  { listen, unixSocketMode }: { readonly listen: readonly ListenAddress[]; readonly unixSocketMode: number },
): Promise<ListenAddress> {
  let first: ListenAddress | undefined;
  for (const address of listen) {
    try {
      const at = await on.listen(address.host, address.port, unixSocketMode);
      first ??= at;
    } catch (error) {
      throw listenError(error as NodeJS.ErrnoException, address);
    }
  }
  if (first === undefined) throw new Error("the configuration has no address");
  return first;
}

const OF_THE_ADDRESS = new Set(["EADDRINUSE", "EACCES", "EADDRNOTAVAIL", "ENOENT", "ENOTDIR", "ENOTFOUND", "EROFS"]);

/** @returns for an address that cannot be listened on, `port_in_use`; anything else as it is */
export function listenError(error: NodeJS.ErrnoException, address: ListenAddress): unknown {
  if (error.code === undefined || !OF_THE_ADDRESS.has(error.code)) return error;
  const where = isFolder(address.host) ? `the socket ${socketPath(address)}` : `the address ${shownAddress(address)}`;
  const why = error.code === "EADDRINUSE" ? "is taken by another process" : `cannot be listened on (${error.code})`;
  return new ProxyError("port_in_use", `${where} ${why}; choose another`);
}

/** @returns what an operator should know when not all clients can be served that the configuration lets in */
export function tooFewDescriptors(clients: number): string | undefined {
  const limit = descriptorLimit();
  // Each client may have a server connection of its own.
  const wanted = 2 * clients + 2 * KEPT_DESCRIPTORS;
  if (limit === undefined || limit >= wanted) return undefined;
  const served = Math.max(0, Math.floor((limit - 2 * KEPT_DESCRIPTORS) / 2));
  return (
    `the system lets this process open ${limit} files, which is enough for about ${served} sessions: ` +
    `for limits.clients (${clients}) it takes ${wanted} (ulimit -n, LimitNOFILE)`
  );
}

/** @returns the sentence about clients that were closed unheard */
export function notAccepted(cause: Cause, count: number): string {
  const clients = count === 1 ? "1 client was" : `${count} clients were`;
  switch (cause) {
    case "files":
      return `${clients} closed unheard: nearly all files are open that this process may open (ulimit -n, LimitNOFILE)`;
    case "logins":
      return `${clients} closed unheard: limits.logins clients have connected and not logged in`;
    case "sockets":
      return `${clients} closed unheard: more sockets are open than limits.clients and limits.logins allow`;
    default:
      return `${clients} not accepted by the system (${cause.slice("system:".length)})`;
  }
}
