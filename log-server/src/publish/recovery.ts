import { LogServerError } from "../errors.ts";
import { parseUtf8 } from "../formats/encoding.ts";
import { foldPerfect, foldSubtrees, HASH_BYTES, leafHash, RightEdge } from "../formats/merkle.ts";
import type { VerifierKey } from "../formats/note.ts";
import { countAt, TILE_WIDTH } from "../formats/tile.ts";
import type { Store, TreeHead } from "../store/store.ts";
import { TreeReader } from "../tree/log.ts";
import { openCheckpoint, type SignedCheckpoint } from "./guard.ts";

// What is checked before a log serves: that the end of what is stored hashes to the root that is stored, and that the
// tree is the one signed (spec/checkpoint.md, "Signing one"). The entries before the last bundle are the audit's.

function corrupt(what: string, index: number): LogServerError {
  const message = `the store is damaged: ${what}; restore a copy that is not older than the guard file`;
  return new LogServerError("store_corrupt", message, { index });
}

/** Hashes the entries of the last bundle again and compares with level 0. */
async function checkLastBundle(reader: TreeReader, size: number): Promise<void> {
  const start = Math.floor((size - 1) / TILE_WIDTH) * TILE_WIDTH;
  const entries = await reader.entries(start, size);
  const hashes = await reader.leafHashes(start, size);
  for (const [i, entry] of entries.entries()) {
    if (leafHash(entry).equals(hashes.subarray(i * HASH_BYTES, (i + 1) * HASH_BYTES))) continue;
    throw corrupt(`entry ${start + i} does not hash to its leaf hash`, start + i);
  }
}

/** Hashes the last full tile of each level again and compares with the last hash of the level above. */
async function checkLastTiles(reader: TreeReader, size: number): Promise<void> {
  for (let level = 1; countAt(level, size) > 0; level += 1) {
    const last = countAt(level, size) - 1;
    const below = await reader.tile(level - 1, last, TILE_WIDTH);
    const above = await reader.tile(level, Math.floor(last / TILE_WIDTH), (last % TILE_WIDTH) + 1);
    if (foldPerfect(below).equals(above.subarray(-HASH_BYTES))) continue;
    const index = last * TILE_WIDTH ** level;
    throw corrupt(`tile ${last} of level ${level - 1} does not hash to its place in level ${level}`, index);
  }
}

/**
 * Re-hashes the right edge of a store.
 * @throws LogServerError `store_corrupt`, with the first index that is affected
 */
export async function recoverEdge(store: Store): Promise<{ head: TreeHead; edge: RightEdge }> {
  const head = await store.head();
  const reader = new TreeReader(store, 0);
  if (head.size > 0) {
    await checkLastBundle(reader, head.size);
    await checkLastTiles(reader, head.size);
  }
  const roots = await reader.edge(head.size);
  if (!foldSubtrees(roots).equals(head.root)) {
    throw corrupt(`the hashes of the tree of size ${head.size} do not give its root`, 0);
  }
  return { head, edge: new RightEdge(head.size, roots) };
}

/**
 * Holds the store against a checkpoint that the log has signed.
 * @param where the checkpoint comes from, for the error
 * @throws LogServerError `store_behind`, `store_disagrees`
 */
export async function checkAgainstSigned(store: Store, signed: SignedCheckpoint, where: string): Promise<void> {
  const { size } = await store.head();
  if (size < signed.size) {
    const message = `the store has ${size} entries, and ${where} was signed over ${signed.size}: the store was restored from an older copy, or lost its end; put back the newer store. Do not delete the guard file to get past this: the log would be forked`;
    throw new LogServerError("store_behind", message);
  }
  const root = await new TreeReader(store, 0).root(signed.size);
  if (root.equals(signed.root)) return;
  const message = `the store's tree of size ${signed.size} has the root ${root.toString("base64")}, and ${where} was signed over ${signed.root.toString("base64")}: this is not the store that was signed; put that one back. Do not delete the guard file to get past this: the log would be forked`;
  throw new LogServerError("store_disagrees", message);
}

/**
 * Holds the store against a checkpoint that somebody else shows. What the log's own keys have not signed says nothing.
 * @param keys that sign now
 * @param where the checkpoint comes from, for the error
 * @throws LogServerError `store_behind`, `store_disagrees`: the log has signed what the store does not have
 */
export async function checkAgainstShown(
  store: Store,
  shown: Buffer,
  keys: readonly VerifierKey[],
  where: string,
): Promise<void> {
  const note = parseUtf8(shown);
  if (note === undefined) return;
  let signed: SignedCheckpoint;
  try {
    signed = openCheckpoint(note, 0, keys, where, "store_corrupt");
  } catch {
    // Not a checkpoint, or not this log's.
    return;
  }
  await checkAgainstSigned(store, signed, where);
}
