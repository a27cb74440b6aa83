import type { Socket } from "node:net";
import { isFolder } from "../address/unix-socket.ts";
import type { ServerTls } from "../tls/index.ts";
import { cancelRequest } from "../wire/write.ts";
import type { UpstreamAddress } from "./address.ts";
import { dial } from "./dial.ts";

/**
 * Opens a connection to the server, by TCP encrypted as `tls` wants it.
 * @throws ProxyError `upstream_unreachable`
 */
export function connectUpstream(address: UpstreamAddress, timeoutMs: number, tls?: ServerTls): Promise<Socket> {
  const plain = (): Promise<Socket> => dial(address, timeoutMs);
  // As in libpq, whatever sslmode says: what a Unix socket carries does not leave the machine, and servers decline.
  if (isFolder(address.host)) return plain();
  return tls === undefined ? plain() : tls.open(plain, address.host, timeoutMs);
}

/** Sends a CancelRequest; the server answers by closing. Like the server, this says nothing about success. */
export async function cancelUpstream(
  address: UpstreamAddress,
  pid: number,
  key: Buffer,
  timeoutMs: number,
  tls?: ServerTls,
): Promise<void> {
  const socket = await connectUpstream(address, timeoutMs, tls);
  await new Promise<void>((resolve) => {
    socket.setTimeout(timeoutMs, () => socket.destroy());
    socket.once("close", () => resolve());
    // Whether the request arrived is not knowable (chapter "Canceling Requests in Progress").
    socket.on("error", () => socket.destroy());
    socket.resume();
    socket.end(cancelRequest(pid, key));
  });
}
