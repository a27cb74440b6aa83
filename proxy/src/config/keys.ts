import { AUTH_KEYS, parseAuthRules, parseUpstreamAuth } from "../auth/index.ts";
import { CONSOLE_KEYS } from "../console/index.ts";
import { ProxyError } from "../errors.ts";
import { parseIdentityRules } from "../identity/index.ts";
import { FORMATS, LEVELS } from "../lines/index.ts";
import { parseListen } from "../listen/address.ts";
import { POOL_KEYS } from "../pool/index.ts";
import { DURABILITIES, type Durability } from "../session/policy.ts";
import { SEALABLE } from "../session/values.ts";
import { serverTlsSettings, TLS_KEYS } from "../tls/index.ts";
import { parseUpstreamUrl, type Upstream } from "../upstream/index.ts";

type Kind =
  | "string"
  | "integer"
  | "listen"
  | "mode"
  | "address"
  | "url"
  | "upstream"
  | "durability"
  | "sealed"
  | "choice"
  | "boolean"
  | "names"
  | "identity"
  | "auth"
  | "upstream_auth";

export interface ConfigKey {
  readonly path: string;
  readonly kind: Kind;
  readonly default: string | number | boolean | readonly string[] | undefined;
  readonly required?: true;
  readonly minimum?: number;
  readonly choices?: readonly string[];
}

/** What Node's timers can count. */
const MAX_TIMER_MS = 2_147_483_647;

/** Every key of the configuration file: the manual's table is held against this list by a test. */
export const CONFIG_KEYS: readonly ConfigKey[] = [
  { path: "listen", kind: "listen", default: "127.0.0.1:6432" },
  { path: "unix_socket_mode", kind: "mode", default: "0777" },
  { path: "status", kind: "address", default: undefined },
  { path: "upstream", kind: "upstream", default: undefined, required: true },
  { path: "log.url", kind: "url", default: undefined, required: true },
  { path: "log.vkey", kind: "string", default: undefined, required: true },
  { path: "log.level", kind: "choice", choices: LEVELS, default: "info" },
  { path: "log.format", kind: "choice", choices: FORMATS, default: "text" },
  { path: "source.key", kind: "string", default: undefined, required: true },
  { path: "spool.dir", kind: "string", default: undefined, required: true },
  { path: "record", kind: "string", default: undefined },
  { path: "rules", kind: "string", default: undefined },
  { path: "spool.max_bytes", kind: "integer", default: 268_435_456, minimum: 16_777_216 },
  { path: "spool.max_age_s", kind: "integer", default: 900, minimum: 1 },
  { path: "durability.reads", kind: "durability", default: "before-result" },
  { path: "durability.others", kind: "durability", default: "before-execute" },
  { path: "durability.window_ms", kind: "integer", default: 200, minimum: 1 },
  { path: "sealed", kind: "sealed", default: [...SEALABLE] },
  { path: "identity", kind: "identity", default: undefined },
  { path: "limits.clients", kind: "integer", default: 1000, minimum: 1 },
  { path: "limits.statement_bytes", kind: "integer", default: 67_108_864, minimum: 1024 },
  { path: "limits.disclosure_bytes", kind: "integer", default: 8_388_608, minimum: 1024 },
  { path: "limits.login_timeout_ms", kind: "integer", default: 60_000, minimum: 1 },
  { path: "limits.connect_timeout_ms", kind: "integer", default: 10_000, minimum: 1 },
  { path: "limits.drain_timeout_ms", kind: "integer", default: 10_000, minimum: 0 },
  { path: "limits.logins", kind: "integer", default: 1000, minimum: 1 },
  { path: "limits.idle_timeout_ms", kind: "integer", default: 0, minimum: 0 },
  { path: "limits.idle_in_transaction_ms", kind: "integer", default: 0, minimum: 0 },
  { path: "limits.statement_timeout_ms", kind: "integer", default: 0, minimum: 0 },
  { path: "workers", kind: "integer", default: 1, minimum: 1 },
  { path: "retry.attempts", kind: "integer", default: 3, minimum: 1 },
  { path: "retry.backoff_ms", kind: "integer", default: 50, minimum: 1 },
  { path: "retry.max_backoff_ms", kind: "integer", default: 1000, minimum: 1 },
  { path: "retry.deadline_ms", kind: "integer", default: 10_000, minimum: 1 },
  { path: "retry.budget_percent", kind: "integer", default: 20, minimum: 0 },
  { path: "retry.reserve", kind: "integer", default: 10, minimum: 0 },
  { path: "retry.read_bytes", kind: "integer", default: 65_536, minimum: 0 },
  { path: "breaker.failures", kind: "integer", default: 5, minimum: 1 },
  { path: "breaker.open_ms", kind: "integer", default: 1000, minimum: 1 },
  { path: "breaker.avoid_ms", kind: "integer", default: 10_000, minimum: 0 },
  ...AUTH_KEYS,
  ...POOL_KEYS,
  ...CONSOLE_KEYS,
  ...TLS_KEYS,
];

