import fc from "fast-check";
import t from "tap";
import { readSearch } from "../../src/search/parameters.ts";
import type { SearchLimits } from "../../src/search/reading.ts";
import { Searcher } from "../../src/search/search.ts";
import { TreeReader } from "../../src/tree/log.ts";
import {
  growEntries,
  indexesOf,
  naive,
  type Parameters,
  searchAll,
  searchBench,
  stamp,
} from "../support/search-tree.ts";

// Two chunks in the database and one in memory.
const SIZE = 2 * 4096 + 1000;
const { store, entries } = await growEntries(SIZE);

const values: Readonly<Record<string, readonly string[]>> = {
  actor: ["app", "etl", "rare", "once-4500", "once-13500", "alice@example.org", "auditor ada", "proxy", "nobody"],
  database: ["shop", "vault", "none"],
  relation: ["accounts", "public.tellers", "history", "public.history", "part_7", "part_59", "nothing"],
  class: ["read", "write", "ddl"],
  operation: ["select", "Create Table", "UPDATE", "session.start", "ACCESS.REFUSED", "none"],
  outcome: ["completed", "failed", "denied"],
  source: ["a.example/one", "b.example/two", "log.example/acts", "c.example/three"],
  session: ["1.5", "1.20", "1.99", "1.330", "2.1"],
  identity: ["alice@example.org", "app", "ann"],
  claimed: ["ann", "app", "alice@example.org"],
  rule: ["staff", "default", "trial", "none"],
  would_deny: ["trial", "staff", "none"],
  kind: ["statement", "disclosure.read", "session.start", "access.refused", "none"],
};

const time = fc.integer({ min: -90_000, max: SIZE + 1000 }).map(stamp);
const query: fc.Arbitrary<Parameters> = fc
  .record(
    {
      ...Object.fromEntries(
        Object.entries(values).map(([name, list]) => [
          name,
          fc
            .subarray([...list], { minLength: 1, maxLength: 3 })
            .map((chosen) => (chosen.length === 1 ? chosen[0]! : chosen)),
        ]),
      ),
      since: time,
      until: time,
    },
    { requiredKeys: [] },
  )
  .map((record) => Object.fromEntries(Object.entries(record).slice(0, 4)));

t.test("it finds what a reader of all entries finds, newest first, in pages that fit together", async (t) => {
  const bench = await searchBench(t);
  const index = bench.open(store);
  index.follow(SIZE);
  await index.settled();
  const check = async (parameters: Parameters, limit: number, limits?: SearchLimits): Promise<void> => {
    const pages = await searchAll(index, store, SIZE, parameters, limit, limits);
    t.strictSame(indexesOf(pages), naive(entries, parameters), JSON.stringify(parameters));
    let scanned = 0;
    for (const page of pages) {
      scanned += page.scanned;
      if (page.hits.length > limit || page.size !== SIZE) t.fail("a page is too long, or of another tree");
      for (const { index, entry } of page.hits) {
        if (entry.toString() !== JSON.stringify(entries[index])) t.fail(`hit ${index} is not its entry`);
      }
    }
    if (scanned !== SIZE) t.fail(`${scanned} entries were decided about, of ${SIZE}: ${JSON.stringify(parameters)}`);
  };
  for (const [name, list] of Object.entries(values)) for (const value of list) await check({ [name]: value }, 500);
  await check({}, 500);
  await fc.assert(fc.asyncProperty(query, fc.constantFrom(50, 500), fc.constant(undefined), check), { numRuns: 60 });
  const narrow = { records: 1, bundles: 1, bundleBytes: 1, parsed: 1, answerBytes: 1 };
  await fc.assert(fc.asyncProperty(query, fc.constant(500), fc.constant(narrow), check), { numRuns: 8 });
  await index.close();
  t.same(bench.warnings, []);
});

