import fc from "fast-check";
import t from "tap";
import { VerifierError } from "../../src/errors.ts";
import { parseRecord } from "../../src/evidence/record.ts";
import { type RecordOptions, type RecordReport, verifyRecord } from "../../src/evidence/verify-record.ts";
import { parseVerifierKey } from "../../src/formats/key.ts";
import { SignedTree } from "../../src/reading/signed-tree.ts";
import { testKey } from "../support/keys.ts";
import { MemoryLog } from "../support/memory-log.ts";
import { naiveLeaf, sha256 } from "../support/naive-tree.ts";
import { makeRecord } from "../support/test-record.ts";
import { TestSource } from "../support/test-source.ts";

/** Two epochs of a source, between those of another one: 1,250 entries, two levels of full tiles and partial ones. */
const source = new TestSource();
source.run(600);
source.start();
source.session(1);
for (let i = 0; i < 40; i++) source.statement(1);
source.seal();
const other = new TestSource("proxy-b.example");
other.run(580);
const honest: Buffer[] = [];
for (let i = 0; i < Math.max(source.entries.length, other.entries.length); i += 50) {
  honest.push(
    ...[...source.entries.slice(i, i + 50), ...other.entries.slice(i, i + 50)].map((text) => Buffer.from(text)),
  );
}
const header = { origin: "log.example/vitrine", source: source.key.name, vkey: source.key.vkey };
const lines = makeRecord(header, honest);

function check(
  log: MemoryLog,
  record: readonly string[] | Uint8Array = lines,
  options: Partial<RecordOptions> = {},
): Promise<RecordReport> {
  const bytes = record instanceof Uint8Array ? record : Buffer.from(`${record.join("\n")}\n`);
  return verifyRecord(bytes, log, { key: parseVerifierKey(log.key.vkey), ...options });
}

function codes({ findings }: RecordReport): string[] {
  return [...new Set(findings.map(({ code }) => code))];
}

/** The line with some of its members changed. */
function changed(line: string, members: Record<string, unknown>): string {
  return JSON.stringify({ ...(JSON.parse(line) as object), ...members });
}

t.test("an honest log has what it acknowledged", async (t) => {
  const log = new MemoryLog(honest);
  const report = await check(log);
  t.same([report.verdict, codes(report)], ["PASS", []]);
  t.same(
    [report.ranges, report.entries, report.shown],
    [lines.length - 1, source.entries.length, source.entries.length],
  );
  t.match(report.conclusion, /all 653 entries that the record names/);
  t.equal(new Set(log.asked).size, log.asked.length, "nothing is read twice");
  // Cut otherwise, as batches fall, it is the same record.
  const cut = makeRecord(header, honest, (index) => index % 7 === 0);
  t.ok(cut.length > 2 * lines.length);
  t.equal((await check(log, cut)).verdict, "PASS");
  // One that begins in the middle, as after a rotation.
  t.equal((await check(log, [lines[0]!, ...lines.slice(5)])).verdict, "PASS");
});

/** Three levels of tiles; its entries are none. */
const large = new MemoryLog(Array.from({ length: 65_600 }, (_, i) => Buffer.from(String(i))));

t.test("trees of all shapes", async (t) => {
  for (const size of [1, 255, 256, 257, 512, 65_536, 65_600]) {
    const log = size > 1000 ? large : new MemoryLog(large.entries.slice(0, size));
    const tree = new SignedTree(log, size, log.root(size));
    for (const n of new Set([0, Math.floor((size - 1) / 512), Math.floor((size - 1) / 256)])) {
      const { entries: read } = await tree.bundle(n);
      t.equal(Buffer.from(read[0]!).toString(), String(n * 256), `${n} of ${size}`);
    }
  }
});

