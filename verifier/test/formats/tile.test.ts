import fc from "fast-check";
import t from "tap";
import {
  levelLength,
  parseBundle,
  parseTile,
  parseTilePath,
  type TileLevel,
  tilePath,
  widthOf,
} from "../../src/formats/tile.ts";
import { type Bytes, bytesOf, checkCases, codeOr, readVectors, toHex } from "../support/vectors.ts";

type Fetched = { desc: string; bytes: Bytes; width: number; full: boolean; wantErr?: string };
const paths = readVectors<{
  cases: { desc: string; path: string; level?: TileLevel; n?: number; width?: number; wantErr?: string }[];
  sizes: { desc: string; size: number; levels: { full: number; partial: number }[] }[];
}>("tile-paths.json");
const bundles = readVectors<{ cases: (Fetched & { entries?: Bytes[] })[]; tiles: (Fetched & { hashes?: string[] })[] }>(
  "entry-bundles.json",
);

checkCases("paths", paths.cases, ({ path }) => {
  const found = parseTilePath(path);
  if (found === undefined) return { wantErr: "bad_parameter" };
  const { level, n, width } = found;
  return { level, n, width, path: tilePath(level, n, width) };
});

checkCases("sizes", paths.sizes, ({ size }) => {
  const levels: { full: number; partial: number }[] = [];
  for (let level = 0; level < 8; level++) {
    const length = levelLength(size, level);
    if (length === 0) break;
    const full = Math.floor(length / 256);
    levels.push({ full, partial: widthOf(length, full) });
  }
  return { levels };
});

const inHex = bundles.cases.map((one) =>
  one.entries === undefined ? one : { ...one, entries: one.entries.map((entry) => toHex(bytesOf(entry))) },
);
checkCases("bundles", inHex, ({ bytes, width, full }) =>
  codeOr(() => ({ entries: parseBundle(bytesOf(bytes), width, full ? 256 : width, "a bundle").map(toHex) })),
);

checkCases("tiles", bundles.tiles, ({ bytes, width, full }) =>
  codeOr(() => {
    const hashes = toHex(parseTile(bytesOf(bytes), width, full ? 256 : width, "a tile"));
    return { hashes: hashes.match(/.{64}/g) ?? [] };
  }),
);

t.test("any bytes are a bundle or refused as tile_malformed", async (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40, max: 3 }), fc.integer({ min: 1, max: 6 }), (bytes, width) => {
      const found = codeOr(() => ({ entries: parseBundle(bytes, width, width, "a bundle") }));
      return "wantErr" in found ? found.wantErr === "tile_malformed" : found.entries.length === width;
    }),
    { numRuns: 1000 },
  );
  t.pass();
});
