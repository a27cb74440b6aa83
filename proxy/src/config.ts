import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { isMap, isScalar, LineCounter, parseDocument, type YAMLMap } from "yaml";
import { AUTH_KEYS, type AuthSettings, authSettings, parseAuthRules, parseUpstreamAuth } from "./auth/index.ts";
import { CONSOLE_KEYS, type ConsoleSettings, consoleSettings } from "./console/index.ts";
import { ProxyError } from "./errors.ts";
import { type IdentityRule, parseIdentityRules } from "./identity/index.ts";
import { FORMATS, type Format, LEVELS, type Level } from "./lines/index.ts";
import { POOL_KEYS, type PoolSettings, poolSettings } from "./pool/index.ts";
import { DURABILITIES, type Durability } from "./session/policy.ts";
import { SEALABLE, type SealableName } from "./session/values.ts";
import {
  type ClientTlsSettings,
  clientTlsSettings,
  type ServerTlsSettings,
  serverTlsSettings,
  TLS_KEYS,
} from "./tls/index.ts";
import { type BreakerSettings, parseUpstreamUrl, type RetrySettings, type Upstream } from "./upstream/index.ts";

export interface ProxyConfig {
  /** Where it was read from. */
  readonly file: string;
  /** Each key's value, by path. */
  readonly values: ReadonlyMap<string, unknown>;
  readonly listen: { readonly host: string; readonly port: number };
  readonly status: { readonly host: string; readonly port: number } | undefined;
  readonly upstream: Upstream;
  readonly upstreamTls: ServerTlsSettings;
  /** How clients may encrypt; undefined: not at all. */
  readonly tls: ClientTlsSettings | undefined;
  /** Processes that serve clients. */
  readonly workers: number;
  readonly retry: RetrySettings;
  readonly breaker: BreakerSettings;
  readonly auth: AuthSettings;
  readonly pool: PoolSettings;
  readonly console: ConsoleSettings;
  readonly log: { readonly url: string; readonly vkey: string };
  /** What the operator is told, and how. */
  readonly lines: { readonly level: Level; readonly format: Format };
  readonly source: { readonly key: string };
  readonly spool: { readonly dir: string; readonly maxBytes: number; readonly maxAgeMs: number };
  /** What the log acknowledged, for whoever has to show it later. */
  readonly record: { readonly path: string };
  /** The file of access rules; undefined: nothing is decided. */
  readonly rules: string | undefined;
  readonly durability: { readonly reads: Durability; readonly others: Durability; readonly windowMs: number };
  readonly sealed: readonly SealableName[];
  /** Where it can be read who stands behind a login. */
  readonly identity: readonly IdentityRule[];
  readonly limits: {
    readonly clients: number;
    readonly statementBytes: number;
    readonly disclosureBytes: number;
    readonly loginTimeoutMs: number;
    readonly connectTimeoutMs: number;
    readonly drainTimeoutMs: number;
    readonly logins: number;
    readonly idleTimeoutMs: number;
    readonly idleInTransactionMs: number;
    readonly statementTimeoutMs: number;
  };
  /** Hex SHA-256 of the effective configuration; keys are named in it by path and never by content. */
  readonly digest: string;
}

type Kind =
  | "string"
  | "integer"
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
  { path: "listen", kind: "address", default: "127.0.0.1:6432" },
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

/**
 * Reads and checks a configuration file (YAML). Paths in it are relative to the file.
 * @throws ProxyError `bad_config`, with the line and column of what is wrong
 */
export async function readProxyConfig(path: string): Promise<ProxyConfig> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    throw new ProxyError("bad_config", `${path} cannot be read: ${(error as Error).message}`);
  }
  return parseProxyConfig(text, path);
}

export async function parseProxyConfig(text: string, path: string): Promise<ProxyConfig> {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, uniqueKeys: true });
  const at = (offset: number): string => {
    const { line, col } = lines.linePos(offset);
    return `${path}:${line}:${col}`;
  };
  const problem = document.errors[0];
  if (problem !== undefined) throw bad(at(problem.pos[0]), problem.message.split("\n")[0] ?? "not YAML");
  if (!isMap(document.contents)) throw bad(at(0), "the file must be a map of keys");
  const given = new Map<string, { value: unknown; where: string }>();
  flatten(document.contents, "", at, given);
  const values = new Map<string, unknown>();
  for (const key of CONFIG_KEYS) {
    const entry = given.get(key.path);
    given.delete(key.path);
    if (entry === undefined && key.required) throw bad(path, `the key "${key.path}" is missing`);
    values.set(key.path, entry === undefined ? convertDefault(key) : convert(key, entry.value, entry.where));
  }
  for (const [name, { where }] of given) throw bad(where, `there is no key "${name}"`);
  return build(values, path);
}

/** What one configuration becomes when another is read while it is in force. */
export interface Merged {
  /** In force from here on. */
  readonly config: ProxyConfig;
  /** The keys whose values are others now, and those whose would be after a restart. */
  readonly changed: readonly string[];
  readonly waiting: readonly string[];
}

/** @param reloaded the keys that can change while the proxy runs */
export async function mergeConfig(
  current: ProxyConfig,
  next: ProxyConfig,
  reloaded: readonly string[],
): Promise<Merged> {
  const differing = CONFIG_KEYS.map(({ path }) => path).filter(
    (path) => valueText(current.values.get(path)) !== valueText(next.values.get(path)),
  );
  const changed = differing.filter((path) => reloaded.includes(path));
  const waiting = differing.filter((path) => !reloaded.includes(path));
  const values = new Map(current.values);
  for (const path of changed) values.set(path, next.values.get(path));
  return { config: await build(values, current.file), changed, waiting };
}