t.test("R1: what is no record, a torn end and a repeated line", async (t) => {
  const text = `${lines.join("\n")}\n`;
  const torn = parseRecord(Buffer.from(`${text}${lines[1]!.slice(0, 40)}`));
  t.same([torn.torn, torn.ranges.length], [true, lines.length - 1]);
  const insideCharacter = parseRecord(Buffer.concat([Buffer.from(text), Buffer.from("é").subarray(0, 1)]));
  t.equal(insideCharacter.torn, true);
  t.equal((await check(new MemoryLog(honest), Buffer.from(`${text}{"epo`))).verdict, "PASS");
  const repeated = [...lines, lines.at(-1)!];
  t.equal(parseRecord(Buffer.from(`${repeated.join("\n")}\n`)).ranges.length, lines.length - 1);
  const [head, one] = lines as [string, string];
  const cases: [string, ...string[]][] = [
    [""],
    [head],
    [one],
    [head, ""],
    [head, "{"],
    [head, "[]"],
    [head, `${one} `],
    [head, one.replace(":", ": ")],
    [head, changed(one, { more: 1 })],
    [head, JSON.stringify(Object.fromEntries(Object.entries(JSON.parse(one) as object).reverse()))],
    [head, changed(one, { epoch: 0 })],
    [head, changed(one, { epoch: "1" })],
    [head, changed(one, { seq: -1 })],
    [head, changed(one, { seq: 2 ** 53 - 1 })],
    [head, changed(one, { index: 2 ** 53 })],
    [head, changed(one, { count: 0 })],
    [head, changed(one, { count: 4097 })],
    [head, changed(one, { after: "AAAA" })],
    [head, one.replace(/"after":"(.)/, '"after":"\\n$1')],
    [head.replace("submitted/v1", "submitted/v2"), one],
    [changed(head, { source: "a b" }), one],
    [changed(head, { origin: "a b" }), one],
    ["null", one],
    [head, "null"],
    [changed(head, { vkey: 7 }), one],
    [changed(head, { more: 7 }), one],
  ];
  for (const record of cases) {
    const report = await check(new MemoryLog(honest), record);
    t.same([report.verdict, codes(report), report.record], ["FAIL", ["record_malformed"], undefined], record.join());
  }
});

t.test("R2: of another log, another source, another key", async (t) => {
  const log = new MemoryLog(honest);
  const cases: [Record<string, string>, Partial<RecordOptions>?][] = [
    [{ origin: "log.example/other" }],
    [{ vkey: other.key.vkey }],
    [{ vkey: "nonsense" }],
    [{}, { pins: new Map([[header.source, parseVerifierKey(testKey(header.source, Buffer.alloc(32, 3)).vkey)]]) }],
  ];
  for (const [members, options] of cases) {
    const report = await check(log, [changed(lines[0]!, members), ...lines.slice(2, -1)], options);
    t.same([report.verdict, codes(report)], ["FAIL", ["record_mismatch"]], JSON.stringify(members));
  }
  t.equal(
    (await check(log, lines, { pins: new Map([[header.source, parseVerifierKey(header.vkey)]]) })).verdict,
    "PASS",
  );
});

t.test("R3: ranges that do not follow one another, although the log has each of them", async (t) => {
  const log = new MemoryLog(honest);
  const moved = [...lines];
  moved.splice(3, 2, lines[4]!, lines[3]!);
  const finer = makeRecord(header, honest, (index) => index % 7 === 0);
  const epochTwo = finer.findIndex((line) => line.includes('"epoch":2'));
  const cases: [readonly string[], number][] = [
    [lines.toSpliced(3, 1), 4],
    [moved, 4],
    [[...lines.slice(0, 4), lines[2]!, ...lines.slice(4)], 5],
    [finer.toSpliced(epochTwo, 1), epochTwo + 1],
  ];
  for (const [record, line] of cases) {
    const report = await check(log, record);
    t.same([report.verdict, codes(report)], ["FAIL", ["record_broken"]]);
    t.equal(report.firstBad?.line, line);
  }
  // Its seventh range begins another history of the same length.
  const before = Buffer.alloc(32, 1).toString("base64");
  const broken = await check(log, lines.with(6, changed(lines[6]!, { before })));
  t.ok(codes(broken).includes("record_broken"));
  const zero = await check(log, lines.with(1, changed(lines[1]!, { before })));
  t.ok(codes(zero).includes("record_broken"));
  t.equal(zero.firstBad?.line, 2);
});

/** A range over entries that stand side by side, with a chain that fits them, whatever they are. */
function rangeOf(entries: readonly string[], place: { epoch: number; seq: number; index: number }, chain: Uint8Array) {
  let after = chain;
  for (const entry of entries) after = sha256(after, naiveLeaf(Buffer.from(entry)));
  const { epoch, seq, index } = place;
  const [from, to] = [chain, after].map((bytes) => Buffer.from(bytes).toString("base64"));
  return { after, line: JSON.stringify({ epoch, seq, count: entries.length, index, before: from, after: to }) };
}

t.test("R3 and R8: a record and a log that agree in everything but one thing", async (t) => {
  const head = lines[0]!;
  const zero = Buffer.alloc(32);
  const own = source.entries;
  const a = rangeOf(own.slice(0, 10), { epoch: 1, seq: 0, index: 10 }, zero);
  const b = rangeOf(own.slice(10, 20), { epoch: 1, seq: 10, index: 0 }, a.after);
  const gap = rangeOf(own.slice(20, 30), { epoch: 1, seq: 20, index: 20 }, a.after);
  const start = own.findIndex((entry) => entry.includes('"epoch":2'));
  const second = own.slice(start, start + 10);
  t.match(JSON.parse(second[0]!), { epoch: 2, seq: 0 });
  const late = rangeOf(second, { epoch: 2, seq: 0, index: 0 }, zero);
  const back = rangeOf(own.slice(10, 20), { epoch: 1, seq: 10, index: 10 }, late.after);
  const theirs = rangeOf(other.entries.slice(0, 10), { epoch: 1, seq: 0, index: 0 }, zero);
  const wrongEpoch = rangeOf(own.slice(0, 10), { epoch: 2, seq: 0, index: 0 }, zero);
  const cases: [string, readonly string[], readonly string[], string][] = [
    [
      "the log moved a range before an earlier one",
      [...own.slice(10, 20), ...own.slice(0, 10)],
      [a.line, b.line],
      "record_broken",
    ],
    [
      "a range was cut out of the record, and the chain mended",
      [...own.slice(10, 20), ...own.slice(0, 10), ...own.slice(20, 30)],
      [a.line, gap.line],
      "record_broken",
    ],
    ["an epoch behind a later one", [...second, ...own.slice(0, 10)], [late.line, a.line], "record_broken"],
    [
      "an epoch behind a later one, at the sequence that would follow",
      [...second, ...own.slice(10, 20)],
      [late.line, back.line],
      "record_broken",
    ],
    ["entries of another source", other.entries.slice(0, 10), [theirs.line], "submitted_missing"],
    ["entries of another epoch", own.slice(0, 10), [wrongEpoch.line], "submitted_missing"],
  ];
  for (const [name, entries, ranges, code] of cases) {
    const report = await check(new MemoryLog(entries), [head, ...ranges]);
    t.same([report.verdict, codes(report)], ["FAIL", [code]], name);
  }
});

t.test("R4: the log's own checkpoint", async (t) => {
  const log = new MemoryLog(honest);
  log.served.set("checkpoint", "missing");
  t.same(codes(await check(log)), ["data_missing"]);
  log.served.set("checkpoint", log.note(honest.length, naiveLeaf(Buffer.from("x"))));
  const report = await check(log);
  t.same([report.verdict, codes(report)], ["FAIL", ["root_mismatch"]]);
});

t.test("R5: what the tree does not reach to is not there yet", async (t) => {
  const log = new MemoryLog(honest.slice(0, 1200));
  const report = await check(log);
  t.same([report.verdict, codes(report)], ["NOT PROVEN", ["unpublished"]]);
  t.ok(report.shown > 500 && report.shown < report.entries);
  t.match(report.findings[0], { where: /^line / });
  t.match(report.conclusion, `${report.shown} of ${report.entries} entries`);
});

t.test("R6 and R7: bundles and tiles that are missing, cut, or not the signed ones", async (t) => {
  const forged = [...honest];
  forged[120] = Buffer.from(honest[120]!.toString().replace("alice", "mallo"));
  const lie = new MemoryLog(forged);
  t.equal(honest.length, 4 * 256 + 218);
  const last = honest.findLastIndex((entry) => entry.includes(header.source) && entry.includes("alice"));
  const altered = Buffer.from(honest[last]!.toString().replace("alice", "mallo"));
  const edge = new MemoryLog(honest.with(last, altered)).make("entries", 4, 218);
  const cases: [string, Record<string, Uint8Array | "missing">, string[]][] = [
    ["a bundle is missing", { "tile/entries/001": "missing" }, ["data_missing"]],
    ["a bundle is cut", { "tile/entries/001": Buffer.alloc(7) }, ["tile_malformed"]],
    ["a tile is missing", { "tile/1/000.p/4": "missing", "tile/1/000": "missing" }, ["data_missing"]],
    ["an entry is another", { "tile/entries/000": lie.make("entries", 0, 256) }, ["leaf_mismatch"]],
    ["an entry at the right edge is another", { "tile/entries/004.p/218": edge }, ["leaf_mismatch"]],
    [
      "its level 0 tile was changed along",
      { "tile/entries/000": lie.make("entries", 0, 256), "tile/0/000": lie.make(0, 0, 256) },
      ["root_mismatch"],
    ],
    [
      "all tiles were changed along",
      {
        "tile/entries/000": lie.make("entries", 0, 256),
        "tile/0/000": lie.make(0, 0, 256),
        "tile/1/000.p/4": lie.make(1, 0, 4),
      },
      ["root_mismatch"],
    ],
  ];
  for (const [name, answers, expected] of cases) {
    const log = new MemoryLog(honest);
    for (const [path, answer] of Object.entries(answers)) log.served.set(path, answer);
    const report = await check(log);
    t.same([report.verdict, codes(report)], [expected[0] === "data_missing" ? "NOT PROVEN" : "FAIL", expected], name);
    t.ok(report.shown < report.entries);
  }
  const log = new MemoryLog(honest);
  log.served.set("tile/entries/000", lie.make("entries", 0, 256));
  const report = await check(log);
  t.match(report.findings[0], { code: "leaf_mismatch", index: 120 });
});

t.test("R7: a tile high up that is not the signed one", async (t) => {
  const tile = Buffer.from(large.make(1, 0, 256) as Uint8Array);
  tile[0] = tile[0]! ^ 1;
  large.served.set("tile/1/000", tile);
  t.teardown(() => large.served.clear());
  await t.rejects(new SignedTree(large, large.size, large.root()).bundle(9), { code: "tile_malformed" });
});

t.test("R8: the log has put something else where it acknowledged an entry", async (t) => {
  const at = 700;
  t.match(JSON.parse(honest[at]!.toString()), { source: header.source });
  const cases: [string, Buffer[]][] = [
    ["it dropped one", honest.toSpliced(at, 1)],
    ["it put one in", honest.toSpliced(at, 0, honest[50]!)],
    ["it exchanged two", honest.with(at, honest[at + 1]!).with(at + 1, honest[at]!)],
    ["it replaced one by another's", honest.with(at, honest[50]!)],
    ["it replaced one by bytes", honest.with(at, Buffer.from("gone"))],
  ];
  for (const [name, entries] of cases) {
    const report = await check(new MemoryLog(entries));
    t.equal(report.verdict, "FAIL", name);
    t.same(
      codes(report).filter((code) => code !== "unpublished"),
      ["submitted_missing"],
      name,
    );
    t.equal(report.findings.find(({ code }) => code === "submitted_missing")?.index, at, name);
    const { firstBad } = report;
    t.ok(firstBad !== undefined && firstBad.index <= at && at < firstBad.index + firstBad.count, name);
  }
});

t.test("R9: the same places, another entry, and the log's key signs it", async (t) => {
  const at = 700;
  const entry = Buffer.from(honest[at]!.toString().replace("alice", "mallo"));
  t.notSame(entry, honest[at]);
  const report = await check(new MemoryLog(honest.with(at, entry)));
  t.same([report.verdict, codes(report)], ["FAIL", ["submitted_changed"]]);
  t.equal(report.findings.length, 1);
  t.match(report.conclusion, /first bad range is that of line [0-9]+, epoch 1, sequences/);
});

t.test("R10: what the source says of itself, in an entry that the log and the record agree on", async (t) => {
  // The record is made of the changed entries: whoever made both cannot be told by the chain.
  const start = honest.findIndex((entry) => entry.includes('"epoch":2') && entry.includes("source.start"));
  const entry = JSON.parse(honest[start]!.toString()) as { previous: Record<string, unknown> };
  const chain = sha256(Buffer.from("x")).toString("base64");
  const lies: Record<string, unknown>[] = [
    { previous: null },
    { previous: { ...entry.previous, next: 7 } },
    { previous: { ...entry.previous, epoch: 3 } },
    { previous: { ...entry.previous, chain } },
  ];
  const remade = (members: Record<string, unknown>): [MemoryLog, string[]] => {
    const entries = honest.with(start, Buffer.from(JSON.stringify({ ...entry, ...members })));
    return [new MemoryLog(entries), makeRecord(header, entries)];
  };
  for (const members of lies) {
    const report = await check(...remade(members));
    t.same([report.verdict, codes(report)], ["FAIL", ["submitted_changed"]], JSON.stringify(members));
    t.equal(report.findings[0]?.index, start);
  }
  const lost = await check(...remade({ previous: { ...entry.previous, next: 7, spool: "lost" } }));
  t.equal(lost.verdict, "PASS");
});

t.test("a log that does not answer gives no verdict", async (t) => {
  const log = new MemoryLog(honest);
  log.tile = () => Promise.reject(new VerifierError("log_unreachable", "refused"));
  await t.rejects(check(log), { code: "log_unreachable" });
});

t.test("whatever the bytes, it is parsed or malformed", async (t) => {
  const text = lines.slice(0, 4).join("\n");
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 300 }),
    fc
      .tuple(fc.nat(text.length), fc.nat(20), fc.string())
      .map(([at, cut, put]) => Buffer.from(`${text.slice(0, at)}${put}${text.slice(at + cut)}\n`)),
  );
  fc.assert(
    fc.property(bytes, (record) => {
      try {
        for (const { count, seq, index } of parseRecord(record).ranges) {
          if (![count, seq + count, index + count].every(Number.isSafeInteger)) return false;
        }
        return true;
      } catch (error) {
        return error instanceof VerifierError && error.code === "record_malformed";
      }
    }),
    { numRuns: 2000 },
  );
  t.pass();
});
