import { readFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { isMap, isScalar, LineCounter, type Node, parseDocument, type YAMLMap } from "yaml";
import { LogServerError, reason } from "../errors.ts";
import { configError, configKey, configKeys } from "./config-keys.ts";

/** Everything that a log needs to run. Paths are absolute, and no secret is in it: keys and tokens are in files. */
export interface LogServerConfig {
  readonly listen: { readonly host: string; readonly port: number };
  /** Addresses and networks whose X-Forwarded-For is believed. */
  readonly trustedProxies: readonly string[];
  /** The log's name, and its key's. */
  readonly origin: string;
  /** Signing key file. */
  readonly key: string;
  /** Signing key files: each of them signs each checkpoint as well. */
  readonly moreKeys: readonly string[];
  /** Signing key file of the source that the log is itself; made when it is needed. */
  readonly actsKey: string;
  /** LevelDB directory of the store. */
  readonly store: string;
  /** LevelDB directory of the hash index. */
  readonly index: string;
  /** LevelDB directory of the search index. */
  readonly searchIndex: string;
  /** Whether a search needs no token. */
  readonly searchPublic: boolean;
  /** The guard file; not inside `store`. */
  readonly guard: string;
  /** Verifier keys. */
  readonly sources: readonly string[];
  /** File of tokens; see token-file.ts. */
  readonly tokens?: string;
  /** Whether entries are given to everybody, or to holders of a token alone. */
  readonly publicEntries: boolean;
  /** Whether `POST /add` takes entries without a source. */
  readonly add: boolean;
  /** File of the tokens that `POST /add` needs; without it everyone may add. */
  readonly addTokens?: string;
  readonly checkpointIntervalMs: number;
  /** C2SP tlog-policy file: the witnesses that are asked for cosignatures. */
  readonly witnesses?: string;
  readonly witnessTimeoutMs: number;
  /** Whether the log is unhealthy without the policy's quorum. */
  readonly witnessesRequired: boolean;
  readonly limits: {
    readonly bodyBytes: number;
    readonly waitingSubmissions: number;
    readonly waitingBytes: number;
    readonly waitingAdds: number;
    /** Of one address, of each of two sorts; 0: no limit. */
    readonly requestsPerSecond: number;
    readonly requestTimeoutMs: number;
    readonly connections: number;
    /** Of answers that clients have not read. */
    readonly unreadBytes: number;
  };
}

type Place = (node: Node | null | undefined, what: string) => LogServerError;

/** Reads the members of a YAML map into `values`, by their dotted names. */
function readMap(
  map: YAMLMap,
  prefix: string,
  values: Map<string, { value: unknown; node: Node }>,
  place: Place,
): void {
  for (const { key: keyNode, value: node } of map.items) {
    if (!isScalar(keyNode) || typeof keyNode.value !== "string") throw place(keyNode as Node, "a key must be a text");
    const key = `${prefix}${keyNode.value}`;
    if (isMap(node) && configKeys.some((each) => each.key.startsWith(`${key}.`))) {
      readMap(node, `${key}.`, values, place);
      continue;
    }
    if (!configKeys.some((each) => each.key === key)) {
      const nested = configKeys.some((each) => each.key.startsWith(`${key}.`));
      throw place(keyNode, nested ? `${key} must be a map` : `there is no key ${key}; the manual lists them all`);
    }
    values.set(key, { value: (node as Node | null)?.toJSON(), node: (node as Node | null) ?? keyNode });
  }
}

function freeze<T extends object>(value: T): T {
  for (const member of Object.values(value)) if (typeof member === "object" && member !== null) freeze(member);
  return Object.freeze(value);
}

/**
 * Parses a configuration.
 * @param path of the file: what paths in it are relative to, and what errors name
 * @throws LogServerError `bad_config`, with path, line and column
 */
export function parseLogServerConfig(text: string, path: string): LogServerConfig {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, version: "1.2", merge: false });
  const at = (offset: number, what: string): LogServerError => {
    const { line, col } = lines.linePos(offset);
    return configError(path, Math.max(line, 1), Math.max(col, 1), what);
  };
  const place: Place = (node, what) => at(node?.range?.[0] ?? 0, what);
  const [problem] = [...document.errors, ...document.warnings];
  if (problem !== undefined) throw at(problem.pos[0], problem.message);
  if (!isMap(document.contents)) throw place(document.contents, "the configuration must be a map of keys to values");
  const values = new Map<string, { value: unknown; node: Node }>();
  readMap(document.contents, "", values, place);

  const get = <T>(key: string): T => {
    const found = values.get(key);
    const { parse, default: fallback } = configKey(key);
    if (found === undefined && fallback === undefined) throw place(document.contents, `the key ${key} is missing`);
    try {
      return parse(found === undefined ? fallback : found.value) as T;
    } catch (error) {
      throw place(found?.node, `${key}: ${reason(error)}`);
    }
  };
  const file = (key: string): string => resolve(dirname(path), get<string>(key));
  const files = (key: string): string[] => get<string[]>(key).map((each) => resolve(dirname(path), each));
  return freeze({
    listen: get("listen"),
    trustedProxies: values.has("trusted_proxies") ? get("trusted_proxies") : [],
    origin: get("origin"),
    key: file("key"),
    actsKey: file("acts_key"),
    moreKeys: values.has("more_keys") ? files("more_keys") : [],
    store: file("store"),
    index: file("index"),
    searchIndex: file("search_index"),
    searchPublic: values.has("search_public") ? get("search_public") : !values.has("tokens"),
    guard: file("guard"),
    sources: get("sources"),
    ...(values.has("tokens") ? { tokens: file("tokens") } : {}),
    publicEntries: get("public_entries"),
    add: get("add"),
    ...(values.has("add_tokens") ? { addTokens: file("add_tokens") } : {}),
    checkpointIntervalMs: get("checkpoint_interval_ms"),
    ...(values.has("witnesses") ? { witnesses: file("witnesses") } : {}),
    witnessTimeoutMs: get("witness_timeout_ms"),
    witnessesRequired: get("witnesses_required"),
    limits: {
      bodyBytes: get("limits.body_bytes"),
      waitingSubmissions: get("limits.waiting_submissions"),
      waitingBytes: get("limits.waiting_bytes"),
      waitingAdds: get("limits.waiting_adds"),
      requestsPerSecond: get("limits.requests_per_second"),
      requestTimeoutMs: get("limits.request_timeout_ms"),
      connections: get("limits.connections"),
      unreadBytes: get("limits.unread_bytes"),
    },
  } satisfies LogServerConfig);
}

/**
 * Reads a configuration file.
 * @throws LogServerError `bad_config`
 */
export async function readLogServerConfig(path: string): Promise<LogServerConfig> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    throw new LogServerError(
      "bad_config",
      `the configuration ${path} cannot be read: ${reason(error)}`,
      {},
      { cause: error },
    );
  }
  return parseLogServerConfig(text, resolve(path));
}
