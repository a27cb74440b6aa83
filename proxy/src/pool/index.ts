/** Pooling: the proxy answers a client itself, and has its statements run on server connections that clients share. */
import type { ClientEnd, OpenBackend } from "../backend.ts";
import type { ProxyError } from "../errors.ts";
import type { Door, LetIn } from "./door.ts";
import { Front } from "./front.ts";
import type { Pools } from "./pools.ts";

export { POOL_KEYS, poolSettings } from "./config.ts";
export type { Door, DoorStep, LetIn } from "./door.ts";
export { type OpenServer, Pools } from "./pools.ts";
export type { OpenedServer } from "./server.ts";
export type { PoolSettings } from "./settings.ts";
export { backendKeyData, makeKey, parameterStatus, readyForQuery } from "./welcome.ts";

/**
 * @param doorFor who lets a client in
 * @param onError told of errors of the pool's own that a client was told
 * @param tls whether the servers are reached by TLS, where that is the same for all
 * @returns a backend for clients that the proxy authenticates itself
 */
export function pooled<A extends LetIn>(
  pools: Pools<A>,
  doorFor: (client: ClientEnd) => Door<A>,
  onError?: (error: ProxyError) => void,
  tls?: boolean,
): OpenBackend {
  return async (client) => new Front(client, { pools, door: doorFor(client), ...(onError && { onError }), tls });
}
