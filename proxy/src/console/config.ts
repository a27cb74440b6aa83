/** The database that stands for the console. */
export const CONSOLE_DATABASE = "vitrine";

/** Who may use the console. Without anybody there is none. */
export interface ConsoleSettings {
  /** Logins that may do everything. */
  readonly users: readonly string[];
  /** Logins that may look. */
  readonly statsUsers: readonly string[];
  /** The console also answers to the name that PgBouncer's has. */
  readonly pgbouncer: boolean;
}

interface ConsoleConfigKey {
  readonly path: `console.${string}`;
  readonly kind: "names" | "boolean";
  readonly default: boolean | undefined;
}

/** Keys of the configuration file, as its list has them. */
export const CONSOLE_KEYS: readonly ConsoleConfigKey[] = [
  { path: "console.users", kind: "names", default: undefined },
  { path: "console.stats_users", kind: "names", default: undefined },
  { path: "console.pgbouncer", kind: "boolean", default: false },
];

/**
 * @param get the converted value of a key
 * @param wrong makes the error for what does not fit together
 */
export function consoleSettings(get: <T>(path: string) => T, wrong: (what: string) => Error): ConsoleSettings {
  const settings: ConsoleSettings = {
    users: get<readonly string[] | undefined>("console.users") ?? [],
    statsUsers: get<readonly string[] | undefined>("console.stats_users") ?? [],
    pgbouncer: get<boolean>("console.pgbouncer"),
  };
  if (settings.users.length + settings.statsUsers.length > 0 && get("users") === undefined) {
    throw wrong('the console\'s logins are authenticated by the file of "users", and there is none');
  }
  return settings;
}
