import { LogServerError } from "./errors.ts";
import { HASH_BYTES } from "./merkle.ts";
import { parseVerifierKey, type VerifierKey } from "./note.ts";
import type { SourcePosition } from "./store.ts";

/** c(0): the chain value of an epoch without entries (spec/submission.md, "Chain"). */
export const CHAIN_START: Buffer = Buffer.alloc(HASH_BYTES);

/** The sources whose entries the log takes, by name. */
export type Sources = ReadonlyMap<string, VerifierKey>;

/**
 * @param vkeys verifier keys
 * @throws LogServerError `bad_config` when one is malformed, or two have the same name
 */
export function registerSources(vkeys: readonly string[]): Sources {
  const sources = new Map<string, VerifierKey>();
  for (const [i, vkey] of vkeys.entries()) {
    const key = parseVerifierKey(vkey);
    if (key === undefined) throw new LogServerError("bad_config", `sources[${i}] is not a verifier key: ${vkey}`);
    if (sources.has(key.name)) {
      throw new LogServerError(
        "bad_config",
        `sources[${i}]: the name ${key.name} is registered twice; a source has one key`,
      );
    }
    sources.set(key.name, key);
  }
  return sources;
}

/**
 * A source has the same key in each epoch (spec/proof.md, S3): with another one every later audit would fail.
 * @throws LogServerError `bad_config` when a source that has submitted is registered with another key
 */
export function checkSourceKeys(sources: Sources, positions: ReadonlyMap<string, SourcePosition>): void {
  for (const [name, key] of sources) {
    const known = positions.get(name)?.vkey;
    if (known === undefined || known === key.vkey) continue;
    const message = `sources: ${name} is registered with ${key.vkey}, and its entries in the log were submitted with ${known}: put that key back, or register the new key under a new name`;
    throw new LogServerError("bad_config", message);
  }
}

/** @returns where the log stands with a source that may never have submitted. */
export function positionOf(
  positions: ReadonlyMap<string, SourcePosition>,
  source: string,
  vkey: string,
): SourcePosition {
  return positions.get(source) ?? { epoch: 0, next: 0, chain: CHAIN_START, vkey };
}
