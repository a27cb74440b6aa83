/** Pooling: the proxy answers a client itself, and has its statements run on server connections that clients share. */
import type { ClientEnd, OpenBackend } from "../backend.ts";
import type { ProxyError } from "../errors.ts";
import type { Door } from "./door.ts";
import { Front } from "./front.ts";
import type { Pools } from "./pools.ts";

export type { Door, DoorStep } from "./door.ts";
export { type OpenServer, Pools } from "./pools.ts";
export type { OpenedServer } from "./server.ts";
export { POOL_MODES, type PoolKey, type PoolMode, type PoolSettings } from "./settings.ts";
export type { ClientStats, PoolStats, PoolTotals, ServerStats } from "./stats.ts";

/**
 * @param doorFor who lets a client in
 * @param onError told of errors of the pool's own that a client was told
 * @returns a backend for clients that the proxy authenticates itself
 */
export function pooled(
  pools: Pools,
  doorFor: (client: ClientEnd) => Door,
  onError?: (error: ProxyError) => void,
): OpenBackend {
  return async (client) => new Front(client, { pools, door: doorFor(client), ...(onError && { onError }) });
}
