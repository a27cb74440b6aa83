import { UPSTREAM_METHODS, type UpstreamMethod } from "./login.ts";
import type { AuthRule } from "./rules.ts";

/** Who may log in at the proxy, and how the proxy logs in at a server. */
export interface AuthSettings {
  /** Empty: every client is relayed. */
  readonly rules: readonly AuthRule[];
  /** The file of users; there is one where the proxy authenticates anybody. */
  readonly users: string | undefined;
  /** How a server may have the proxy prove itself. */
  readonly upstream: readonly UpstreamMethod[];
  /** The file of passwords for servers. */
  readonly passwords: string | undefined;
  /** Failed logins of one address. */
  readonly failuresPerMinute: number;
}

interface AuthConfigKey {
  readonly path: string;
  readonly kind: "auth" | "upstream_auth" | "string" | "integer";
  readonly default: number | readonly string[] | undefined;
  readonly minimum?: number;
}

/** Keys of the configuration file, as its list has them. */
export const AUTH_KEYS: readonly AuthConfigKey[] = [
  { path: "auth", kind: "auth", default: undefined },
  { path: "users", kind: "string", default: undefined },
  { path: "upstream_auth", kind: "upstream_auth", default: ["scram-sha-256-plus", "scram-sha-256"] },
  { path: "upstream_passwords", kind: "string", default: undefined },
  { path: "limits.failed_logins_per_minute", kind: "integer", default: 60, minimum: 1 },
];

/**
 * The list of methods as YAML gives it.
 * @param wrong makes the error, from what the value should be
 * @throws what `wrong` made
 */
export function parseUpstreamAuth(value: unknown, wrong: (wanted: string) => Error): readonly UpstreamMethod[] {
  if (!Array.isArray(value) || value.length === 0 || !value.every((name) => UPSTREAM_METHODS.includes(name))) {
    throw wrong(`a list of ${UPSTREAM_METHODS.join(", ")}`);
  }
  return value;
}

/**
 * @param get the converted value of a key
 * @param file the same of a key that names a file, its path
 * @param wrong makes the error for what does not fit together
 */
export function authSettings(
  get: <T>(path: string) => T,
  file: (path: string) => string | undefined,
  wrong: (what: string) => Error,
): AuthSettings {
  const rules = get<readonly AuthRule[] | undefined>("auth") ?? [];
  const users = file("users");
  const asks = rules.find(({ method }) => method !== "relay" && method !== "reject");
  if (asks !== undefined && users === undefined) {
    throw wrong(`"auth" has the method ${asks.method}, which needs the file of "users"`);
  }
  return {
    rules,
    users,
    upstream: get<readonly UpstreamMethod[]>("upstream_auth"),
    passwords: file("upstream_passwords"),
    failuresPerMinute: get<number>("limits.failed_logins_per_minute"),
  };
}
