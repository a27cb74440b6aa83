import t from "tap";
import { type AuditOptions, auditLog } from "../../src/audit/audit.ts";
import type { AuditReport } from "../../src/audit/reports.ts";
import { VerifierError } from "../../src/errors.ts";
import { parseVerifierKey } from "../../src/formats/key.ts";
import { maxBundleLength, maxTileLength, tilePath } from "../../src/formats/tile.ts";
import type { LogReader } from "../../src/reading/log-reader.ts";
import { MemoryLog } from "../support/memory-log.ts";
import { TestSource } from "../support/test-source.ts";

/** 600 entries: two full tiles and a partial one of 88, a level 1 tile of 2. */
const source = new TestSource();
source.run(591);
const honest = source.entries.map((entry) => Buffer.from(entry));

function newLog(entries: readonly Uint8Array[] = honest): MemoryLog {
  return new MemoryLog(entries);
}

function audit(log: MemoryLog, options: Partial<AuditOptions> = {}): Promise<AuditReport> {
  return auditLog(log, { key: parseVerifierKey(log.key.vkey), now: () => source.now, ...options });
}

function codes(report: AuditReport): string[] {
  return report.findings.map(({ code, where, index }) => [code, where, index].filter((x) => x !== undefined).join(" "));
}

t.test("an honest log", async (t) => {
  const log = newLog();
  t.equal(log.size, 600);
  const report = await audit(log);
  t.same([report.verdict, codes(report), report.size, report.from], ["PASS", [], 600, 0]);
  t.equal(report.keep?.audit?.size, 600);
  t.match(report.conclusion, /first contact/);
  t.same([...new Set(log.asked)].sort(), [
    "checkpoint",
    "tile/0/000",
    "tile/0/001",
    "tile/0/002.p/88",
    "tile/1/000.p/2",
    "tile/entries/000",
    "tile/entries/001",
    "tile/entries/002.p/88",
  ]);
});

t.test("the empty log", async (t) => {
  const report = await audit(newLog([]));
  t.same([report.verdict, codes(report), report.size], ["PASS", [], 0]);
});

t.test("T1: whatever is missing, the verdict is NOT PROVEN and nothing is kept of the entries", async (t) => {
  const tiles = ["tile/0/000", "tile/0/001", "tile/0/002.p/88", "tile/1/000.p/2"];
  const bundles = ["tile/entries/000", "tile/entries/001", "tile/entries/002.p/88"];
  for (const path of [...tiles, ...bundles]) {
    const log = newLog();
    log.served.set(path, "missing");
    const report = await audit(log);
    t.same([report.verdict, codes(report)], ["NOT PROVEN", [`data_missing ${path}`]], path);
    t.equal(report.keep?.audit, null);
  }
  const log = newLog();
  log.served.set("checkpoint", "missing");
  const report = await audit(log);
  t.same([report.verdict, codes(report), report.keep], ["NOT PROVEN", ["data_missing checkpoint"], undefined]);
});

t.test("T1: a contradiction is not covered up by withholding a tile that is not needed for it", async (t) => {
  const entries = honest.toSpliced(300, 1);
  const log = newLog(entries);
  log.served.set("tile/1/000.p/2", "missing");
  const report = await audit(log);
  t.equal(report.verdict, "FAIL");
  t.same(codes(report), ["data_missing tile/1/000.p/2", "sequence_gap 300"]);
});

t.test("T1: a partial tile that is gone is read from the full one", async (t) => {
  const log = newLog([...honest, ...honest.slice(0, 200)]);
  const note = log.note(600);
  log.served.set("checkpoint", note);
  for (const path of ["tile/0/002.p/88", "tile/entries/002.p/88", "tile/1/000.p/2"]) log.served.set(path, "missing");
  log.served.set("tile/1/000", Buffer.concat([log.make(1, 0, 2) as Uint8Array, Buffer.alloc(254 * 32, 1)]));
  const report = await audit(log);
  t.same([report.verdict, codes(report)], ["PASS", []]);
  t.ok(log.asked.includes("tile/0/002") && log.asked.includes("tile/entries/002"));
});

t.test("T2: tiles and bundles of another length", async (t) => {
  const log = newLog();
  const cases: [string, Uint8Array][] = [];
  for (const [path, bytes] of [
    ["tile/0/001", log.make(0, 1, 256)],
    ["tile/0/002.p/88", log.make(0, 2, 88)],
    ["tile/1/000.p/2", log.make(1, 0, 2)],
    ["tile/entries/001", log.make("entries", 1, 256)],
    ["tile/entries/002.p/88", log.make("entries", 2, 88)],
  ] as [string, Uint8Array][]) {
    cases.push([path, bytes.subarray(0, -1)], [path, bytes.subarray(0, -32)], [path, new Uint8Array(0)]);
    cases.push([path, Buffer.concat([bytes, Uint8Array.of(0)])], [path, Buffer.concat([bytes, bytes.subarray(0, 32)])]);
  }
  for (const [path, bytes] of cases) {
    const lying = newLog();
    lying.served.set(path, bytes);
    const report = await audit(lying);
    t.same([report.verdict, codes(report)], ["FAIL", [`tile_malformed ${path}`]], `${path} of ${bytes.length} bytes`);
  }
});

