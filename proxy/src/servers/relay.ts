import type { Socket } from "node:net";
import { TLSSocket } from "node:tls";
import type { ClientEnd, OpenBackend } from "../backend.ts";
import { endPointOfServer, withoutPlus } from "../tls/index.ts";
import {
  cancelUpstream,
  type Enter,
  fitOf,
  HOT_STANDBY,
  type Host,
  READ_ONLY,
  ROLE_QUESTION,
  RoleSift,
  takesSessions,
  type Upstreams,
  unfit,
} from "../upstream/index.ts";
import { spokenStartup, withNegotiated } from "../wire/negotiate.ts";
import { refusedName } from "../wire/startup.ts";
import { changeFirst } from "./first-messages.ts";

/**
 * Each client gets a server connection of its own, and both authenticate each other through it. What the server is, is
 * known only when the client is logged in; then it is too late to take another one.
 */
export function relayTo(upstreams: Upstreams): OpenBackend {
  const { connectTimeoutMs, hosts, tls } = upstreams;
  return async ({ raw, startup, encryption }) => {
    const refusal = refusedName("user", startup.user);
    if (refusal !== undefined) throw refusal;
    const spoken = spokenStartup(startup);
    const enter: Enter<Socket> = async (stream) => {
      stream.write(spoken ?? raw);
      const ready = await takesSessions(stream, connectTimeoutMs);
      return { value: stream, unready: !ready, dispose: () => stream.destroy(), isLost: () => stream.destroyed };
    };
    const { value: stream, host, attempts } = await upstreams.open(enter);
    // Of several addresses of a name, a cancel request must reach the one where the session is.
    const { address } = host;
    const at = stream.remoteAddress === undefined ? address : { ...address, at: stream.remoteAddress };
    if (spoken !== undefined) {
      await first(stream, (bytes) => withNegotiated(bytes, startup), connectTimeoutMs);
    }
    const unbound = await unbind(stream, encryption, connectTimeoutMs);
    return {
      stream,
      tls: stream instanceof TLSSocket,
      unbound,
      attempts,
      ...(hosts.length > 1 ? { host: host.name } : {}),
      cancel: ({ pid, key }) => cancelUpstream(at, pid, key, connectTimeoutMs, tls),
      ...watchRole(upstreams, host, stream),
    };
  };
}

/**
 * A login that is bound to the client's TLS connection is good at the server only if both show the same certificate. Else
 * the offer is taken away, and those who can do without a binding get in.
 * @throws as changeFirst, with the stream destroyed
 */
async function unbind(stream: Socket, encryption: ClientEnd["encryption"], timeoutMs: number): Promise<boolean> {
  if (!(stream instanceof TLSSocket)) return false;
  const shown = endPointOfServer(stream);
  if (shown !== undefined && encryption?.endPoint?.equals(shown) === true) return false;
  let removed = false;
  await first(
    stream,
    (bytes) => {
      const changed = withoutPlus(bytes);
      removed = changed?.removed === true;
      return changed?.bytes;
    },
    timeoutMs,
  );
  return removed;
}

/** @throws as changeFirst, with the stream destroyed */
async function first(stream: Socket, change: (bytes: Buffer) => Buffer | undefined, timeoutMs: number): Promise<void> {
  try {
    await changeFirst(stream, change, timeoutMs);
  } catch (error) {
    stream.destroy();
    throw error;
  }
}

/**
 * Learns from each session what its server is, and refuses one on a server that is not what is asked for. One that does
 * not report it is asked, before the client is told that the server is ready.
 */
function watchRole(
  { target }: Upstreams,
  host: Host,
  stream: Socket,
): {
  reported(name: string, value: string): void;
  refusal(): ReturnType<typeof unfit> | undefined;
  readonly sift?: RoleSift;
} {
  const known = new Map<string, string>();
  const reported = (name: string, value: string): void => {
    host.reported(name, value);
    // Of others there may be any number.
    if (name === HOT_STANDBY || name === READ_ONLY) known.set(name, value);
  };
  const ask = (): void => {
    stream.write(ROLE_QUESTION);
  };
  const sift = new RoleSift(ask, (role) => {
    for (const [name, value] of role) reported(name, value);
  });
  return {
    reported,
    ...(target === "any" ? {} : { sift }),
    refusal: () => {
      const fit = fitOf(target, known);
      // One that is only second best was taken because nothing better was known.
      if (fit === "fits" || fit === "second") return undefined;
      host.unfit();
      return unfit(host.name, target, fit === "unknown");
    },
  };
}
