import type { ServerState } from "./server.ts";
import type { PoolMode } from "./settings.ts";

/** One pool, as SHOW POOLS tells of it: those of one user and database are told together. */
export interface PoolStats {
  readonly user: string;
  readonly database: string;
  readonly mode: PoolMode;
  readonly paused: boolean;
  /** `waiting`: for a server connection. `active`: the rest. */
  readonly clients: { readonly active: number; readonly waiting: number };
  /** `testing`: asked whether they live, or being reset; `opening`: logging in. */
  readonly servers: Readonly<Record<ServerState, number>> & { readonly opening: number };
  /** How long the client has waited that waits longest, in milliseconds. */
  readonly longestWaitMs: number;
}

export interface ServerStats {
  readonly user: string;
  readonly database: string;
  readonly state: ServerState;
  /** `host:port`. */
  readonly address: string;
  readonly connectedAt: Date;
  /** The process id that the server gave it. */
  readonly pid: number | undefined;
  readonly preparedStatements: number;
  /** The client's process id as it was told; undefined when no client has it. */
  readonly client: number | undefined;
}

export interface ClientStats {
  readonly user: string;
  readonly database: string;
  /** `idle`: in transaction pooling, without a server connection; `login`: not let in yet. */
  readonly state: "login" | "active" | "idle" | "waiting";
  readonly address: string;
  readonly connectedAt: Date;
  /** The process id that the client was told. */
  readonly pid: number;
  readonly waitedMs: number;
  /** Why it keeps its server connection. */
  readonly pins: readonly string[];
  readonly preparedStatements: number;
  /** The process id of its server connection. */
  readonly server: number | undefined;
}

/** Sums since the proxy started. */
export interface PoolTotals {
  /** Server connections lent. */
  leases: number;
  waitedMs: number;
  opened: number;
  closed: number;
  /** Dead connections found when they were to be lent. */
  replaced: number;
  timeouts: number;
  cancels: number;
  /** Sessions that kept their server connection, by reason. */
  readonly pins: Map<string, number>;
}

export function noTotals(): PoolTotals {
  return {
    leases: 0,
    waitedMs: 0,
    opened: 0,
    closed: 0,
    replaced: 0,
    timeouts: 0,
    cancels: 0,
    pins: new Map(),
  };
}
