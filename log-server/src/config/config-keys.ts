import { isIP } from "node:net";
import { LogServerError } from "../errors.ts";
import { isKeyName, parseVerifierKey } from "../formats/note.ts";

/** What a value in the configuration has to be. `parse` throws a plain Error that says what is wrong with it. */
export interface ConfigKey {
  /** As it stands in the file; nested keys with a dot. */
  readonly key: string;
  readonly type: string;
  readonly unit: string;
  /** Undefined: the key has to be there. `""`: it may be left out, and nothing stands for it. */
  readonly default: string | number | boolean | undefined;
  readonly parse: (value: unknown) => unknown;
}

function text(value: unknown): string {
  if (typeof value !== "string" || value === "") throw new Error("expected a text that is not empty");
  return value;
}

function integer(least: number, most: number): (value: unknown) => number {
  return (value) => {
    if (typeof value !== "number" || !Number.isInteger(value) || value < least || value > most) {
      throw new Error(`expected an integer from ${least} to ${most}`);
    }
    return value;
  };
}

function flag(value: unknown): boolean {
  if (typeof value !== "boolean") throw new Error("expected true or false");
  return value;
}

function address(value: unknown): { host: string; port: number } {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]\s]+)):(0|[1-9][0-9]{0,4})$/.exec(String(value));
  const port = Number(match?.[3]);
  if (match === null || port > 65_535) throw new Error("expected <host>:<port>, such as 127.0.0.1:6962 or [::1]:6962");
  return { host: (match[1] ?? match[2])!, port };
}

function origin(value: unknown): string {
  if (!isKeyName(text(value))) throw new Error('expected a name without white space and "+"');
  return value as string;
}

function verifierKeys(value: unknown): string[] {
  if (!Array.isArray(value)) throw new Error("expected a list of verifier keys");
  for (const [i, vkey] of value.entries()) {
    const key = typeof vkey === "string" ? parseVerifierKey(vkey) : undefined;
    if (key === undefined) throw new Error(`item ${i + 1} is not a verifier key <name>+<key id>+<base64>`);
    if (Buffer.byteLength(key.name) > 255) throw new Error(`item ${i + 1}: the name has more than 255 bytes`);
  }
  return value;
}

function addresses(value: unknown): string[] {
  if (!Array.isArray(value)) throw new Error("expected a list of addresses");
  for (const [i, item] of value.entries()) {
    const [address, bits, ...rest] = typeof item === "string" ? item.split("/") : [""];
    const most = isIP(address ?? "") === 4 ? 32 : 128;
    const fits = bits === undefined || (/^(?:0|[1-9][0-9]{0,2})$/.test(bits) && Number(bits) <= most);
    if (isIP(address ?? "") !== 0 && fits && rest.length === 0) continue;
    throw new Error(`item ${i + 1} is neither an address nor a network, such as 10.0.0.0/8`);
  }
  return value;
}

function paths(value: unknown): string[] {
  if (!Array.isArray(value)) throw new Error("expected a list of paths");
  return value.map(text);
}

/** Every key of the configuration file. The manual's table is held against it by a test. */
export const configKeys: readonly ConfigKey[] = [
  { key: "listen", type: "address", unit: "host:port", default: "127.0.0.1:6962", parse: address },
  { key: "trusted_proxies", type: "list", unit: "addresses", default: "", parse: addresses },
  { key: "origin", type: "text", unit: "", default: undefined, parse: origin },
  { key: "key", type: "path", unit: "", default: "./log.key", parse: text },
  { key: "acts_key", type: "path", unit: "", default: "./acts.key", parse: text },
  { key: "more_keys", type: "list", unit: "paths", default: "", parse: paths },
  { key: "store", type: "path", unit: "", default: "./log/store", parse: text },
  { key: "index", type: "path", unit: "", default: "./log/index", parse: text },
  { key: "search_index", type: "path", unit: "", default: "./log/search", parse: text },
  { key: "search_public", type: "boolean", unit: "", default: "", parse: flag },
  { key: "guard", type: "path", unit: "", default: "./guard/checkpoint", parse: text },
  { key: "sources", type: "list", unit: "verifier keys", default: undefined, parse: verifierKeys },
  { key: "tokens", type: "path", unit: "", default: "", parse: text },
  { key: "public_entries", type: "true or false", unit: "", default: true, parse: flag },
  { key: "add", type: "true or false", unit: "", default: false, parse: flag },
  { key: "add_tokens", type: "path", unit: "", default: "", parse: text },
  {
    key: "checkpoint_interval_ms",
    type: "integer",
    unit: "milliseconds",
    default: 1000,
    parse: integer(10, 60_000),
  },
  { key: "witnesses", type: "path", unit: "", default: "", parse: text },
  { key: "witness_timeout_ms", type: "integer", unit: "milliseconds", default: 1000, parse: integer(50, 30_000) },
  { key: "witnesses_required", type: "true or false", unit: "", default: false, parse: flag },
  {
    key: "limits.body_bytes",
    type: "integer",
    unit: "bytes",
    default: 67_108_864,
    // What every log must take, and what none may be sent (spec/submission.md).
    parse: integer(16_777_216, 67_108_864),
  },
  {
    key: "limits.waiting_submissions",
    type: "integer",
    unit: "submissions",
    default: 256,
    parse: integer(1, 65_536),
  },
  {
    key: "limits.waiting_bytes",
    type: "integer",
    unit: "bytes",
    default: 134_217_728,
    parse: integer(65_536, 8_589_934_592),
  },
  { key: "limits.waiting_adds", type: "integer", unit: "entries", default: 1024, parse: integer(1, 65_536) },
  {
    key: "limits.requests_per_second",
    type: "integer",
    unit: "requests",
    default: 100,
    parse: integer(0, 1_000_000),
  },
  {
    key: "limits.request_timeout_ms",
    type: "integer",
    unit: "milliseconds",
    default: 30_000,
    parse: integer(100, 600_000),
  },
  { key: "limits.connections", type: "integer", unit: "connections", default: 4096, parse: integer(16, 1_000_000) },
  {
    key: "limits.unread_bytes",
    type: "integer",
    unit: "bytes",
    default: 67_108_864,
    // The largest answers, full bundles of the largest entries, have 16 MiB.
    parse: integer(33_554_432, 8_589_934_592),
  },
];

/** @returns the table's entry; a key that is not in it is a bug. */
export function configKey(key: string): ConfigKey {
  const found = configKeys.find((each) => each.key === key);
  if (found === undefined) throw new Error(`no configuration key ${key}`);
  return found;
}

/** @returns an error for a place in a configuration file. */
export function configError(path: string, line: number, column: number, what: string): LogServerError {
  return new LogServerError("bad_config", `${path}:${line}:${column}: ${what}`);
}
