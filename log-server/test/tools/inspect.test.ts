import { createHash } from "node:crypto";
import t from "tap";
import { inspectLog, shapeOf } from "../../src/tools/inspect.ts";
import { ORIGIN } from "../support/folder.ts";
import { SIZE, stoppedLog } from "./log.ts";

t.test("a stopped log answers what it is asked", async (t) => {
  const folder = await stoppedLog(t);
  const config = folder.config();
  const [a, b] = folder.sources;
  const log = await inspectLog(config, { about: "log" });
  t.match(log, {
    origin: ORIGIN,
    size: SIZE,
    stored: SIZE,
    levels: [
      { level: "entries", full: 2, partial: 188 },
      { level: 0, full: 2, partial: 188 },
      { level: 1, full: 0, partial: 2 },
    ],
    sources: [
      { name: "a", epoch: 2, next: 300, chain: a!.chain().toString("base64") },
      { name: "b", epoch: 1, next: 40, vkey: b!.key.vkey },
    ],
  });
  t.match((log as { checkpoint: string }).checkpoint, `${ORIGIN}\n${SIZE}\n`);
  t.match(await inspectLog(config, { about: "source", name: "a" }), {
    epoch: 2,
    epochs: [
      { epoch: 1, entries: 300, firstIndex: 0, lastIndex: 349 },
      { epoch: 2, entries: 300, firstIndex: 400, lastIndex: 699 },
    ],
  });
  const bytes = a!.epochs[1]![1]!.bytes;
  t.match(await inspectLog(config, { about: "entry", index: 401 }), {
    bytes: bytes.length,
    text: bytes.toString(),
    leaf: createHash("sha256").update(Buffer.of(0)).update(bytes).digest("base64"),
    ofSource: true,
    bundle: "tile/entries/001",
    tile: "tile/0/001",
    size: SIZE,
    proof: { length: 10 },
  });
  t.match(await inspectLog(config, { about: "entry", index: 100 }), { text: "added 0", ofSource: false });
  t.same(await inspectLog(config, { about: "disclosures", index: 1 }), {
    about: "disclosures",
    index: 1,
    disclosures: [
      { name: "sql", value: "SELECT 0" },
      { name: "params", value: ["0"] },
    ],
  });
  t.match(await inspectLog(config, { about: "disclosures", index: 6 }), {
    disclosures: [{ name: "client.address", value: "192.0.2.1:5432" }],
  });
  t.match(await inspectLog(config, { about: "disclosures", index: 100 }), { disclosures: [] });
  await t.rejects(inspectLog(config, { about: "entry", index: SIZE }), { code: "beyond_tree" });
  await t.rejects(inspectLog(config, { about: "disclosures", index: SIZE }), { code: "beyond_tree" });
  await t.rejects(inspectLog(config, { about: "source", name: "c" }), { code: "not_found" });
});

t.test("the shape of a size", async (t) => {
  t.same(shapeOf(0), []);
  t.same(shapeOf(1), [
    { level: "entries", full: 0, partial: 1 },
    { level: 0, full: 0, partial: 1 },
  ]);
  t.same(shapeOf(70_000).slice(1), [
    { level: 0, full: 273, partial: 112 },
    { level: 1, full: 1, partial: 17 },
    { level: 2, full: 0, partial: 1 },
  ]);
});
