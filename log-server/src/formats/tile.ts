import { LogServerError } from "../errors.ts";
import { parseDecimal } from "./encoding.ts";

/** Hashes in a full tile, entries in a full bundle (C2SP tlog-tiles). */
export const TILE_WIDTH = 256;

/** The levels that a tree of at most 2^53 − 1 entries has hashes in: floor(53 / 8) and below. */
export const TILE_LEVELS = 7;

/** What a tile holds: hashes of a level, or entries. */
export type TileLevel = number | "entries";

/** A tile as a path names it. */
export interface TileName {
  readonly level: TileLevel;
  readonly number: number;
  /** 1 to 256; 256 is the full tile, whose path has no width. */
  readonly width: number;
}

/** @returns the path of a tile below the log's URL, without a leading slash. */
export function tilePath(tile: TileName): string {
  const digits = String(tile.number);
  const groups = digits.padStart(Math.ceil(digits.length / 3) * 3, "0").match(/.{3}/g)!;
  const number = groups.map((group, i) => (i < groups.length - 1 ? `x${group}` : group)).join("/");
  return `tile/${tile.level}/${number}${tile.width < TILE_WIDTH ? `.p/${tile.width}` : ""}`;
}

function bad(path: string, what: string): LogServerError {
  return new LogServerError("bad_parameter", `${path} is not the path of a tile: ${what}`, { parameter: "path" });
}

/**
 * Parses a tile's path (spec/tiles.md).
 * @param path without a leading slash
 * @throws LogServerError `bad_parameter`, unless encoding the numbers again gives the same path
 */
export function parseTilePath(path: string): TileName {
  const match = /^tile\/(entries|[0-9]{1,2})\/((?:x[0-9]{3}\/){0,5}[0-9]{3})(?:\.p\/([0-9]{1,3}))?$/.exec(path);
  if (match === null) throw bad(path, "expected tile/<level or entries>/<number in groups of three>[.p/<width>]");
  const level: TileLevel | undefined = match[1] === "entries" ? "entries" : parseDecimal(match[1]!);
  if (level === undefined || (level !== "entries" && level > 63)) throw bad(path, "the level is 0 to 63");
  const number = Number(match[2]!.replaceAll(/[x/]/g, ""));
  if (!Number.isSafeInteger(number)) throw bad(path, "the number is over 2^53 − 1");
  const width = match[3] === undefined ? TILE_WIDTH : parseDecimal(match[3]);
  if (width === undefined || width === 0 || (match[3] !== undefined && width >= TILE_WIDTH)) {
    throw bad(path, "the width of a partial tile is 1 to 255");
  }
  const tile: TileName = { level, number, width };
  if (tilePath(tile) !== path) throw bad(path, `the number is written ${tilePath(tile)}`);
  return tile;
}

/** @returns how many hashes (or entries) of the level the tree of this size has. */
export function countAt(level: TileLevel, size: number): number {
  return level === "entries" ? size : Math.floor(size / TILE_WIDTH ** level);
}

/**
 * Cuts the first entries off an entry bundle.
 * @param bundle `u16 length || entry`, repeated
 * @returns views into the bundle; fewer than `count` if it ends before, undefined if it ends inside an entry
 */
export function bundleEntries(bundle: Buffer, count: number): Buffer[] | undefined {
  const entries: Buffer[] = [];
  let offset = 0;
  while (entries.length < count && offset < bundle.length) {
    if (offset + 2 > bundle.length) return undefined;
    const end = offset + 2 + bundle.readUInt16BE(offset);
    if (end > bundle.length) return undefined;
    entries.push(bundle.subarray(offset + 2, end));
    offset = end;
  }
  return entries;
}
