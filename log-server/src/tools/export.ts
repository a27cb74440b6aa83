import { readFile } from "node:fs/promises";
import type { LogServerConfig } from "../config/config.ts";
import { LogServerError, reason } from "../errors.ts";
import { foldPerfect, HASH_BYTES, leafHash } from "../formats/merkle.ts";
import type { VerifierKey } from "../formats/note.ts";
import { countAt, TILE_WIDTH, type TileName, tilePath } from "../formats/tile.ts";
import { openCheckpoint, type SignedCheckpoint } from "../publish/guard.ts";
import { checkAgainstSigned } from "../publish/recovery.ts";
import { TreeReader } from "../tree/log.ts";
import { ExportFolder } from "./export-folder.ts";
import { lastCheckpoint, type StoppedLog, withStopped } from "./stopped.ts";

const CHECKPOINT = "checkpoint";

export interface ExportOptions {
  /** The folder; it is made if there is none. */
  readonly out: string;
  /** Whether to go on with what is there: an export that was interrupted, or one of a smaller tree. */
  readonly resume: boolean;
  /**
   * File with a checkpoint of this log to be exported instead of the last one: as it was served, with the witnesses'
   * cosignatures, which the store does not keep.
   */
  readonly checkpoint?: string | undefined;
  /** Called now and then with the entries exported, and their number. */
  readonly onProgress?: (done: number, size: number) => void;
}

export interface ExportReport {
  readonly origin: string;
  readonly size: number;
  /** Of the export that was there before; 0 when there was none. */
  readonly before: number;
  /** Files written now, the checkpoint not counted. */
  readonly written: number;
}

/**
 * Writes a log that does not run as files that any web server can serve (spec/tiles.md): the last signed checkpoint,
 * and each tile and bundle that its size implies. Everything is verified on the way. The checkpoint comes last, so
 * that the folder is at each moment an export of its own checkpoint, or has none.
 * @throws LogServerError as `openStopped`; `guard_missing`, `store_behind`, `store_disagrees`, `store_corrupt` when
 * the store is not the one signed; `bad_config` for the checkpoint given; `export_exists`, `export_disagrees`, `write_failed`
 */
export async function exportLog(config: LogServerConfig, options: ExportOptions): Promise<ExportReport> {
  return withStopped(config, async (log) => {
    const signed = await lastCheckpoint(log, config);
    if (signed === undefined) {
      const message = `the log ${config.origin} has not signed a checkpoint yet: start it once, and stop it`;
      throw new LogServerError("store_missing", message);
    }
    await checkAgainstSigned(log.store, signed, "the last checkpoint");
    const chosen = options.checkpoint === undefined ? signed : await readChosen(options.checkpoint, log, signed);
    const folder = await ExportFolder.open(options.out, options.resume);
    try {
      const earlier = await readEarlier(folder, options.out, log.keys);
      if (earlier !== undefined) await checkEarlier(new TreeReader(log.store, 0), earlier, { signed, chosen }, options);
      const before = earlier?.size ?? 0;
      const exporter = new Exporter(new TreeReader(log.store), folder, chosen.size, before);
      const written = await exporter.run(options.onProgress ?? (() => {}));
      await folder.settle();
      // CRASH: every file of the new size is there, and the old checkpoint, which a part of them serves.
      // One of the same size is replaced by one that was asked for alone: it may have cosignatures.
      if (earlier?.size !== chosen.size || options.checkpoint !== undefined) {
        await folder.write(CHECKPOINT, Buffer.from(chosen.note));
      }
      await folder.settle();
      return { origin: config.origin, size: chosen.size, before, written };
    } finally {
      await folder.close();
    }
  });
}

/** @throws LogServerError `bad_config` when it is not one of this log's checkpoints */
async function readChosen(path: string, log: StoppedLog, last: SignedCheckpoint): Promise<SignedCheckpoint> {
  try {
    const note = await readFile(path, "utf8");
    const chosen = openCheckpoint(note, 0, log.keys, path, "store_corrupt");
    if (chosen.size > last.size) throw new Error(`it is of ${chosen.size} entries, and the log signed ${last.size}`);
    await checkAgainstSigned(log.store, chosen, path);
    return chosen;
  } catch (error) {
    throw new LogServerError(
      "bad_config",
      `${path} is no checkpoint of this log: ${reason(error)}`,
      {},
      { cause: error },
    );
  }
}

