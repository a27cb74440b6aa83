import assert from "node:assert/strict";
import fc from "fast-check";
import t from "tap";
import { ByteCache } from "../../src/statements/cache.ts";
import { Analyzer } from "../../src/statements/index.ts";
import { plain } from "./plain.ts";
import { property } from "./property.ts";

t.test("a cache holds what was used last, within its bytes", async (t) => {
  const cache = new ByteCache<number>(100);
  for (let i = 0; i < 10; i++) cache.set(`k${i}`, i, 10);
  t.ok(cache.bytes <= 100);
  t.equal(cache.get("k9"), 9);
  t.equal(cache.get("never"), undefined);
  cache.set("large", 1, 51);
  t.equal(cache.get("large"), undefined, "nothing may push half of the others out");
  t.equal(cache.get("k9"), 9);
});

t.test("a cache against a model", async (t) => {
  const use = fc.tuple(fc.nat(30), fc.integer({ min: 1, max: 40 }));
  property(
    t,
    fc.property(fc.array(use, { maxLength: 200 }), (uses) => {
      const cache = new ByteCache<number>(200);
      const sizes = new Map<string, number>();
      const recent: string[] = [];
      for (const [n, bytes] of uses) {
        const key = `k${n}`;
        const found = cache.get(key);
        if (found !== undefined) assert.equal(found, sizes.get(key));
        else {
          cache.set(key, bytes, bytes);
          sizes.set(key, bytes);
        }
        recent.splice(recent.indexOf(key) >>> 0, 1);
        recent.push(key);
        assert.ok(cache.bytes <= 200);
      }
      // What fits the last half of the bound, by time of use, is there.
      let sum = 0;
      for (const key of recent.toReversed()) {
        sum += sizes.get(key)!;
        if (sum > 100) break;
        assert.equal(cache.get(key), sizes.get(key));
      }
    }),
  );
});

/** Pieces that matter to a scanner, close together. */
const piece = fc.constantFrom(
  ..."'\"$-/*\\;(),.& \n\t10_aE=+@:[]%é\u0001",
  "SELECT ",
  " FROM t",
  "U&",
  "E'",
  "--",
  "/*",
  "*/",
  "$$",
  "$a$",
  "''",
  " IN (1,2,3)",
  "VALUES ",
  "(1),(2),(3)",
  "12",
  "3.5",
  "'x'",
);
const soup = fc
  .tuple(
    fc.constantFrom(
      "SELECT ",
      "select 1,",
      "INSERT INTO t VALUES ",
      "DELETE FROM t WHERE a IN (",
      "UPDATE t SET a = ",
      "",
    ),
    fc.array(piece, { maxLength: 12 }),
  )
  .map(([start, pieces]) => start + pieces.join(""));

t.test("no text ever gets what belongs to another", async (t) => {
  const analyzer = await Analyzer.load({ cacheBytes: 20_000 });
  property(
    t,
    fc.property(soup, fc.integer({ min: 1, max: 9 }), (sql, digit) => {
      for (const text of [sql, sql.replace(/\d/g, String(digit)), sql, sql.replace(/'x/g, "'y y")]) {
        const bytes = Buffer.from(text);
        const found = analyzer.analyze(bytes, "utf8");
        const expected = plain(bytes);
        assert.deepEqual(found, expected, text);
      }
    }),
    { numRuns: 1500 },
  );
});

t.test("nothing that a client sends makes it throw", async (t) => {
  const analyzer = await Analyzer.load({ cacheBytes: 50_000 });
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 60 }),
    fc
      .tuple(soup, fc.uint8Array({ maxLength: 6 }))
      .map(([sql, tail]) => Uint8Array.from([...Buffer.from(sql), ...tail])),
  );
  property(
    t,
    fc.property(
      bytes,
      fc.constantFrom("utf8" as const, "strings" as const, "other" as const),
      fc.boolean(),
      (text, encoding, strings) => {
        const first = analyzer.analyze(text, encoding, strings);
        assert.deepEqual(analyzer.analyze(Uint8Array.from(text), encoding, strings), first, "and twice the same");
        let before = 0;
        for (const { start, end, members, complete, incomplete, provenRead } of first) {
          assert.ok(start >= before && end >= start && end <= text.length);
          before = end;
          assert.equal(complete, incomplete === undefined);
          assert.ok(complete || !provenRead);
          assert.equal(JSON.stringify(JSON.parse(`{${members}}`)), `{${members}}`);
        }
      },
    ),
    { numRuns: 2000 },
  );
});
