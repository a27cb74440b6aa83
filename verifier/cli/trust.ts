import {
  keysUnder,
  listKeys,
  maxPolicyLength,
  type Policy,
  parsePolicy,
  VerifierError,
  type VerifierKey,
  type WitnessDemand,
} from "../src/index.ts";
import { readBounded } from "./files.ts";
import { readKey } from "./keys.ts";
import { printable, printableShort } from "./printable.ts";

/** Whom a command is to believe, as the caller gave it. */
export type TrustOptions = {
  /** Each a verifier key of the log, or a file that holds one; none when the policy names the log. */
  vkeys: readonly string[];
  /** The path of a policy file. */
  policy: string | undefined;
  /** In seconds. */
  maxAge: number | undefined;
};

/** Of several keys all must have signed. Without `witnesses`, nobody but the log is believed. */
export type Trust = { keys: readonly [VerifierKey, ...VerifierKey[]]; witnesses: WitnessDemand | undefined };

/** @throws VerifierError `usage` */
export async function readTrust({ vkeys, policy: path, maxAge }: TrustOptions): Promise<Trust> {
  const given: VerifierKey[] = [];
  for (const vkey of vkeys) given.push(await readKey(vkey, "--vkey"));
  if (path === undefined) return { keys: listKeys(given), witnesses: undefined };
  const policy = await readPolicy(path);
  try {
    return { keys: listKeys(keysUnder(policy, given)), witnesses: { policy, maxAge } };
  } catch (error) {
    throw about(error, path);
  }
}

async function readPolicy(path: string): Promise<Policy> {
  // One byte beyond the limit is enough to see that the file is too long.
  const bytes = await readBounded(path, maxPolicyLength, "--policy");
  try {
    return parsePolicy(bytes);
  } catch (error) {
    throw about(error, path);
  }
}

function about(error: unknown, path: string): unknown {
  if (!(error instanceof VerifierError)) return error;
  return new VerifierError(error.code, `--policy ${printableShort(path)}: ${error.message}`, error.place);
}

/** @returns the keys for people: name and key id of each */
export function keyNames(keys: readonly VerifierKey[]): string {
  return printable(keys.map(({ name, id }) => `${name}+${id}`).join(", "));
}
