import fc from "fast-check";
import t from "tap";
import { compareViews, type View, type ViewsReport } from "../../src/audit/views.ts";
import { VerifierError } from "../../src/errors.ts";
import { parseVerifierKey } from "../../src/formats/key.ts";
import { TileTree } from "../../src/reading/tree.ts";
import { testKey } from "../support/keys.ts";
import { MemoryLog } from "../support/memory-log.ts";

const key = testKey("log.example/vitrine");
const names = Array.from({ length: 700 }, (_, i) => `entry ${i}`);
const truth = new MemoryLog(names);
/** Another history from entry 300 on. */
const fork = new MemoryLog(names.with(300, "another"));

/** A view of a log that shows a size of it; with or without its tiles. */
function view(name: string, log: MemoryLog, size: number, tiles = false): View {
  const whole: View = { name, checkpoint: async () => log.note(size) };
  return tiles ? { ...whole, tile: (level, n, width) => log.tile(level, n, width) } : whole;
}

function compare(...views: View[]): Promise<ViewsReport> {
  return compareViews(views, parseVerifierKey(key.vkey));
}

function codes({ findings }: ViewsReport): string[] {
  return findings.map(({ code, where }) => `${code} ${where}`);
}

t.test("views of one history, however far each has come", async (t) => {
  const views = [700, 0, 1, 255, 256, 257, 512, 700, 300].map((size, i) => view(`v${i}`, truth, size, i === 0));
  const report = await compare(...views);
  t.same([report.verdict, codes(report), report.splits], ["PASS", [], []]);
  t.match(report.conclusion, /all 9 views .* smallest tree has 0 entries, the largest 700/);
  t.same(
    report.views.map(({ checkpoint }) => checkpoint?.size),
    [700, 0, 1, 255, 256, 257, 512, 700, 300],
  );
});

t.test("V1: each must be a checkpoint by the key", async (t) => {
  const other = testKey("log.example/vitrine", Buffer.alloc(32, 1));
  const good = view("good", truth, 700, true);
  const forged = view("forged", new MemoryLog(names, other), 700);
  const note = Buffer.from(Buffer.from(truth.note(600)).toString().replace("\n600\n", "\n601\n"));
  const cases: [View, string, string][] = [
    [forged, "signature_missing forged", "FAIL"],
    [{ name: "changed", checkpoint: async () => note }, "signature_invalid changed", "FAIL"],
    [{ name: "none", checkpoint: async () => "missing" }, "data_missing none", "NOT PROVEN"],
    [{ name: "page", checkpoint: async () => Buffer.from("<html>") }, "note_malformed page", "FAIL"],
    [{ name: "silent", checkpoint: unreachable }, "data_missing silent", "NOT PROVEN"],
    [view("elsewhere", new MemoryLog(names, testKey("other.example")), 700), "origin_mismatch elsewhere", "FAIL"],
  ];
  for (const [bad, code, verdict] of cases) {
    const report = await compare(good, bad, view("third", truth, 500));
    t.same([report.verdict, codes(report)], [verdict, [code]]);
    t.equal(report.views[1]?.checkpoint, undefined);
    t.notMatch(report.conclusion, /^Established/);
  }
  await t.rejects(compare({ ...good, checkpoint: unreachable }, { ...good, checkpoint: unreachable }), {
    code: "log_unreachable",
  });
});

async function unreachable(): Promise<never> {
  throw new VerifierError("log_unreachable", "connection refused");
}

t.test("V2: two trees of one size", async (t) => {
  const report = await compare(view("a", truth, 600, true), view("b", fork, 600), view("c", truth, 600));
  t.same([report.verdict, codes(report)], ["FAIL", ["split_view a"]]);
  t.match(report.splits, [{ found: "split_view", names: ["a", "b"] }]);
  t.same(Buffer.from(report.splits[0]!.kept.note), Buffer.from(truth.note(600)));
  t.same(Buffer.from(report.splits[0]!.seen.note), Buffer.from(fork.note(600)));
  t.match(report.conclusion, "signed two histories");
});

t.test("V3: a tree that is not the beginning of a larger one, whoever has the tiles", async (t) => {
  for (const [small, large] of [
    [truth, fork],
    [fork, truth],
  ] as const) {
    for (const size of [301, 512, 699]) {
      const report = await compare(view("large", large, 700, true), view("small", small, size));
      t.same([report.verdict, codes(report)], ["FAIL", ["inconsistent small"]]);
      t.match(report.splits, [{ found: "inconsistent", names: ["small", "large"] }]);
    }
    // Up to where they part it is one history.
    t.equal((await compare(view("large", large, 700, true), view("small", small, 300))).verdict, "PASS");
  }
});

t.test("V3: of each two that part, both are named", async (t) => {
  const views = [view("t700", truth, 700, true), view("f600", fork, 600, true), view("t500", truth, 500)];
  const report = await compare(...views, view("both", truth, 256));
  t.same(codes(report).sort(), ["inconsistent f600", "inconsistent t500"]);
  t.same(report.splits.map(({ names }) => names).sort(), [
    ["f600", "t700"],
    ["t500", "f600"],
  ]);
});

t.test("V3: tiles that are not of the larger tree say nothing against anybody", async (t) => {
  const small = view("small", truth, 500);
  const large = view("large", truth, 700);
  const none = await compare(small, large);
  t.same([none.verdict, codes(none)], ["NOT PROVEN", ["data_missing small"]]);
  t.same(none.splits, []);
  const wrong = await compare(small, { ...large, tile: (level, n, width) => fork.tile(level, n, width) });
  t.same([wrong.verdict, codes(wrong)], ["NOT PROVEN", ["data_missing small"]]);
  t.match(wrong.findings[0]?.message, /do not lead to the root of the larger tree/);
  const garbage = await compare({ ...small, tile: async () => new Uint8Array(31) }, large);
  t.equal(garbage.verdict, "NOT PROVEN");
  // Somebody else has the right ones.
  const helped = await compare({ ...small, tile: (level, n, width) => fork.tile(level, n, width) }, large, {
    ...view("third", truth, 0),
    tile: (level, n, width) => truth.tile(level, n, width),
  });
  t.same([helped.verdict, codes(helped)], ["PASS", []]);
});

t.test("both roots from the same hashes, for all sizes", async (t) => {
  const size = fc.integer({ min: 1, max: 700 });
  await fc.assert(
    fc.asyncProperty(size, size, async (a, b) => {
      const [small, large] = [Math.min(a, b), Math.max(a, b)];
      const { prefix, whole } = await new TileTree(truth, large).prefix(small);
      return Buffer.compare(prefix, truth.root(small)) === 0 && Buffer.compare(whole, truth.root(large)) === 0;
    }),
    { numRuns: 60 },
  );
  t.pass();
});