/** @returns what a key means that the file does not have */
export function convertDefault(key: ConfigKey): unknown {
  return key.default === undefined ? undefined : convert(key, key.default, "default");
}

/**
 * @param value as YAML gives it
 * @param where file, line and column, for a person
 * @returns what the key means; its type is that of its place in ProxyConfig
 * @throws ProxyError `bad_config`
 */
export function convert(key: ConfigKey, value: unknown, where: string): unknown {
  const wrong = (wanted: string): ProxyError => bad(where, `"${key.path}" must be ${wanted}`);
  switch (key.kind) {
    case "string":
      if (typeof value !== "string" || value === "") throw wrong("a text");
      return value;
    case "integer":
      if (typeof value !== "number" || !Number.isSafeInteger(value) || value < (key.minimum ?? 0)) {
        throw wrong(`a whole number of at least ${key.minimum ?? 0}`);
      }
      if (key.path.endsWith("_ms") && value > MAX_TIMER_MS) throw wrong(`at most ${MAX_TIMER_MS}, which is 24 days`);
      return value;
    case "listen":
      return parseListen(value, wrong);
    case "mode":
      // Without quotes YAML takes it for a decimal number.
      if (typeof value !== "string" || !/^0?[0-7]{3}$/.test(value))
        throw wrong('an octal mode in quotes, such as "0770"');
      return value.padStart(4, "0");
    case "address": {
      const match = typeof value === "string" ? /^(\[[0-9a-f:.]+\]|[^\s:[\]]+):([0-9]{1,5})$/i.exec(value) : null;
      if (match === null || Number(match[2]) > 65_535) throw wrong("HOST:PORT, such as 127.0.0.1:6432");
      return { host: match[1]!.replace(/^\[|\]$/g, ""), port: Number(match[2]) };
    }
    case "url":
      if (typeof value !== "string" || !/^https?:\/\/[^\s/]+/.test(value)) throw wrong("an http:// or https:// URL");
      return value.replace(/\/+$/, "");
    case "upstream":
      return upstream(value, wrong);
    case "durability":
      if (!DURABILITIES.includes(value as Durability)) throw wrong(`one of ${DURABILITIES.join(", ")}`);
      return value;
    case "choice":
      if (!key.choices!.includes(value as string)) throw wrong(`one of ${key.choices!.join(", ")}`);
      return value;
    case "boolean":
      if (typeof value !== "boolean") throw wrong("true or false");
      return value;
    case "names":
      if (!Array.isArray(value) || !value.every((name) => typeof name === "string" && name !== "")) {
        throw wrong("a list of names");
      }
      return value;
    case "sealed":
      if (!Array.isArray(value) || !value.every((name) => SEALABLE.includes(name))) {
        throw wrong(`a list of ${SEALABLE.join(", ")}`);
      }
      return value;
    case "auth":
      return parseAuthRules(value, wrong);
    case "upstream_auth":
      return parseUpstreamAuth(value, wrong);
    case "identity":
      return parseIdentityRules(value, wrong);
  }
}

function upstream(value: unknown, wrong: (wanted: string) => ProxyError): Upstream {
  const url = parseUpstreamUrl(value, wrong);
  // Said here, where the line is known; done in build, where the folder is.
  serverTlsSettings(url.parameters, "", wrong);
  return url;
}

/** @param where what file, line and column it is about */
export function bad(where: string, what: string): ProxyError {
  return new ProxyError("bad_config", `${where}: ${what}`);
}
