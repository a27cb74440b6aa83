import type { Frontier } from "../formats/frontier.ts";
import { equalBytes, hashLength } from "../formats/merkle.ts";
import { levelLength, tileWidth, widthOf } from "../formats/tile.ts";
import { type LogReader, readHashes } from "./log-reader.ts";
import { foldHashes, TileTree } from "./tree.ts";

/** Entries from `from` up to, not including, `to`. */
export type Range = { from: number; to: number };

/**
 * Behind T4: finds where the served tiles part from the signed root. The hashes on the right edge are those signed if
 * they give the root. From there one goes down: a tile whose hashes give the hash above it is the one signed as well,
 * and one that does not is not.
 * @param root the signed root
 * @param from entries below were verified before
 * @returns the first range whose tile is not the one signed; `"edge"` when already the right edge is not, so that it
 * cannot be told; undefined when all tiles fit the root
 * @throws VerifierError when a tile cannot be had or is malformed
 */
export async function locateInTiles(
  reader: LogReader,
  size: number,
  root: Uint8Array,
  from: number,
): Promise<Range | "edge" | undefined> {
  if (!equalBytes(await new TileTree(reader, size).root(), root)) return "edge";
  let top = 0;
  while (levelLength(size, top + 1) > 0) top++;
  for (let level = top; level >= 0; level--) {
    const length = levelLength(size, level);
    const n = Math.floor(length / tileWidth);
    const width = widthOf(length, n);
    if (width === 0) continue;
    const found = await descend(reader, level, n, await readHashes(reader, level, n, width), from);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** @param hashes those of tile `n`, known to be signed */
async function descend(
  reader: LogReader,
  level: number,
  n: number,
  hashes: Uint8Array,
  from: number,
): Promise<Range | undefined> {
  if (level === 0) return undefined;
  const span = tileWidth ** level;
  for (let i = 0; i * hashLength < hashes.length; i++) {
    const child = n * tileWidth + i;
    const range = { from: child * span, to: (child + 1) * span };
    if (range.to <= from) continue;
    const below = await readHashes(reader, level - 1, child, tileWidth);
    if (!equalBytes(foldHashes(below), hashes.subarray(i * hashLength, (i + 1) * hashLength))) return range;
    const found = await descend(reader, level - 1, child, below, from);
    if (found !== undefined) return found;
  }
  return undefined;
}

/**
 * Behind K1 to K3: finds which of the entries that were audited are no longer the same in the tiles now served.
 * @param frontier the right edge at the size that was audited
 * @param size of the tree now
 * @returns the first range that differs; undefined when none does, as far as the tree now reaches
 * @throws VerifierError when a tile cannot be had or is malformed
 */
export async function locateInAudited(reader: LogReader, frontier: Frontier, size: number): Promise<Range | undefined> {
  const tree = new TileTree(reader, size);
  for (const { height, start, hash } of frontier.nodes()) {
    const length = 2 ** height;
    if (start + length > size) return undefined;
    if (!equalBytes(await tree.subtree(height, start / length), hash)) return { from: start, to: start + length };
  }
  return undefined;
}
