import { isUtf8 } from "node:buffer";
import { createHash } from "node:crypto";
import { readFile, stat } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { type AuthSettings, authSettings } from "../auth/index.ts";
import { type ConsoleSettings, consoleSettings } from "../console/index.ts";
import { ProxyError } from "../errors.ts";
import type { IdentityRule } from "../identity/index.ts";
import type { Format, Level } from "../lines/index.ts";
import type { ListenAddress } from "../listen/address.ts";
import { type PoolSettings, poolSettings } from "../pool/index.ts";
import type { Durability } from "../session/policy.ts";
import type { SealableName } from "../session/values.ts";
import { type ClientTlsSettings, clientTlsSettings, type ServerTlsSettings, serverTlsSettings } from "../tls/index.ts";
import type { BreakerSettings, RetrySettings, Upstream } from "../upstream/index.ts";
import { parseValues } from "./file.ts";
import { bad, CONFIG_KEYS } from "./keys.ts";

export interface ProxyConfig {
  /** Where it was read from. */
  readonly file: string;
  /** What stood there at the start. */
  readonly text: string;
  /** Each key's value, by path. */
  readonly values: ReadonlyMap<string, unknown>;
  /** At least one. */
  readonly listen: readonly ListenAddress[];
  /** Of the files of Unix sockets, as chmod(2) has it. */
  readonly unixSocketMode: number;
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

/** Far more than all keys, with a long list of rules for authentication. */
const MAX_FILE_BYTES = 4 * 1024 * 1024;

/**
 * Reads and checks a configuration file (YAML). Paths in it are relative to the file.
 * @throws ProxyError `bad_config`, with the line and column of what is wrong
 */
export async function readProxyConfig(path: string): Promise<ProxyConfig> {
  let bytes: Buffer;
  try {
    const { size } = await stat(path);
    if (size > MAX_FILE_BYTES) throw new Error(`it has ${size} bytes, where ${MAX_FILE_BYTES} are the limit`);
    bytes = await readFile(path);
  } catch (error) {
    throw new ProxyError("bad_config", `${path} cannot be read: ${(error as Error).message}`);
  }
  if (!isUtf8(bytes)) throw bad(path, "the file is not UTF-8");
  return parseProxyConfig(bytes.toString(), path);
}

export async function parseProxyConfig(text: string, path: string): Promise<ProxyConfig> {
  return build(parseValues(text, path), path, text);
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
  try {
    return { config: await build(values, current.file, current.text), changed, waiting };
  } catch (error) {
    if (!(error instanceof ProxyError) || waiting.length === 0) throw error;
    // Each of the two files is good, but not what would be in force: part of each.
    const why = `what changes at once needs keys of it that only a restart changes (${waiting.join(", ")})`;
    throw new ProxyError(error.code, `${error.message}; the file itself is in order, but ${why}: restart the proxy`);
  }
}

/** A value as JSON, whatever it was made into. */
export function valueText(value: unknown): string {
  return JSON.stringify(value ?? null, plain);
}

async function build(values: ReadonlyMap<string, unknown>, path: string, text: string): Promise<ProxyConfig> {
  const get = <T>(name: string): T => values.get(name) as T;
  const file = (name: string): string => resolve(dirname(path), get<string>(name));
  const vkey = get<string>("log.vkey");
  const effective = JSON.stringify(
    [...values].map(([name, value]) => [name, value ?? null]),
    plain,
  );
  return Object.freeze({
    file: path,
    text,
    values,
    listen: get<ProxyConfig["listen"]>("listen"),
    unixSocketMode: Number.parseInt(get<string>("unix_socket_mode"), 8),
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

async function readLine(path: string, key: string): Promise<string> {
  try {
    return (await readFile(path, "utf8")).trim();
  } catch (error) {
    throw new ProxyError("bad_config", `"${key}" names ${path}, which cannot be read: ${(error as Error).message}`);
  }
}
