import { fits, type Network, type Pattern, parseNetwork, parsePattern } from "../access/index.ts";

/**
 * How a client is authenticated. `relay`: by the database server, through the proxy. The others are the proxy's own:
 * `terminate` is SCRAM-SHA-256, bound to the TLS connection where there is one; `certificate` and `password` need TLS;
 * `trust` takes a known user's word; `reject` refuses.
 */
export const AUTH_METHODS = ["relay", "terminate", "certificate", "password", "trust", "reject"] as const;
export type AuthMethod = (typeof AUTH_METHODS)[number];

/** One line of the configuration's list `auth`; what is undefined fits everybody. */
export interface AuthRule {
  readonly user: readonly Pattern[] | undefined;
  readonly database: readonly Pattern[] | undefined;
  readonly network: readonly Network[] | undefined;
  readonly method: AuthMethod;
}

const KEYS = ["user", "database", "network", "method"];

/**
 * The list as YAML gives it.
 * @param wrong makes the error, from what the value should be
 * @throws what `wrong` made
 */
export function parseAuthRules(value: unknown, wrong: (wanted: string) => Error): readonly AuthRule[] {
  if (!Array.isArray(value)) throw wrong("a list of maps with the keys user, database, network and method");
  return value.map((item: unknown, index) => {
    const fail = (wanted: string): Error => wrong(`a list whose item ${index + 1} ${wanted}`);
    if (typeof item !== "object" || item === null || Array.isArray(item)) throw fail(`is a map of ${KEYS.join(", ")}`);
    const unknown = Object.keys(item).find((key) => !KEYS.includes(key));
    if (unknown !== undefined) throw fail(`has no key but ${KEYS.join(", ")}`);
    const { user, database, network, method } = item as Record<string, unknown>;
    if (!AUTH_METHODS.includes(method as AuthMethod)) throw fail(`has a method of ${AUTH_METHODS.join(", ")}`);
    const pattern = (what: string, given: unknown): Pattern[] | undefined =>
      list(given, parsePattern, () => fail(`has a ${what} of names, with at most one * in each`));
    return {
      user: pattern("user", user),
      database: pattern("database", database),
      network: list(network, parseNetwork, () =>
        fail("has a network of addresses, such as 10.0.0.0/8 or ::1, or local"),
      ),
      method: method as AuthMethod,
    };
  });
}

function list<T>(value: unknown, parse: (text: string) => T | undefined, fail: () => Error): T[] | undefined {
  if (value === undefined) return undefined;
  const items: unknown[] = Array.isArray(value) ? value : [value];
  if (items.length === 0) throw fail();
  return items.map((item) => {
    const parsed = typeof item === "string" ? parse(item) : undefined;
    if (parsed === undefined) throw fail();
    return parsed;
  });
}

/** Who asks, and from where. */
export interface Asked {
  readonly user: string;
  readonly database: string;
  /** IP address; `[local]` for a Unix socket; undefined where neither is known. */
  readonly host: string | undefined;
}

/** The method of the first rule that fits; `relay` where none does. */
export function methodFor(rules: readonly AuthRule[], { user, database, host }: Asked): AuthMethod {
  const rule = rules.find(
    (one) =>
      (one.user === undefined || one.user.some((name) => fits(name, user))) &&
      (one.database === undefined || one.database.some((name) => fits(name, database))) &&
      (one.network === undefined || (host !== undefined && one.network.some((network) => network.has(host)))),
  );
  return rule?.method ?? "relay";
}