async function readEarlier(
  folder: ExportFolder,
  path: string,
  keys: readonly VerifierKey[],
): Promise<SignedCheckpoint | undefined> {
  const note = await folder.read(CHECKPOINT);
  if (note === undefined) return undefined;
  try {
    return openCheckpoint(note.toString("utf8"), 0, keys, `the checkpoint in ${path}`, "store_corrupt");
  } catch (error) {
    const message = `${path} has a checkpoint that this log has not signed: name another folder`;
    throw new LogServerError("export_disagrees", message, {}, { cause: error });
  }
}

async function checkEarlier(
  reader: TreeReader,
  earlier: SignedCheckpoint,
  { signed, chosen }: { readonly signed: SignedCheckpoint; readonly chosen: SignedCheckpoint },
  { out, checkpoint }: ExportOptions,
): Promise<void> {
  const disagrees = (what: string): LogServerError =>
    new LogServerError("export_disagrees", `${out} has an export of ${earlier.size} entries${what}`);
  if (earlier.size > signed.size) {
    throw disagrees(`, and the store was signed over ${signed.size}: the store lost entries; do not start this log`);
  }
  if (!(await reader.root(earlier.size)).equals(earlier.root)) {
    throw disagrees(" with another root than the store has at that size: name another folder");
  }
  if (earlier.size <= chosen.size) return;
  throw disagrees(
    `, and the checkpoint ${checkpoint} is of ${chosen.size}: name another folder, or a later checkpoint`,
  );
}

/** Writes the tiles of a size that an earlier export did not have. */
class Exporter {
  readonly #reader: TreeReader;
  readonly #folder: ExportFolder;
  readonly #size: number;
  readonly #before: number;
  #written = 0;

  constructor(reader: TreeReader, folder: ExportFolder, size: number, before: number) {
    this.#reader = reader;
    this.#folder = folder;
    this.#size = size;
    this.#before = before;
  }

  async run(onProgress: (done: number, size: number) => void): Promise<number> {
    for (let number = Math.floor(this.#before / TILE_WIDTH); number * TILE_WIDTH < this.#size; number += 1) {
      await this.#bundle(number);
      onProgress(Math.min((number + 1) * TILE_WIDTH, this.#size), this.#size);
    }
    for (let level = 0; countAt(level, this.#size) > 0; level += 1) await this.#level(level);
    return this.#written;
  }

  async #bundle(number: number): Promise<void> {
    const first = number * TILE_WIDTH;
    const width = Math.min(TILE_WIDTH, this.#size - first);
    const entries = await this.#reader.entries(first, first + width);
    const hashes = await this.#reader.leafHashes(first, first + width);
    for (const [i, entry] of entries.entries()) {
      if (leafHash(entry).equals(hashes.subarray(i * HASH_BYTES, (i + 1) * HASH_BYTES))) continue;
      throw damaged(`entry ${first + i} does not hash to its leaf hash`, first + i);
    }
    await this.#write({ level: "entries", number, width });
  }

  async #level(level: number): Promise<void> {
    const count = countAt(level, this.#size);
    const before = countAt(level, this.#before);
    for (let number = Math.floor(before / TILE_WIDTH); number * TILE_WIDTH < count; number += 1) {
      const width = Math.min(TILE_WIDTH, count - number * TILE_WIDTH);
      if (level > 0) await this.#check(level, number, Math.max(before, number * TILE_WIDTH), width);
      await this.#write({ level, number, width });
    }
  }

  /** Holds the hashes of a tile from the `first`-th of its level on against the tiles below them. */
  async #check(level: number, number: number, first: number, width: number): Promise<void> {
    const hashes = await this.#reader.tile(level, number, width);
    for (let i = first - number * TILE_WIDTH; i < width; i += 1) {
      const below = await this.#reader.tile(level - 1, number * TILE_WIDTH + i, TILE_WIDTH);
      if (foldPerfect(below).equals(hashes.subarray(i * HASH_BYTES, (i + 1) * HASH_BYTES))) continue;
      const index = (number * TILE_WIDTH + i) * TILE_WIDTH ** level;
      throw damaged(`the entries from ${index} on do not hash to their place in level ${level}`, index);
    }
  }

  async #write(tile: TileName): Promise<void> {
    const name = tilePath(tile);
    const bytes = await this.#reader.tile(tile.level, tile.number, tile.width);
    const there = await this.#folder.read(name);
    // Of an export that was interrupted. A file that others may have seen is never replaced by another.
    if (there?.equals(bytes)) return;
    if (there !== undefined) {
      throw new LogServerError("export_disagrees", `${name} is there with other bytes: name another folder`);
    }
    await this.#folder.write(name, bytes);
    this.#written += 1;
  }
}

function damaged(what: string, index: number): LogServerError {
  return new LogServerError("store_corrupt", `${what}; see vitrine log fsck`, { index });
}
