import type { LogServerConfig } from "./config/config.ts";
import type { SignerKey } from "./formats/note.ts";
import { type Policy, readPolicy } from "./formats/policy.ts";
import { checkPolicy } from "./witnesses/witnesses.ts";

/** What a log does by the files that were read again. */
export interface ReloadReport {
  /** Verifier keys of all that sign from now on. */
  readonly keys: readonly string[];
  /** How many the policy has. */
  readonly witnesses: number;
  /** Keys of the configuration that have changed and need a restart. */
  readonly ignored: readonly string[];
}

/** @returns the report as a line for the operator. */
export function reloadLine({ keys, witnesses, ignored }: ReloadReport): string {
  const count = (n: number, one: string, more: string): string => `${n} ${n === 1 ? one : more}`;
  const now = `reloaded: ${count(keys.length, "key signs", "keys sign")}, ${count(witnesses, "witness", "witnesses")}`;
  if (ignored.length === 0) return now;
  const which = ignored.length === 1 ? "has changed and needs" : "have changed and need";
  return `${now}; not taken: ${ignored.join(", ")}, which ${which} a restart`;
}

/** What is taken while the log runs, besides the contents of the files of tokens. */
const RELOADED: ReadonlySet<string> = new Set(["key", "more_keys", "witnesses"]);

/** A log without a policy: no witnesses, and none needed. */
const NO_POLICY: Policy = { logs: [], witnesses: [], quorum: "none" };

/** @returns by the names that stand in the file, their values as JSON. */
function flat(values: object, prefix: string = ""): [string, string][] {
  return Object.entries(values).flatMap(([name, value]) => {
    const key = `${prefix}${name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)}`;
    return key === "limits" ? flat(value as object, "limits.") : [[key, JSON.stringify(value)] as [string, string]];
  });
}

/** @returns the keys of the configuration that differ and are taken at a start only, sorted. */
export function ignoredKeys(before: LogServerConfig, after: LogServerConfig): string[] {
  const old = new Map(flat(before));
  const now = new Map(flat(after));
  const all = new Set([...old.keys(), ...now.keys()]);
  return [...all].filter((key) => !RELOADED.has(key) && old.get(key) !== now.get(key)).sort();
}

/**
 * @param keys of the log
 * @throws LogServerError `bad_config`
 */
export async function readWitnessPolicy(
  { witnesses: path }: LogServerConfig,
  keys: readonly SignerKey[],
): Promise<Policy> {
  if (path === undefined) return NO_POLICY;
  const policy = await readPolicy(path);
  checkPolicy(
    policy,
    path,
    keys.map(({ vkey }) => vkey),
  );
  return policy;
}
