import type { Socket } from "node:net";
import { TLSSocket } from "node:tls";
import type { ClientEnd, OpenBackend } from "./backend.ts";
import { endPointOfServer, unbindOffer } from "./tls/index.ts";
import {
  cancelUpstream,
  type Enter,
  fitOf,
  type Host,
  takesSessions,
  type Upstreams,
  unfit,
} from "./upstream/index.ts";

/**
 * Each client gets a server connection of its own, and both authenticate each other through it. What the server is, is
 * known only when the client is logged in; then it is too late to take another one.
 */
export function relayTo(upstreams: Upstreams): OpenBackend {
  const { connectTimeoutMs, hosts, tls } = upstreams;
  return async ({ raw, encryption }) => {
    const enter: Enter<Socket> = async (stream) => {
      stream.write(raw);
      const ready = await takesSessions(stream, connectTimeoutMs);
      return { value: stream, unready: !ready, dispose: () => stream.destroy() };
    };
    const { value: stream, host, attempts } = await upstreams.open(enter);
    // Of several addresses of a name, a cancel request must reach the one where the session is.
    const { address } = host;
    const at = stream.remoteAddress === undefined ? address : { ...address, at: stream.remoteAddress };
    const unbound = await unbind(stream, encryption, connectTimeoutMs);
    return {
      stream,
      tls: stream instanceof TLSSocket,
      unbound,
      attempts,
      ...(hosts.length > 1 ? { host: host.name } : {}),
      cancel: ({ pid, key }) => cancelUpstream(at, pid, key, connectTimeoutMs, tls),
      ...watchRole(upstreams, host),
    };
  };
}

/**
 * A login that is bound to the client's TLS connection is good at the server only if both show the same certificate. Else
 * the offer is taken away, and those who can do without a binding get in.
 * @throws ProxyError `upstream_lost`, `upstream_unreachable`; the stream is destroyed then
 */
async function unbind(stream: Socket, encryption: ClientEnd["encryption"], timeoutMs: number): Promise<boolean> {
  if (!(stream instanceof TLSSocket)) return false;
  const shown = endPointOfServer(stream);
  if (shown !== undefined && encryption?.endPoint?.equals(shown) === true) return false;
  try {
    return await unbindOffer(stream, timeoutMs);
  } catch (error) {
    stream.destroy();
    throw error;
  }
}

/** Learns from each session what its server is, and refuses one on a server that is not what is asked for. */
function watchRole(
  { target }: Upstreams,
  host: Host,
): {
  reported(name: string, value: string): void;
  refusal(): ReturnType<typeof unfit> | undefined;
} {
  const reported = new Map<string, string>();
  return {
    reported: (name, value) => {
      host.reported(name, value);
      reported.set(name, value);
    },
    refusal: () => {
      const fit = fitOf(target, reported);
      // One that is only second best was taken because nothing better was known.
      return fit === "fits" || fit === "second" ? undefined : unfit(host.name, target, fit === "unknown");
    },
  };
}
