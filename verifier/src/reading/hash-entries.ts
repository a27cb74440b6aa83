import { hashLength, leafHash } from "../formats/merkle.ts";
import { tileWidth } from "../formats/tile.ts";
import { foldHashes } from "./tree.ts";

/** What an audit needs of a bundle's entries that does not depend on any other. */
export type HashedEntries = {
  /** Their leaf hashes, 32 bytes each. */
  leaves: Uint8Array;
  /** The root over them, of a full bundle only. */
  root: Uint8Array | undefined;
};

/**
 * Does what {@link hashEntries} does, somewhere else. It is trusted as the program itself is.
 * @param entries are not changed, and not kept behind the answer
 */
export type LeafHasher = (entries: readonly Uint8Array[]) => Promise<HashedEntries>;

/** @param entries consecutive ones of one bundle; the root is given for all 256 of them */
export function hashEntries(entries: readonly Uint8Array[]): HashedEntries {
  const leaves = new Uint8Array(entries.length * hashLength);
  for (const [i, entry] of entries.entries()) leaves.set(leafHash(entry), i * hashLength);
  return { leaves, root: entries.length === tileWidth ? foldHashes(leaves) : undefined };
}
