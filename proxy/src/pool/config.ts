import { POOL_MODES, type PoolMode, type PoolSettings } from "./settings.ts";

export interface PoolConfigKey {
  readonly path: `pool.${string}`;
  readonly kind: "integer" | "choice" | "boolean";
  readonly default: string | number | boolean;
  readonly minimum?: number;
  readonly choices?: readonly string[];
}

/** Keys of the configuration file, as its list has them. */
export const POOL_KEYS: readonly PoolConfigKey[] = [
  { path: "pool.mode", kind: "choice", default: "session", choices: POOL_MODES },
  { path: "pool.size", kind: "integer", default: 20, minimum: 1 },
  { path: "pool.min", kind: "integer", default: 0, minimum: 0 },
  { path: "pool.max_per_user", kind: "integer", default: 0, minimum: 0 },
  { path: "pool.max_per_database", kind: "integer", default: 0, minimum: 0 },
  { path: "pool.max_total", kind: "integer", default: 0, minimum: 0 },
  { path: "pool.queue_timeout_ms", kind: "integer", default: 30_000, minimum: 0 },
  { path: "pool.idle_timeout_ms", kind: "integer", default: 600_000, minimum: 0 },
  { path: "pool.lifetime_ms", kind: "integer", default: 3_600_000, minimum: 0 },
  { path: "pool.check_after_ms", kind: "integer", default: 30_000, minimum: 0 },
  { path: "pool.prepared_statements", kind: "integer", default: 200, minimum: 1 },
  { path: "pool.pin_unknown", kind: "boolean", default: true },
];

/** @param get the converted value of a key */
export function poolSettings(get: <T>(path: `pool.${string}`) => T): PoolSettings {
  return {
    mode: get<PoolMode>("pool.mode"),
    size: get<number>("pool.size"),
    min: get<number>("pool.min"),
    maxPerUser: get<number>("pool.max_per_user"),
    maxPerDatabase: get<number>("pool.max_per_database"),
    maxTotal: get<number>("pool.max_total"),
    queueTimeoutMs: get<number>("pool.queue_timeout_ms"),
    idleTimeoutMs: get<number>("pool.idle_timeout_ms"),
    lifetimeMs: get<number>("pool.lifetime_ms"),
    checkAfterMs: get<number>("pool.check_after_ms"),
    preparedStatements: get<number>("pool.prepared_statements"),
    pinUnknown: get<boolean>("pool.pin_unknown"),
  };
}
