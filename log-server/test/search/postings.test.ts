import fc from "fast-check";
import t from "tap";
import { SearchChunk } from "../../src/search/chunk.ts";
import {
  CHUNK_ENTRIES,
  eachRun,
  encodeOffsets,
  numbered,
  numberOf,
  openRecord,
  sealRecord,
} from "../../src/search/postings.ts";
import { searchFields } from "../../src/search/terms.ts";
import { decodeSpans, emptySpans, encodeSpans, mayBeWithin, touches } from "../../src/search/zones.ts";

function decode(bytes: Buffer): number[] | undefined {
  const offsets: number[] = [];
  const whole = eachRun(bytes, (start, end) => {
    for (let i = start; i < end; i += 1) offsets.push(i);
  });
  return whole ? offsets : undefined;
}

const ascending = fc
  .tuple(fc.uniqueArray(fc.nat(CHUNK_ENTRIES - 1), { maxLength: 200 }), fc.nat(CHUNK_ENTRIES), fc.nat(500))
  .map(([some, from, length]) => {
    const run = Array.from({ length }, (_, i) => from + i).filter((offset) => offset < CHUNK_ENTRIES);
    return [...new Set([...some, ...run])].sort((a, b) => a - b);
  });

t.test("offsets come back as they went in", async (t) => {
  fc.assert(
    fc.property(ascending, (offsets) => t.strictSame(decode(encodeOffsets(offsets)), offsets)),
    { numRuns: 200 },
  );
  const all = Array.from({ length: CHUNK_ENTRIES }, (_, i) => i);
  t.equal(encodeOffsets(all).length, 3, "what every entry has takes three bytes a chunk");
  t.strictSame(decode(encodeOffsets(all)), all);
  t.equal(encodeOffsets(all.filter((i) => i % 50 === 7)).length, 82, "one in fifty takes a byte");
});

t.test("any bytes are offsets of a chunk, or none", async (t) => {
  const check = (bytes: Uint8Array): void => {
    const offsets = decode(Buffer.from(bytes));
    if (offsets === undefined) return;
    const fine = offsets.every((offset, i) => offset < CHUNK_ENTRIES && (i === 0 || offset > offsets[i - 1]!));
    t.ok(fine, Buffer.from(bytes).toString("hex"));
  };
  fc.assert(fc.property(fc.uint8Array({ maxLength: 40 }), check), { numRuns: 500 });
  fc.assert(
    fc.property(ascending, fc.nat(300), fc.nat(255), (offsets, at, value) => {
      const bytes = encodeOffsets(offsets);
      if (at < bytes.length) bytes[at] = value;
      check(bytes);
    }),
  );
  t.equal(decode(Buffer.from([0x80])), undefined, "cut");
  t.equal(decode(Buffer.from([0x01])), undefined, "a run without its length");
  t.equal(decode(Buffer.alloc(40, 0xff)), undefined, "too large");
});

t.test("a record knows its key, and that it was changed", async (t) => {
  const key = numbered(Buffer.from("prefix"), 2 ** 40 + 7);
  t.equal(numberOf(key), 2 ** 40 + 7);
  const value = sealRecord(key, Buffer.from("payload"));
  t.equal(openRecord(key, value)?.toString(), "payload");
  t.equal(openRecord(numbered(Buffer.from("prefix"), 8), value), undefined);
  for (let i = 0; i < value.length; i += 1) {
    const changed = Buffer.from(value);
    changed[i]! ^= 4;
    t.equal(openRecord(key, changed), undefined);
  }
  t.equal(openRecord(key, value.subarray(0, 3)), undefined);
});

t.test("spans come back, and only of their own length", async (t) => {
  const spans = emptySpans();
  spans[3] = { least: "2026-11-22T22:10:00.123456Z", most: "2026-11-23T22:10:00.123456Z" };
  t.same(decodeSpans(encodeSpans(spans)), spans);
  t.equal(decodeSpans(Buffer.alloc(53)), undefined);
  const at = (since?: string, until?: string) => ({ values: new Map(), since, until });
  t.notOk(touches(spans[0]!, at()), "nothing is in it");
  t.ok(touches(spans[3]!, at()));
  t.ok(touches(spans[3]!, at("2026-11-23T22:10:00.123456Z")));
  t.notOk(touches(spans[3]!, at("2026-11-23T22:10:00.123457Z")));
  t.ok(touches(spans[3]!, at(undefined, "2026-11-22T22:10:00.123457Z")));
  t.notOk(touches(spans[3]!, at(undefined, "2026-11-22T22:10:00.123456Z")));
});

t.test("the time of an entry is told from its bytes, whatever its strings hold", async (t) => {
  const names = fc.oneof(
    fc.string(),
    fc.constantFrom('"time":"', '\\"time":"9', ',"time":"2099-01-01T00:00:00.000000Z"'),
  );
  const second = fc.integer({ min: 0, max: 59 }).map((n) => `2026-11-22T22:10:${String(n).padStart(2, "0")}.000000Z`);
  fc.assert(
    fc.property(names, names, second, second, second, (kind, last, time, since, until) => {
      const entry = { v: 1, kind, source: kind, epoch: 1, seq: 2, time, more: { time: last }, [last]: since };
      const within = time >= since && time < until;
      t.equal(mayBeWithin(Buffer.from(JSON.stringify(entry)), { values: new Map(), since, until }), within);
    }),
    { numRuns: 300 },
  );
});

t.test("values of any length, entries of any shape", async (t) => {
  const chunk = new SearchChunk(0);
  const long = "x".repeat(5000);
  const head = { v: 1, kind: "test", source: "s", epoch: 1, seq: 0, time: "2026-11-22T22:10:00.123456Z" };
  const entries = [
    { ...head, database: long, relations: [null, 5, "a", { name: 5 }, { name: long, schema: null }, [{ name: "b" }]] },
    { ...head, database: `${long}y`, relations: { name: "a" }, actor: [{ login: "a" }], session: 5 },
    { ...head, database: "", actor: null, operation: "select", outcome: {} },
  ];
  for (const entry of entries) chunk.add(Buffer.from(JSON.stringify(entry)));
  chunk.add(Buffer.from("not of a source"));
  chunk.add(Buffer.from('{"v":1,"kind":'));
  t.equal(chunk.count, 5);
  const field = (name: string) => searchFields.find((each) => each.name === name)!;
  t.strictSame(chunk.offsets(field("database"), long), [0]);
  t.strictSame(chunk.offsets(field("database"), `${long}y`), [1]);
  t.strictSame(chunk.offsets(field("database"), ""), [2]);
  t.strictSame(chunk.offsets(field("relation"), long), [0]);
  t.strictSame(chunk.offsets(field("operation"), "test"), [0, 1, 2], "only a statement has an operation");
  for (const name of ["actor", "session", "outcome"]) t.strictSame(chunk.offsets(field(name), "a"), []);
});
