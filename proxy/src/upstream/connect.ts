import { connect, type Socket } from "node:net";
import { ProxyError } from "../errors.ts";
import { cancelRequest } from "../wire/write.ts";

export interface UpstreamAddress {
  readonly host: string;
  readonly port: number;
}

/**
 * Opens a connection to the server.
 * @throws ProxyError `upstream_unreachable`
 */
export function connectUpstream(address: UpstreamAddress, timeoutMs: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ ...address, noDelay: true, keepAlive: true, allowHalfOpen: true });
    const fail = (why: string): void => {
      clearTimeout(timer);
      socket.destroy();
      reject(new ProxyError("upstream_unreachable", `no connection to the database server: ${why}`));
    };
    const onError = (error: Error): void => fail((error as NodeJS.ErrnoException).code ?? error.message);
    const timer = setTimeout(() => fail(`no answer within ${timeoutMs / 1000} s`), timeoutMs);
    socket.once("error", onError);
    socket.once("connect", () => {
      clearTimeout(timer);
      socket.off("error", onError);
      resolve(socket);
    });
  });
}

/** Sends a CancelRequest; the server answers by closing. Like the server, this says nothing about success. */
export async function cancelUpstream(
  address: UpstreamAddress,
  pid: number,
  key: Buffer,
  timeoutMs: number,
): Promise<void> {
  const socket = await connectUpstream(address, timeoutMs);
  await new Promise<void>((resolve) => {
    socket.setTimeout(timeoutMs, () => socket.destroy());
    socket.once("close", () => resolve());
    // Whether the request arrived is not knowable (chapter "Canceling Requests in Progress").
    socket.on("error", () => socket.destroy());
    socket.resume();
    socket.end(cancelRequest(pid, key));
  });
}
