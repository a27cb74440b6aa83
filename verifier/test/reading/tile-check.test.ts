import t from "tap";
import { Findings } from "../../src/findings.ts";
import { Frontier } from "../../src/formats/frontier.ts";
import { TileCheck } from "../../src/reading/tile-check.ts";
import { MemoryLog } from "../support/memory-log.ts";

/** A tree of 65,536 entries and then some: a full tile of level 1, and the first hash of level 2. */
const log = new MemoryLog(Array.from({ length: 65536 + 256 }, (_, i) => `entry ${i}`));
const leaves = log.leaves();

async function check(log: MemoryLog, sizes: readonly number[]): Promise<string[]> {
  const findings = new Findings();
  const tiles = new TileCheck();
  const frontier = new Frontier();
  for (const size of sizes) {
    while (frontier.size < size) {
      frontier.append(leaves[frontier.size]!, tiles.sink);
      if (frontier.size % 256 === 0) await tiles.checkFull(log, findings);
    }
    await tiles.checkPartial(log, size, findings);
  }
  tiles.report(findings);
  return findings.list.map(({ code, where, index }) => `${code} ${where} ${index}`);
}

t.test("reads each tile above level 0 that the sizes imply, once, and none at an end that is full", async (t) => {
  log.asked.length = 0;
  t.same(await check(log, [300, 65536, 65536 + 256]), []);
  t.same(log.asked, ["tile/1/000.p/1", "tile/1/000", "tile/2/000.p/1", "tile/1/001.p/1", "tile/2/000.p/1"]);
});

t.test("says which hash differs, and the first entry under it", async (t) => {
  for (const [path, tile, at] of [
    ["tile/1/000", log.make(1, 0, 256), 7],
    ["tile/2/000.p/1", log.make(2, 0, 1), 0],
    ["tile/1/001.p/1", log.make(1, 1, 1), 0],
  ] as const) {
    const changed = Uint8Array.from(tile as Uint8Array);
    changed[at * 32 + 5] = changed[at * 32 + 5]! ^ 1;
    log.served.set(path, changed);
  }
  t.same(await check(log, [65536 + 256]), [
    `tile_malformed tile/1/000 ${7 * 256}`,
    "tile_malformed tile/1/001.p/1 65536",
    "tile_malformed tile/2/000.p/1 0",
  ]);
});
