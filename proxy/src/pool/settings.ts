export const POOL_MODES = ["session", "transaction"] as const;
export type PoolMode = (typeof POOL_MODES)[number];

/** The configuration's keys `pool.*`. Of a number that limits something, 0 is no limit. */
export interface PoolSettings {
  readonly mode: PoolMode;
  /** Server connections for one user and database. */
  readonly size: number;
  /** How many of them are kept though nobody uses them, once there were any. */
  readonly min: number;
  readonly maxPerUser: number;
  readonly maxPerDatabase: number;
  readonly maxTotal: number;
  /** How long a client waits for a server connection. */
  readonly queueTimeoutMs: number;
  /** After this time unused a server connection is closed; 0: never. */
  readonly idleTimeoutMs: number;
  /** At this age, less up to a tenth, a server connection is closed when nobody uses it; 0: never. */
  readonly lifetimeMs: number;
  /** One that was unused for longer is asked whether it lives before it is lent; 0: never. */
  readonly checkAfterMs: number;
  /** Prepared statements that a server connection keeps; the least recently used one goes. */
  readonly preparedStatements: number;
  /** Whether what cannot be told about a statement's effect on its session keeps the server connection with the client. */
  readonly pinUnknown: boolean;
}

/** What a server connection is opened for. Connections for the same are interchangeable, and make up a pool. */
export interface PoolKey {
  /** The role that logs in to the server. */
  readonly user: string;
  readonly database: string;
  /** Startup parameters that the connection is opened with; `user`, `database` and `application_name` are not among them. */
  readonly parameters: ReadonlyMap<string, string>;
}

/** Not a matter of what a session is, or applied when a connection is lent. */
const NOT_IN_KEY: ReadonlySet<string> = new Set(["user", "database", "application_name", "replication"]);

export function poolKey(user: string, database: string, startup: ReadonlyMap<string, string>): PoolKey {
  const kept = [...startup].filter(([name]) => !NOT_IN_KEY.has(name.toLowerCase()) && !name.startsWith("_pq_."));
  kept.sort(([a], [b]) => (a < b ? -1 : 1));
  return { user, database, parameters: new Map(kept) };
}

/** Equal for keys that mean the same connections. */
export function nameOfKey({ user, database, parameters }: PoolKey): string {
  return JSON.stringify([user, database, ...parameters]);
}