t.test("T2: an answer without end, cut by the reader, is malformed and nothing else", async (t) => {
  for (const [path, length] of [
    ["tile/0/000", maxTileLength + 1],
    ["tile/entries/000", maxBundleLength + 1],
  ] as const) {
    const log = newLog();
    log.served.set(path, new Uint8Array(length));
    t.same(codes(await audit(log)), [`tile_malformed ${path}`]);
  }
  const log = newLog();
  log.served.set("checkpoint", new Uint8Array(65537).fill(0x41));
  t.same(codes(await audit(log)), ["note_malformed checkpoint"]);
});

t.test("T2: a tile above the others that is not the one that the entries give", async (t) => {
  const log = newLog();
  const tile = Buffer.from(log.make(1, 0, 2) as Uint8Array);
  tile[40] = tile[40]! ^ 1;
  log.served.set("tile/1/000.p/2", tile);
  const report = await audit(log);
  t.same([report.verdict, codes(report)], ["FAIL", ["tile_malformed tile/1/000.p/2 256"]]);
});

t.test("T3: says which entries differ from their tile, and nothing of what they say", async (t) => {
  const entries = [...honest];
  entries[77] = Buffer.from(entries[77]!.toString().replace("SELECT 1", "SELECT 2"));
  entries[400] = Buffer.from("not an entry");
  const log = newLog();
  log.showInBundles(entries);
  const report = await audit(log);
  t.equal(report.verdict, "FAIL");
  t.same(codes(report), ["leaf_mismatch tile/0/000 77", "leaf_mismatch tile/0/001 400", "root_mismatch"]);
  t.equal(report.firstBadIndex, 77);
  t.same(report.sources, []);
  t.equal(report.keep?.audit, null);
});

t.test("T4: entries and all tiles changed along", async (t) => {
  const entries = [...honest];
  entries[300] = Buffer.from(entries[300]!.toString().replace("alice", "mallo"));
  const log = newLog(entries);
  log.served.set("checkpoint", newLog().note());
  const report = await audit(log);
  t.same([report.verdict, codes(report)], ["FAIL", ["root_mismatch"]]);
  t.match(report.findings[0]?.message, /cannot be told where/);
});

t.test("T4: entries and level 0 changed along, the tiles above not: says where", async (t) => {
  const entries = [...honest];
  entries[300] = Buffer.from(entries[300]!.toString().replace("alice", "mallo"));
  const log = newLog(entries);
  const truth = newLog();
  log.served.set("checkpoint", truth.note());
  log.served.set("tile/1/000.p/2", truth.make(1, 0, 2) as Uint8Array);
  const report = await audit(log);
  t.same([report.verdict, codes(report)], ["FAIL", ["root_mismatch 256"]]);
  t.match(report.findings[0]?.message, /the entries 256 to 511/);
});

t.test("T4: hashes of level 0 left as they were, so T3 finds the entry", async (t) => {
  const log = newLog();
  log.showInBundles(honest.with(599, Buffer.from("x")));
  t.same(codes(await audit(log)), ["leaf_mismatch tile/0/002.p/88 599", "root_mismatch"]);
});

t.test("a log that does not answer gives no verdict", async (t) => {
  for (const path of ["checkpoint", "tile/0/001", "tile/entries/001", "tile/1/000.p/2"]) {
    const log = newLog();
    const unless = <Bytes>(asked: string, read: () => Promise<Bytes>): Promise<Bytes> =>
      asked === path ? Promise.reject(new VerifierError("log_unreachable", "connection refused")) : read();
    const failing: LogReader = {
      checkpoint: () => unless("checkpoint", () => log.checkpoint()),
      tile: (level, n, width) => unless(tilePath(level, n, width), () => log.tile(level, n, width)),
    };
    await t.rejects(auditLog(failing, { key: parseVerifierKey(log.key.vkey) }), { code: "log_unreachable" }, path);
  }
});

t.test("a signed size without end is not begun with", async (t) => {
  const log = newLog();
  log.served.set("checkpoint", log.note(2 ** 53 - 1, log.root(600)));
  const report = await audit(log);
  t.same([report.verdict, codes(report)], ["NOT PROVEN", ["data_missing tile/entries/002"]]);
});
