import type { Findings } from "./findings.ts";
import type { NodeSink } from "./frontier.ts";
import { type LogReader, readHashes } from "./log-reader.ts";
import { equalBytes, hashLength } from "./merkle.ts";
import { levelLength, tileHeight, tilePath, tileWidth, widthOf } from "./tile.ts";

type Run = { start: number; hashes: Uint8Array[] };

/**
 * Steps T1 and T2 for the tiles above level 0: they can be had, and hold the hashes that the entries give. Of each
 * level only the hashes of the tile at its end are kept.
 */
export class TileCheck {
  /** By level. `start` is the position of the first hash that was computed here and not yet compared. */
  readonly #levels: (Run | undefined)[] = [];
  #full: { level: number; run: Run }[] = [];
  readonly #doubts: { message: string; where: string; index: number }[] = [];

  /** To be given to {@link Frontier.append}. */
  readonly sink: NodeSink = (height, position, hash) => {
    if (height === 0 || height % tileHeight !== 0) return;
    const level = height / tileHeight;
    let run = this.#levels[level];
    if (run === undefined) {
      run = { start: position, hashes: [] };
      this.#levels[level] = run;
    }
    run.hashes.push(hash);
    if ((position + 1) % tileWidth === 0) {
      this.#full.push({ level, run });
      this.#levels[level] = undefined;
    }
  };

  /** Compares the tiles that were filled since the last call. */
  async checkFull(reader: LogReader, findings: Findings): Promise<void> {
    if (this.#full.length === 0) return;
    const full = this.#full;
    this.#full = [];
    for (const { level, run } of full) await this.#check(reader, level, run, tileWidth, findings);
  }

  /** Compares the partial tiles at the end of a tree of this size. */
  async checkPartial(reader: LogReader, size: number, findings: Findings): Promise<void> {
    for (let level = 1; level < this.#levels.length; level++) {
      const run = this.#levels[level];
      if (run === undefined) continue;
      const width = widthOf(levelLength(size, level), Math.floor(run.start / tileWidth));
      await this.#check(reader, level, run, width, findings);
    }
  }

  async #check(reader: LogReader, level: number, run: Run, width: number, findings: Findings): Promise<void> {
    const n = Math.floor(run.start / tileWidth);
    const offset = run.start % tileWidth;
    let tile: Uint8Array;
    try {
      tile = await readHashes(reader, level, n, width);
    } catch (error) {
      findings.addError(error);
      return;
    }
    const at = run.hashes.findIndex((hash, i) => {
      const start = (offset + i) * hashLength;
      return !equalBytes(hash, tile.subarray(start, start + hashLength));
    });
    if (at < 0) return;
    const where = tilePath(level, n, width);
    const index = (run.start + at) * tileWidth ** level;
    this.#doubts.push({
      message: `hash ${offset + at} of ${where} is not the one that the entries give`,
      where,
      index,
    });
  }

  /** Reports the tiles that differ. Only for a tree whose root is the one signed: else it is the entries that differ. */
  report(findings: Findings): void {
    for (const { message, where, index } of this.#doubts) findings.add("tile_malformed", message, { where, index });
    this.#doubts.length = 0;
  }
}
