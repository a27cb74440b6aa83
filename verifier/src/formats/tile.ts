import { VerifierError } from "../errors.ts";
import { hashLength } from "./merkle.ts";
import { isCount, parseDecimal } from "./text.ts";

/** Tiles of C2SP tlog-tiles (spec/tiles.md). A level is a number, or `"entries"` for entry bundles. */
export type TileLevel = number | "entries";

export const tileWidth = 256;
/** Each tile level spans this many levels of the binary tree. */
export const tileHeight = 8;
export const maxTileLength: number = tileWidth * hashLength;
export const maxBundleLength: number = tileWidth * (2 + 65535);

/**
 * @param level 0 to 63, or `"entries"`
 * @param n the tile's number
 * @param width number of hashes or entries: 256 for a full tile
 * @returns the path below the log's URL, without leading slash
 */
export function tilePath(level: TileLevel, n: number, width: number): string {
  if (!isCount(n) || !(width >= 1 && width <= tileWidth)) throw new Error(`no such tile: ${level} ${n} ${width}`);
  let rest = n;
  let path = String(rest % 1000).padStart(3, "0");
  while (rest >= 1000) {
    rest = Math.floor(rest / 1000);
    path = `x${String(rest % 1000).padStart(3, "0")}/${path}`;
  }
  return `tile/${level}/${path}${width === tileWidth ? "" : `.p/${width}`}`;
}

/** @returns what a path names, or undefined when it is not the canonical path of a tile. */
export function parseTilePath(path: string): { level: TileLevel; n: number; width: number } | undefined {
  const parts = /^tile\/(entries|[0-9]{1,2})\/((?:x[0-9]{3}\/)*[0-9]{3})(?:\.p\/([0-9]{1,3}))?$/.exec(path);
  if (parts === null) return undefined;
  const level = parts[1] === "entries" ? "entries" : parseDecimal(parts[1]!);
  const n = Number(parts[2]!.replaceAll("/", "").replaceAll("x", ""));
  const width = parts[3] === undefined ? tileWidth : parseDecimal(parts[3]);
  if (level === undefined || (level !== "entries" && level > 63) || !isCount(n)) return undefined;
  if (width === undefined || width < 1 || (parts[3] !== undefined && width >= tileWidth)) return undefined;
  return tilePath(level, n, width) === path ? { level, n, width } : undefined;
}

/** @returns how many hashes level `level` has in a tree of `size` entries. */
export function levelLength(size: number, level: number): number {
  return Math.floor(size / tileWidth ** level);
}

/** @returns the width that tile `n` has in a level of `length` hashes, 0 when it has none. */
export function widthOf(length: number, n: number): number {
  return Math.max(0, Math.min(tileWidth, length - n * tileWidth));
}

/**
 * Step T2 for a tile of hashes.
 * @param bytes what was fetched under the path for `served` hashes
 * @param width how many of its first hashes are wanted
 * @returns the wanted hashes, 32 bytes each, in one array
 * @throws VerifierError `tile_malformed`
 */
export function parseTile(bytes: Uint8Array, width: number, served: number, where: string): Uint8Array {
  if (bytes.length !== served * hashLength) {
    const message = `${where} has ${bytes.length} bytes; a tile of ${served} hashes has ${served * hashLength}`;
    throw new VerifierError("tile_malformed", message, { where });
  }
  return bytes.subarray(0, width * hashLength);
}

/**
 * Step T2 for an entry bundle.
 * @param served how many entries a bundle under this path has
 * @param width how many of its first entries are wanted
 * @returns the wanted entries, as views of `bytes`
 * @throws VerifierError `tile_malformed`
 */
export function parseBundle(bytes: Uint8Array, width: number, served: number, where: string): Uint8Array[] {
  const entries: Uint8Array[] = [];
  let at = 0;
  while (at < bytes.length) {
    if (entries.length === served) throw badBundle(where, `it has bytes behind its ${served} entries`);
    const start = at + 2;
    if (start > bytes.length) throw badBundle(where, `it ends inside the length of entry ${entries.length}`);
    const end = start + bytes[at]! * 256 + bytes[at + 1]!;
    if (end > bytes.length) throw badBundle(where, `it ends inside entry ${entries.length}`);
    entries.push(bytes.subarray(start, end));
    at = end;
  }
  if (entries.length !== served) throw badBundle(where, `it has ${entries.length} entries and should have ${served}`);
  if (width < served) entries.length = width;
  return entries;
}

function badBundle(where: string, why: string): VerifierError {
  return new VerifierError("tile_malformed", `${where} is not an entry bundle: ${why}`, { where });
}