/** A value as JSON, whatever it was made into. */
export function valueText(value: unknown): string {
  return JSON.stringify(value ?? null, plain);
}

async function build(values: ReadonlyMap<string, unknown>, path: string): Promise<ProxyConfig> {
  const get = <T>(name: string): T => values.get(name) as T;
  const file = (name: string): string => resolve(dirname(path), get<string>(name));
  const vkey = get<string>("log.vkey");
  const effective = JSON.stringify(
    [...values].map(([name, value]) => [name, value ?? null]),
    plain,
  );
  return Object.freeze({
    file: path,
    values,
    listen: get<ProxyConfig["listen"]>("listen"),
    status: get<ProxyConfig["status"]>("status"),
    upstream: get<Upstream>("upstream"),
    upstreamTls: serverTlsSettings(get<Upstream>("upstream").parameters, dirname(path), (wanted) =>
      bad(path, `"upstream" must be ${wanted}`),
    ),
    tls: clientTlsSettings(
      (name) => values.get(name),
      dirname(path),
      (what) => bad(path, what),
    ),
    workers: get<number>("workers"),
    retry: {
      attempts: get<number>("retry.attempts"),
      backoffMs: get<number>("retry.backoff_ms"),
      maxBackoffMs: get<number>("retry.max_backoff_ms"),
      deadlineMs: get<number>("retry.deadline_ms"),
      budgetPercent: get<number>("retry.budget_percent"),
      reserve: get<number>("retry.reserve"),
      readBytes: get<number>("retry.read_bytes"),
    },
    breaker: {
      failures: get<number>("breaker.failures"),
      openMs: get<number>("breaker.open_ms"),
      avoidMs: get<number>("breaker.avoid_ms"),
    },
    auth: authSettings(
      get,
      (name) => (values.get(name) === undefined ? undefined : file(name)),
      (what) => bad(path, what),
    ),
    pool: poolSettings(get),
    console: consoleSettings(get, (what) => bad(path, what)),
    log: {
      url: get<string>("log.url"),
      vkey: vkey.includes("+") ? vkey : await readLine(file("log.vkey"), "log.vkey"),
    },
    lines: { level: get<Level>("log.level"), format: get<Format>("log.format") },
    source: { key: file("source.key") },
    spool: {
      dir: file("spool.dir"),
      maxBytes: get<number>("spool.max_bytes"),
      maxAgeMs: get<number>("spool.max_age_s") * 1000,
    },
    record: { path: values.get("record") === undefined ? join(file("spool.dir"), "submitted") : file("record") },
    rules: values.get("rules") === undefined ? undefined : file("rules"),
    durability: {
      reads: get<Durability>("durability.reads"),
      others: get<Durability>("durability.others"),
      windowMs: get<number>("durability.window_ms"),
    },
    sealed: get<readonly SealableName[]>("sealed"),
    identity: get<readonly IdentityRule[] | undefined>("identity") ?? [],
    limits: {
      clients: get<number>("limits.clients"),
      statementBytes: get<number>("limits.statement_bytes"),
      disclosureBytes: get<number>("limits.disclosure_bytes"),
      loginTimeoutMs: get<number>("limits.login_timeout_ms"),
      connectTimeoutMs: get<number>("limits.connect_timeout_ms"),
      drainTimeoutMs: get<number>("limits.drain_timeout_ms"),
      logins: get<number>("limits.logins"),
      idleTimeoutMs: get<number>("limits.idle_timeout_ms"),
      idleInTransactionMs: get<number>("limits.idle_in_transaction_ms"),
      statementTimeoutMs: get<number>("limits.statement_timeout_ms"),
    },
    digest: createHash("sha256").update(effective).digest("hex"),
  });
}

/** JSON has no maps. */
function plain(_: string, value: unknown): unknown {
  if (value instanceof RegExp) return value.source;
  return value instanceof Map ? [...value] : value;
}

function flatten(
  map: YAMLMap,
  prefix: string,
  at: (offset: number) => string,
  into: Map<string, { value: unknown; where: string }>,
): void {
  for (const { key, value } of map.items) {
    const where = at((isScalar(key) ? key.range?.[0] : undefined) ?? 0);
    if (!isScalar(key) || typeof key.value !== "string") throw bad(where, "a key must be a name");
    const name = `${prefix}${key.value}`;
    if (isMap(value) && CONFIG_KEYS.some(({ path }) => path.startsWith(`${name}.`)))
      flatten(value, `${name}.`, at, into);
    else into.set(name, { value: (value as { toJSON?(): unknown } | null)?.toJSON?.() ?? null, where });
  }
}

function convertDefault(key: ConfigKey): unknown {
  return key.default === undefined ? undefined : convert(key, key.default, "default");
}

function convert(key: ConfigKey, value: unknown, where: string): unknown {
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

async function readLine(path: string, key: string): Promise<string> {
  try {
    return (await readFile(path, "utf8")).trim();
  } catch (error) {
    throw new ProxyError("bad_config", `"${key}" names ${path}, which cannot be read: ${(error as Error).message}`);
  }
}

function bad(where: string, what: string): ProxyError {
  return new ProxyError("bad_config", `${where}: ${what}`);
}
