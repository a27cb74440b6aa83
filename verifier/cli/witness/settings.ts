import { dirname, resolve } from "node:path";
import { VerifierError } from "../../src/errors.ts";
import { decodeUtf8 } from "../../src/formats/text.ts";
import { readBounded } from "../files.ts";
import { printable, printableShort } from "../printable.ts";
import { defaultFolder } from "../state.ts";

/** What a witness is told, from its file and the command line together. */
export type Settings = {
  host: string;
  port: number;
  name: string | undefined;
  state: string;
  /** Path of the key file. */
  key: string;
  /** Verifier keys of logs. */
  log: readonly string[];
  /** Paths of lists of logs. */
  logs: readonly string[];
  /** Empty, or `/…` without a slash at its end. */
  prefix: string;
  /** Where logs reach the witness, for the policy line that is printed. */
  url: string | undefined;
};

/** The options of the command line; of those of the file, all but `config` and `fresh`. */
export type WitnessFlags = {
  config?: string | undefined;
  listen?: string | undefined;
  name?: string | undefined;
  state?: string | undefined;
  key?: string | undefined;
  log?: readonly string[] | undefined;
  logs?: readonly string[] | undefined;
  prefix?: string | undefined;
  url?: string | undefined;
  fresh?: boolean | undefined;
};

/** What may stand in a configuration file, and whether more than once. */
export const settingKeys = {
  listen: "once",
  name: "once",
  state: "once",
  key: "once",
  log: "repeated",
  logs: "repeated",
  prefix: "once",
  url: "once",
} as const;

export const defaultListen = "127.0.0.1:7380";
const maxConfigLength = 1024 * 1024;

/**
 * The command line goes before the file; logs of both count.
 * @throws VerifierError `usage`
 */
export async function readSettings(flags: WitnessFlags): Promise<Settings> {
  const file = flags.config === undefined ? new Map<string, string[]>() : await readConfig(flags.config);
  const folder = flags.config === undefined ? "" : dirname(flags.config);
  const once = (key: "listen" | "name" | "prefix" | "url"): string | undefined => flags[key] ?? file.get(key)?.[0];
  const path = (key: "state" | "key"): string | undefined => {
    const inFile = file.get(key)?.[0];
    return flags[key] ?? (inFile === undefined ? undefined : resolve(folder, inFile));
  };
  const state = path("state") ?? resolve(defaultFolder(), "witness");
  return {
    ...parseListen(once("listen") ?? defaultListen),
    name: once("name"),
    state,
    key: path("key") ?? resolve(state, "witness.key"),
    log: [...(file.get("log") ?? []), ...(flags.log ?? [])],
    logs: [...(file.get("logs") ?? []).map((one) => resolve(folder, one)), ...(flags.logs ?? [])],
    prefix: parsePrefix(once("prefix") ?? ""),
    url: parseUrl(once("url")),
  };
}

/** Lines of a key and its value; `#` begins a comment line. */
async function readConfig(path: string): Promise<Map<string, string[]>> {
  const bytes = await readBounded(path, maxConfigLength, "--config");
  if (bytes.length > maxConfigLength) throw usage(`${printableShort(path)} is too long for a configuration`);
  const text = decodeUtf8(bytes);
  if (text === undefined) throw usage(`${printableShort(path)} is not UTF-8, and no configuration`);
  return parseConfig(text, printable(path));
}

/**
 * @returns the values of each key, in their order
 * @throws VerifierError `usage`, with the number of the line
 */
export function parseConfig(text: string, from: string): Map<string, string[]> {
  const values = new Map<string, string[]>();
  for (const [i, raw] of text.split("\n").entries()) {
    const line = raw.trim();
    if (line === "" || line.startsWith("#")) continue;
    const wrong = (why: string): VerifierError => usage(`${from}, line ${i + 1}: ${why}`);
    const [, key, value] = /^(\S+)(?:\s+(.*))?$/s.exec(line)!;
    if (!Object.hasOwn(settingKeys, key!)) {
      throw wrong(`there is no key ${printableShort(key!)}; the keys are ${Object.keys(settingKeys).join(", ")}`);
    }
    if (value === undefined) throw wrong(`${key} has no value`);
    const before = values.get(key!);
    if (before !== undefined && settingKeys[key as keyof typeof settingKeys] === "once") {
      throw wrong(`${key} stands in the file twice`);
    }
    values.set(key!, [...(before ?? []), value]);
  }
  return values;
}

function parseListen(text: string): { host: string; port: number } {
  const [, inBrackets, plain, digits] = /^(?:\[([0-9a-fA-F:.%]+)\]|([^:[\]]+)):([0-9]{1,5})$/.exec(text) ?? [];
  const port = Number(digits);
  if (digits === undefined || port > 65535) {
    throw usage(`--listen is not HOST:PORT, such as 127.0.0.1:7380 or [::1]:7380: ${printableShort(text)}`);
  }
  return { host: inBrackets ?? plain!, port };
}

function parsePrefix(text: string): string {
  const path = text.replace(/\/$/, "");
  if (path === "" || /^(?:\/[A-Za-z0-9._~-]+)+$/.test(path)) return path;
  throw usage(`--prefix is not a path such as /witness: ${printableShort(text)}`);
}

function parseUrl(text: string | undefined): string | undefined {
  if (text === undefined) return undefined;
  // It stands in a line whose parts are separated by white space.
  if (/^https?:\/\/[^\s]+$/.test(text) && printable(text) === text) return text.replace(/\/$/, "");
  throw usage(`--url does not begin with http:// or https://, or has white space in it: ${printableShort(text)}`);
}

function usage(message: string): VerifierError {
  return new VerifierError("usage", message);
}
