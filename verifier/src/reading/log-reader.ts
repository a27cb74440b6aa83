import { VerifierError } from "../errors.ts";
import { parseBundle, parseTile, type TileLevel, tilePath, tileWidth } from "../formats/tile.ts";

/**
 * How a log is read. Everything that arrives through it is checked; it may lie. What an implementation must keep:
 *
 * - `"missing"` is answered when the log answered and does not have it; then the verdict cannot be PASS. It may also throw
 *   {@link VerifierError} `data_missing`, to say what was answered instead.
 * - When the log did not answer, or broke off, it throws {@link VerifierError} `log_unreachable`.
 * - It bounds what it reads, before buffering it: a checkpoint by `maxNoteLength` + 1 bytes, a tile by
 *   `maxTileLength` + 1, a bundle by `maxBundleLength` + 1. What is cut there is then found to be malformed.
 * - Bytes that it returned do not change afterwards.
 * - Several reads may be under way at once.
 */
export interface LogReader {
  /** The latest checkpoint, as a signed note. */
  checkpoint(): Promise<Uint8Array | "missing">;
  /** A tile, or an entry bundle with level `"entries"`; `width` 256 asks for the full one. */
  tile(level: TileLevel, n: number, width: number): Promise<Uint8Array | "missing">;
}

/**
 * Step T1: reads a tile of the exact width, or the full one in its place (spec/tiles.md). What answers anything but the
 * tile is as good as nothing: many a store of files says 403 of what it does not have.
 * @throws VerifierError `data_missing`, `log_unreachable`
 */
async function readTile(reader: LogReader, level: TileLevel, n: number, width: number): Promise<[Uint8Array, number]> {
  const exact = await ask(reader, level, n, width);
  if (exact instanceof Uint8Array) return [exact, width];
  const full = width < tileWidth ? await ask(reader, level, n, tileWidth) : "missing";
  if (full instanceof Uint8Array) return [full, tileWidth];
  for (const answer of [exact, full]) if (answer instanceof VerifierError) throw answer;
  const where = tilePath(level, n, width);
  throw new VerifierError("data_missing", `the log does not have ${where}, which its checkpoint implies`, { where });
}

async function ask(
  reader: LogReader,
  level: TileLevel,
  n: number,
  width: number,
): Promise<Uint8Array | "missing" | VerifierError> {
  try {
    return await reader.tile(level, n, width);
  } catch (error) {
    if (error instanceof VerifierError && error.code === "data_missing") return error;
    throw error;
  }
}

/**
 * Steps T1 and T2 for a tile of hashes.
 * @returns the first `width` hashes of the tile, 32 bytes each
 * @throws VerifierError `data_missing`, `tile_malformed`, `log_unreachable`
 */
export async function readHashes(reader: LogReader, level: number, n: number, width: number): Promise<Uint8Array> {
  const [bytes, served] = await readTile(reader, level, n, width);
  return parseTile(bytes, width, served, tilePath(level, n, served));
}

/**
 * Steps T1 and T2 for an entry bundle.
 * @returns the first `width` entries
 * @throws VerifierError `data_missing`, `tile_malformed`, `log_unreachable`
 */
export async function readEntries(reader: LogReader, n: number, width: number): Promise<Uint8Array[]> {
  const [bytes, served] = await readTile(reader, "entries", n, width);
  return parseBundle(bytes, width, served, tilePath("entries", n, served));
}

/**
 * Step T1 for the checkpoint.
 * @throws VerifierError `data_missing`, `log_unreachable`
 */
export async function readCheckpoint(reader: LogReader): Promise<Uint8Array> {
  const bytes = await reader.checkpoint();
  if (bytes !== "missing") return bytes;
  throw new VerifierError("data_missing", "the log does not have a checkpoint", { where: "checkpoint" });
}
