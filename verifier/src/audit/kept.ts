import { sha256 } from "@noble/hashes/sha2.js";
import { VerifierError } from "../errors.ts";
import { type Checkpoint, verifyCheckpoint } from "../formats/checkpoint.ts";
import { readDigested, unusable, writeDigested } from "../formats/digested.ts";
import type { VerifierKey } from "../formats/key.ts";
import { equalBytes, verifyConsistency } from "../formats/merkle.ts";
import { decodeUtf8, encodeHex, encodeUtf8 } from "../formats/text.ts";
import type { LogReader } from "../reading/log-reader.ts";
import { TileTree } from "../reading/tree.ts";
import type { AuditState } from "./auditor.ts";

/** What a verifier keeps of a log from one time to the next, by the log's key (which includes its origin). */
export type Kept = {
  /** The last verified checkpoint. */
  checkpoint: Checkpoint;
  /** How far the entries were audited, and with what result; null when they never were. */
  audit: AuditState | null;
};

/**
 * What several states say together, such as those under the old and the new key of a log.
 * @returns the furthest checkpoint and the furthest audit, which are of one tree if K1 to K3 hold for each of them
 */
export function joinKept(states: Kept | readonly Kept[] | undefined): Kept | undefined {
  const [first, ...rest] = listKept(states);
  if (first === undefined) return undefined;
  let { checkpoint, audit } = first;
  for (const other of rest) {
    if (other.checkpoint.size > checkpoint.size) checkpoint = other.checkpoint;
    if (audit === null || (other.audit !== null && other.audit.size > audit.size)) audit = other.audit;
  }
  return { checkpoint, audit };
}

/** @returns the states, as a list */
export function listKept(states: Kept | readonly Kept[] | undefined): readonly Kept[] {
  if (states === undefined) return [];
  return "checkpoint" in states ? [states] : states;
}

const format = "vitrine/verifier-state/v1";

/** @returns a name for what is kept under this key: hex SHA-256 over the key, whose name is the origin. */
export function keptName(key: VerifierKey): string {
  return encodeHex(sha256(encodeUtf8(key.text)));
}

/** @returns the text to keep: JSON, with a digest that shows damage. */
export function serializeKept(kept: Kept, key: VerifierKey): string {
  const body = { vkey: key.text, checkpoint: decodeUtf8(kept.checkpoint.note), audit: kept.audit };
  return writeDigested(format, body);
}

/**
 * @param text as {@link serializeKept} gave it
 * @param key the log's key
 * @throws VerifierError `usage` when it is damaged, or of another log or version
 */
export function parseKept(text: string, key: VerifierKey): Kept {
  const body = readDigested(text, format);
  if (body.vkey !== key.text || typeof body.checkpoint !== "string") throw unusable("it belongs to another log key");
  try {
    return { checkpoint: verifyCheckpoint(encodeUtf8(body.checkpoint), key), audit: body.audit as AuditState | null };
  } catch (error) {
    if (!(error instanceof VerifierError)) throw error;
    throw unusable(`the checkpoint in it does not verify: ${error.message}`);
  }
}

/**
 * Steps K1 to K3.
 * @param kept a checkpoint verified before
 * @param seen the one verified now
 * @param reader the log, for the proof of K3
 * @throws VerifierError `rolled_back`, `split_view`, `inconsistent`; `data_missing`, `tile_malformed` when the tiles
 * for the proof cannot be had; `log_unreachable`
 */
export function compareWithKept(kept: Checkpoint, seen: Checkpoint, reader: LogReader): Promise<void> {
  return checkContinues(kept, seen, () => new TileTree(reader, seen.size).consistencyProof(kept.size));
}

/**
 * Steps K1 to K3.
 * @param prove gives the consistency proof from the one to the other; called for K3 only
 * @throws VerifierError `rolled_back`, `split_view`, `inconsistent`, and what `prove` throws
 */
export async function checkContinues(
  kept: Checkpoint,
  seen: Checkpoint,
  prove: () => Promise<readonly Uint8Array[]>,
): Promise<void> {
  // K1
  if (seen.size < kept.size) {
    const message = `the log shows a tree of ${seen.size} entries, and has signed one of ${kept.size} before`;
    throw new VerifierError("rolled_back", message);
  }
  // K2
  if (seen.size === kept.size) {
    if (equalBytes(seen.root, kept.root)) return;
    throw new VerifierError("split_view", `the log has signed two different trees of ${seen.size} entries`);
  }
  // K3
  if (verifyConsistency(kept.size, seen.size, await prove(), kept.root, seen.root)) return;
  const message = `the tree of ${seen.size} entries is not shown to begin with the ${kept.size} entries signed before`;
  throw new VerifierError("inconsistent", message);
}
