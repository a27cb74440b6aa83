import t from "tap";
import { LogServerError } from "../../src/errors.ts";
import { bundleEntries, countAt, parseTilePath, TILE_LEVELS, TILE_WIDTH, tilePath } from "../../src/formats/tile.ts";
import { type Bytes, bytesOf, vectors } from "../support/vectors.ts";

t.test("paths: vectors", async (t) => {
  interface File {
    cases: { desc: string; path: string; level?: number | "entries"; n?: number; width?: number; wantErr?: string }[];
    sizes: { size: number; levels: { full: number; partial: number }[] }[];
  }
  const { cases, sizes } = vectors<File>("tile-paths.json");
  for (const { desc, path, level, n, width, wantErr } of cases) {
    if (wantErr !== undefined) {
      t.throws(() => parseTilePath(path), { code: wantErr }, `${desc}: ${path}`);
      continue;
    }
    const tile = parseTilePath(path);
    t.same(tile, { level, number: n, width }, `${desc}: ${path}`);
    t.equal(tilePath(tile), path);
  }
  for (const { size, levels } of sizes) {
    for (const [level, { full, partial }] of levels.entries()) {
      const count = countAt(level, size);
      t.same([Math.floor(count / TILE_WIDTH), count % TILE_WIDTH], [full, partial], `size ${size}, level ${level}`);
    }
    t.equal(countAt(levels.length, size), 0, `size ${size} has ${levels.length} levels`);
  }
});

t.test("a path that is not canonical is refused, and the error says how it is written", async (t) => {
  t.throws(
    () => parseTilePath("tile/0/x000/001"),
    new LogServerError("bad_parameter", "tile/0/x000/001 is not the path of a tile: the number is written tile/0/001"),
  );
  for (const path of [
    "tile/0/1",
    "tile/00/001",
    "tile/64/001",
    "tile/0/001.p/0",
    "tile/0/001.p/256",
    "tile/0/001.p/01",
    "tile/0/000/001",
    "tile/entries/x001",
    "tile/data/001",
    "tile/0/001/",
    "tile/0/001.p/",
    "tile/0/x999/x999/x999/x999/x999/999",
  ]) {
    t.throws(() => parseTilePath(path), { code: "bad_parameter" }, path);
  }
});

t.test("the largest tree has hashes at level 6 and none at level 7", async (t) => {
  t.ok(countAt(TILE_LEVELS - 1, Number.MAX_SAFE_INTEGER) > 0);
  t.equal(countAt(TILE_LEVELS, Number.MAX_SAFE_INTEGER), 0);
});

t.test("bundles: vectors", async (t) => {
  interface File {
    cases: { desc: string; bytes: Bytes; width: number; full?: boolean; entries?: Bytes[]; wantErr?: string }[];
  }
  for (const { desc, bytes, width, full, entries, wantErr } of vectors<File>("entry-bundles.json").cases) {
    const bundle = bytesOf(bytes);
    const found = bundleEntries(bundle, width);
    if (wantErr === undefined) {
      t.same(found, entries!.map(bytesOf), desc);
      continue;
    }
    // The reader of bundles that others made checks more: that nothing follows, and that a full one is full.
    const whole = found?.length === width && found.reduce((sum, entry) => sum + 2 + entry.length, 0) === bundle.length;
    t.notOk(whole && !full, desc);
  }
});
