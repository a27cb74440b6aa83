import type { Findings } from "../findings.ts";
import type { NodeSink } from "../formats/frontier.ts";
import { equalBytes, hashLength } from "../formats/merkle.ts";
import { levelLength, tileHeight, tilePath, tileWidth, widthOf } from "../formats/tile.ts";
import { type LogReader, readHashes } from "./log-reader.ts";

type Run = { start: number; hashes: Uint8Array[] };

/** A tile that is not the one that the entries give. */
type Doubt = { message: string; where: string; index: number };

/**
 * Steps T1 and T2 for the tiles above level 0: they can be had, and hold the hashes that the entries give. Of each
 * level only the hashes of the tile at its end are kept.
 */
export class TileCheck {
  /** By level. `start` is the position of the first hash that was computed here and not yet compared. */
  readonly #levels: (Run | undefined)[] = [];
  #full: { level: number; run: Run }[] = [];
  readonly #doubts: Doubt[] = [];

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
    for (const { level, run, width } of this.#partial(size)) await this.#check(reader, level, run, width, findings);
  }

  /**
   * In the middle of a tree of this size.
   * @returns whether all tiles so far hold the hashes that the entries give, those that are not filled yet included
   * @throws VerifierError when one of these cannot be had
   */
  async fits(reader: LogReader, size: number): Promise<boolean> {
    if (this.#doubts.length > 0) return false;
    for (const { level, run, width } of this.#partial(size)) {
      if ((await compare(reader, level, run, width)) !== undefined) return false;
    }
    return true;
  }

  *#partial(size: number): Generator<{ level: number; run: Run; width: number }> {
    for (let level = 1; level < this.#levels.length; level++) {
      const run = this.#levels[level];
      if (run === undefined) continue;
      yield { level, run, width: widthOf(levelLength(size, level), Math.floor(run.start / tileWidth)) };
    }
  }

  async #check(reader: LogReader, level: number, run: Run, width: number, findings: Findings): Promise<void> {
    try {
      const doubt = await compare(reader, level, run, width);
      if (doubt !== undefined) this.#doubts.push(doubt);
    } catch (error) {
      findings.addError(error);
    }
  }

  /** Reports the tiles that differ. Only for a tree whose root is the one signed: else it is the entries that differ. */
  report(findings: Findings): void {
    for (const { message, where, index } of this.#doubts) findings.add("tile_malformed", message, { where, index });
    this.#doubts.length = 0;
  }
}

/** @throws VerifierError when the tile cannot be had, or is malformed */
async function compare(reader: LogReader, level: number, run: Run, width: number): Promise<Doubt | undefined> {
  const n = Math.floor(run.start / tileWidth);
  const offset = run.start % tileWidth;
  const tile = await readHashes(reader, level, n, width);
  const at = run.hashes.findIndex((hash, i) => {
    const start = (offset + i) * hashLength;
    return !equalBytes(hash, tile.subarray(start, start + hashLength));
  });
  if (at < 0) return undefined;
  const where = tilePath(level, n, width);
  const index = (run.start + at) * tileWidth ** level;
  return { message: `hash ${offset + at} of ${where} is not the one that the entries give`, where, index };
}