t.test("a page ends when it has cost enough, and the next goes on where it ended", async (t) => {
  const bench = await searchBench(t);
  const index = bench.open(store);
  index.follow(SIZE);
  await index.settled();
  const wide = { records: 1e6, bundles: 1e6, bundleBytes: 1e9, parsed: 1e6, answerBytes: 1e9 };
  const parameters = { relation: ["accounts", "history"], class: "write", since: stamp(300) };
  const expected = naive(entries, parameters);
  t.ok(expected.length > 1000);
  const count = async (limits: SearchLimits): Promise<number> => {
    const pages = await searchAll(index, store, SIZE, parameters, 1e6, limits);
    t.strictSame(indexesOf(pages), expected, JSON.stringify(limits));
    return pages.length;
  };
  t.equal(await count(wide), 1);
  t.ok((await count({ ...wide, records: 3 })) > 1);
  const bundles = new Set(expected.map((each) => Math.floor(each / 256))).size;
  t.equal(await count({ ...wide, bundles: 5 }), Math.ceil(bundles / 5));
  t.ok((await count({ ...wide, bundleBytes: 500_000 })) > 3);
  t.ok((await count({ ...wide, parsed: 1000 })) > 1);
  t.ok((await count({ ...wide, answerBytes: 50_000 })) > 3);
  // Both are everywhere and never together: nothing is read of the tree, and the page ends by the records alone.
  const never = { database: "vault", source: "a.example/one", class: "ddl" };
  const pages = await searchAll(index, store, SIZE, never, 500, { ...wide, bundles: 1 });
  t.same(
    pages.map(({ hits, scanned }) => [hits.length, scanned]),
    [[0, SIZE]],
  );
  await index.close();
});

t.test("so many searches at a time, and the others are told to come again", async (t) => {
  const bench = await searchBench(t);
  const index = bench.open(store);
  index.follow(SIZE);
  await index.settled();
  const searcher = new Searcher(index, new TreeReader(store));
  const { query } = readSearch({ actor: "rare" }, SIZE);
  const expected = naive(entries, { actor: "rare" });
  for (let round = 0; round < 2; round += 1) {
    const asked = Array.from({ length: 70 }, () => searcher.page({ query, limit: 50 }, SIZE));
    const codes: string[] = [];
    for (const result of await Promise.allSettled(asked)) {
      if (result.status === "fulfilled") t.strictSame(indexesOf([result.value]), expected);
      else codes.push((result.reason as { code: string }).code);
    }
    t.same(codes, ["too_busy", "too_busy"], "4 run, 64 wait");
  }
  await index.close();
  for (let i = 0; i < 6; i += 1) await t.rejects(searcher.page({ query, limit: 50 }, SIZE), { code: "index_behind" });
});

t.test("a search waits a moment for what was just published, and says how far it looked", async (t) => {
  const bench = await searchBench(t);
  const index = bench.open(store);
  const searcher = new Searcher(index, new TreeReader(store));
  const { query } = readSearch({ kind: "session.start" }, SIZE);
  index.follow(SIZE);
  const page = await searcher.page({ query, limit: 500 }, SIZE).catch((error: { code?: string }) => error.code);
  // A machine that is too slow for the moment says so.
  if (typeof page === "string" || page === undefined) t.equal(page, "index_behind");
  else t.strictSame(indexesOf([page]), naive(entries.slice(0, page.size), { kind: "session.start" }));
  await index.settled();
  const far = searcher.page({ query, limit: 500 }, SIZE + 20_000);
  await t.rejects(far, { code: "index_behind" }, "too far behind to be called an answer");
  t.equal((await searcher.page({ query, limit: 500 }, SIZE + 100)).size, SIZE, "a little behind");
  await index.close();
});

t.test("pages stay the same while the log grows", async (t) => {
  const bench = await searchBench(t);
  const index = bench.open(store);
  const part = 4096 + 100;
  index.follow(part);
  await index.settled();
  const searcher = new Searcher(index, new TreeReader(store));
  const { query } = readSearch({ class: "write" }, part);
  const first = await searcher.page({ query, limit: 20 }, part);
  index.follow(SIZE);
  await index.settled();
  const found = first.hits.map((hit) => hit.index);
  for (let page = first; page.below > 0; ) {
    page = await searcher.page({ query, limit: 500, from: { size: part, below: page.below } }, SIZE);
    t.equal(page.size, part);
    found.push(...page.hits.map((hit) => hit.index));
  }
  t.same(found, naive(entries.slice(0, part), { class: "write" }));
  await index.close();
});
