import t, { type Test } from "tap";
import { type Kept, parseKept, serializeKept } from "../../src/audit/kept.ts";
import type { View } from "../../src/audit/views.ts";
import { VerifierError } from "../../src/errors.ts";
import { verifyCheckpoint } from "../../src/formats/checkpoint.ts";
import { parseVerifierKey } from "../../src/formats/key.ts";
import { parsePolicy } from "../../src/formats/policy.ts";
import type { LogReader } from "../../src/reading/log-reader.ts";
import { newMemory, parseMemory, serializeMemory } from "../../src/watch/memory.ts";
import { type Round, Watch, type WatchOptions } from "../../src/watch/watch.ts";
import { testCosigner, testKey } from "../support/keys.ts";
import { MemoryLog } from "../support/memory-log.ts";
import { epochStart, TestSource } from "../support/test-source.ts";

const settings = { staleAfterMs: 300_000, unreachableAfterMs: 60_000, sealSlackMs: 30_000, cosignatureAfterMs: 60_000 };

/** A log that somebody follows, under a clock of its own. */
class Followed {
  readonly log = new MemoryLog();
  readonly source: TestSource = new TestSource();
  readonly key = parseVerifierKey(this.log.key.vkey);
  /** Seconds since the beginning. */
  at = 0;
  unreachable = false;
  watch: Watch;
  /** What is kept from one run to the next: the state and the memory, as text. */
  kept: string | undefined;
  memory: string;
  readonly #options: Partial<WatchOptions>;

  constructor(options: Partial<WatchOptions> = {}) {
    this.#options = options;
    this.memory = serializeMemory(newMemory(), this.key);
    this.watch = this.begin();
  }

  begin(): Watch {
    const reach = <Answer>(ask: () => Promise<Answer>): Promise<Answer> =>
      this.unreachable ? Promise.reject(new VerifierError("log_unreachable", "refused")) : ask();
    const reader: LogReader = {
      checkpoint: () => reach(() => this.log.checkpoint()),
      tile: (level, n, width) => reach(() => this.log.tile(level, n, width)),
    };
    const kept: Kept | undefined = this.kept === undefined ? undefined : parseKept(this.kept, this.key);
    this.watch = new Watch({
      name: "the log",
      reader,
      key: this.key,
      settings,
      now: () => epochStart + this.at * 1000,
      kept,
      memory: parseMemory(this.memory, this.key),
      ...this.#options,
    });
    return this.watch;
  }

  /** The source's entries so far are in the log. */
  publish(): void {
    this.log.append(...this.source.entries.slice(this.log.size));
  }

  /** A round at a time, by the clock; what it leads to is kept. */
  async round(at: number): Promise<Round & { told: string[] }> {
    this.at = at;
    this.source.now = epochStart + at * 1000;
    const round = await this.watch.round();
    this.memory = serializeMemory(this.watch.memory, this.key);
    if (round.keep !== undefined) this.kept = serializeKept(round.keep, this.key);
    return { ...round, told: told(round) };
  }

  /** A seal at this second, and a round. */
  async sealed(at: number): Promise<string[]> {
    this.source.now = epochStart + at * 1000;
    this.source.seal();
    this.publish();
    return (await this.round(at)).told;
  }

  size(): [audited: number, kept: number | undefined] {
    const kept = this.kept === undefined ? undefined : parseKept(this.kept, this.key);
    return [this.watch.audited, kept?.audit?.size];
  }
}

function told({ events }: Round): string[] {
  return events.map(({ event, alert: { code, where, index } }) =>
    [event, code, where ?? index].filter((part) => part !== undefined).join(" "),
  );
}

function followed(options: Partial<WatchOptions> = {}): Followed {
  const one = new Followed(options);
  one.source.start();
  one.source.session(1);
  one.source.statement(1);
  one.source.seal();
  one.publish();
  return one;
}

t.test("a good log is followed without a word, and only what is new is read", async (t) => {
  const one = followed();
  for (let i = 0; i < 300; i++) one.source.statement(1);
  one.source.seal();
  one.publish();
  t.same((await one.round(0)).told, []);
  one.log.asked.length = 0;
  for (const at of [10, 20, 30]) t.same((await one.round(at)).told, []);
  t.same(one.log.asked, ["checkpoint", "checkpoint", "checkpoint"], "nothing new, nothing read");
  t.same(await one.sealed(40), []);
  t.notOk(one.log.asked.includes("tile/entries/000"));
  t.same([one.watch.verdict, one.size()], ["PASS", [306, 306]]);
  // Another process goes on where this one ended.
  one.begin();
  one.log.asked.length = 0;
  t.same(await one.sealed(50), []);
  t.notOk(one.log.asked.includes("tile/entries/000"));
  t.equal(one.watch.audited, 307);
});

t.test("M1: a log that does not answer, for longer than is borne", async (t) => {
  const one = followed();
  await one.round(0);
  one.unreachable = true;
  t.match(await one.round(10), { told: [], reached: false, keep: undefined });
  t.same((await one.round(70)).told, []);
  one.begin(); // it was known before
  t.same((await one.round(71)).told, ["raised unreachable"]);
  t.same((await one.round(80)).told, []);
  t.equal(one.watch.verdict, "NOT PROVEN");
  one.unreachable = false;
  t.same(await one.sealed(90), ["resolved unreachable"]);
  t.equal(one.watch.verdict, "PASS");
});

t.test("M2: a log that goes on showing an old tree, as true as it is", async (t) => {
  const one = followed();
  one.source.stop(); // so that no source is late
  one.publish();
  await one.round(0);
  t.same((await one.round(300)).told, []);
  t.same((await one.round(301)).told, ["raised stale"]);
  one.begin();
  t.same((await one.round(900)).told, []);
  one.source.start();
  t.same(await one.sealed(910), ["resolved stale"]);
});

t.test("M1, M2, M5: a clock that was set back holds up nothing that is late", async (t) => {
  const view: View = { name: "mirror", checkpoint: () => Promise.resolve("missing") };
  const one = followed({ views: [view] });
  one.source.sessionEnd(1);
  one.source.stop();
  one.publish();
  await one.round(100_000);
  one.unreachable = true;
  await one.round(100_010);
  one.begin(); // it was set back while no monitor ran
  t.same((await one.round(0)).told, []);
  t.same((await one.round(61)).told, ["raised view_missing mirror", "raised unreachable"]);
  t.same((await one.round(301)).told, ["raised stale"]);
  one.unreachable = false;
  one.source.start();
  one.publish();
  one.log.served.set("tile/entries/000.p/7", "missing");
  await one.round(100_000);
  t.equal(one.watch.audited, 6);
  one.log.served.delete("tile/entries/000.p/7");
  await one.round(1000);
  await one.round(1600);
  t.equal(one.watch.audited, 7, "after the longest pause it was read again");
});

t.test("M3: each finding once, from the entries that are new, and the log is followed on", async (t) => {
  const one = followed();
  await one.round(0);
  one.source.statement(1, { n: 7 });
  one.source.statement(1, { n: 9 });
  one.source.seal();
  one.publish();
  t.same((await one.round(10)).told, ["raised session_break 4", "raised session_break 5"]);
  t.same([one.watch.verdict, one.size()], ["FAIL", [7, 4]], "behind a FAIL no progress is kept");
  one.log.asked.length = 0;
  t.same((await one.round(20)).told, []);
  t.same(one.log.asked, ["checkpoint"], "what failed is not read again");
  one.source.write("statement", { nonsense: true });
  t.same(await one.sealed(30), ["raised entry_malformed 7"]);
  // What was raised is known to the next process, which reads it again.
  one.begin();
  t.same((await one.round(40)).told, []);
  t.same([one.watch.verdict, one.size()], ["FAIL", [9, 4]]);
});

t.test("M3: who has looked into one finding that stays is told of the next", async (t) => {
  const one = followed();
  await one.round(0);
  one.source.statement(1, { n: 7 });
  t.same(await one.sealed(10), ["raised session_break 4"]);
  one.source.statement(1, { n: 7 });
  t.same(await one.sealed(20), ["raised session_break 6"]);
  for (let i = 0; i < 30; i++) one.source.statement(1, { n: 100 + 2 * i });
  const news = await one.sealed(30);
  t.equal(news.length, 9, "the first ten of its epoch, and one for all others");
  t.equal(news.at(-1), "raised session_break", "which stands nowhere and cannot be acknowledged");
  one.source.statement(1, { n: 7 });
  t.same(await one.sealed(40), []);
  one.begin();
  t.same((await one.round(50)).told, [], "what was told is known to the next process");
});

t.test("M3: what is served wrong is resolved once it is served right", async (t) => {
  const lies: [string, (log: MemoryLog) => Uint8Array | "missing", ...codes: string[]][] = [
    ["tile/entries/000.p/5", () => "missing", "data_missing tile/entries/000.p/5"],
    [
      "tile/entries/000.p/5",
      (log) => new MemoryLog([...log.entries.slice(0, 4), "x"]).make("entries", 0, 5),
      "leaf_mismatch tile/0/000.p/5",
      "root_mismatch",
    ],
    ["tile/0/000.p/5", () => Buffer.alloc(160), "tile_malformed"],
    ["checkpoint", () => Buffer.from("<html>"), "note_malformed checkpoint"],
    ["checkpoint", (log) => log.note(3), "rolled_back"],
  ];
  for (const [path, lie, ...codes] of lies) {
    const one = followed();
    await one.round(0);
    one.source.seal();
    one.publish();
    one.log.served.set(path, lie(one.log));
    const raised = (await one.round(10)).told;
    t.same(
      raised,
      codes.map((code) => `raised ${code}`),
    );
    t.same(one.size(), [4, 4]);
    // It is not asked again and again for the same.
    one.log.asked.length = 0;
    t.same((await one.round(12)).told, []);
    t.notOk(one.log.asked.includes("tile/entries/000.p/5"));
    one.log.served.delete(path);
    t.same(
      (await one.round(30)).told,
      codes.map((code) => `resolved ${code}`),
    );
    t.same([one.watch.verdict, one.size()], ["PASS", [5, 5]]);
  }
});

t.test("M3: a fork is evidence, is never taken back, and the log is watched on", async (t) => {
  const one = followed();
  const other = new MemoryLog(["another", ...one.source.entries.slice(1)]);
  await one.round(0);
  one.log.served.set("checkpoint", other.note());
  const fork = await one.round(10);
  t.same(fork.told, ["raised split_view"]);
  t.match(fork.evidence, [{ found: "split_view" }]);
  t.same(Buffer.from(fork.evidence[0]!.notes.kept.note), Buffer.from(one.log.note()));
  t.same(Buffer.from(fork.evidence[0]!.notes.seen.note), Buffer.from(other.note()));
  const again = await one.round(20);
  t.same([again.told, again.evidence], [[], []], "told once");
  one.log.served.delete("checkpoint");
  one.source.statement(1, { n: 7 });
  t.same(await one.sealed(30), ["raised session_break 4"], "the rest is followed");
  t.equal(one.watch.verdict, "FAIL");
  one.begin();
  t.same((await one.round(40)).told, []);
  t.equal(one.watch.verdict, "FAIL");
});

t.test("M3: S10 and S12 depend on the time alone", async (t) => {
  const absent = new TestSource("proxy-x.example");
  const one = followed({ pins: new Map([["proxy-x.example", parseVerifierKey(absent.key.vkey)]]) });
  t.same((await one.round(0)).told, ["raised source_missing"]);
  t.same((await one.round(80)).told, []);
  t.same((await one.round(91)).told, ["raised silent 3"]);
  t.same((await one.round(100)).told, []);
  t.same(await one.sealed(110), ["resolved silent 3"]);
});

t.test("M4: a seal that does not come", async (t) => {
  const one = followed();
  one.source.statement(1);
  one.publish();
  t.same((await one.round(0)).told, []);
  // It goes on writing, so that it is not silent, and never seals.
  for (const at of [20, 40]) {
    one.source.statement(1);
    one.publish();
    t.same((await one.round(at)).told, []);
    if (at === 20) one.begin();
  }
  t.same((await one.round(41)).told, ["raised seal_overdue 4"]);
  t.same((await one.round(42)).told, []);
  t.same(await one.sealed(50), ["resolved seal_overdue 4"]);
});

t.test("M4: more entries than it promised to leave without a seal", async (t) => {
  const one = followed();
  for (let i = 0; i < 2000; i++) one.source.statement(1);
  one.publish();
  t.same((await one.round(0)).told, []);
  one.source.statement(1);
  one.publish();
  t.same((await one.round(1)).told, ["raised seal_overdue 4"]);
});

/** A view of the log as a mirror or witness shows it, which can be changed. */
function mirror(): View & { note: Uint8Array | "missing" | VerifierError } {
  const view: ReturnType<typeof mirror> = {
    name: "mirror",
    note: "missing",
    checkpoint: async () => {
      if (view.note instanceof VerifierError) throw view.note;
      return view.note;
    },
  };
  return view;
}

async function mirrored(t: Test): Promise<{ one: Followed; view: ReturnType<typeof mirror> }> {
  const view = mirror();
  const one = followed({ views: [view] });
  view.note = one.log.note();
  t.same((await one.round(0)).told, []);
  return { one, view };
}

t.test("M5: what others see is another tree", async (t) => {
  const { one, view } = await mirrored(t);
  view.note = new MemoryLog(one.source.entries.with(1, "x")).note(3);
  const split = await one.round(10);
  t.same(split.told, ["raised inconsistent mirror"]);
  t.match(split.evidence, [{ found: "inconsistent", notes: { kept: { size: 3 }, seen: { size: 4 } } }]);
  view.note = one.log.note();
  const again = await one.round(20);
  t.same([again.told, again.evidence], [[], []]);
  t.equal(one.watch.verdict, "FAIL");
});

t.test("M5: a view without a signature, and one that cannot be had for long", async (t) => {
  const { one, view } = await mirrored(t);
  const note = Buffer.from(view.note as Uint8Array).toString();
  view.note = Buffer.from(note.replace("\n4\n", "\n5\n"));
  t.same((await one.round(10)).told, ["raised signature_invalid mirror"]);
  view.note = new VerifierError("log_unreachable", "refused");
  t.same((await one.round(20)).told, ["resolved signature_invalid mirror"]);
  t.same((await one.round(80)).told, []);
  t.same((await one.round(81)).told, ["raised view_missing mirror"]);
  view.note = one.log.note();
  t.same((await one.round(85)).told, ["resolved view_missing mirror"]);
});

t.test("M5: a larger tree that nobody has the tiles of is not taken for a fork", async (t) => {
  const { one, view } = await mirrored(t);
  view.note = new MemoryLog([...one.source.entries, "x"]).note();
  t.same((await one.round(10)).told, []);
  t.same((await one.round(71)).told, ["raised view_missing the log"]);
});

t.test("M6: a mirror that stands still", async (t) => {
  const { one } = await mirrored(t);
  for (let at = 10; at <= 310; at += 50) t.same(await one.sealed(at), []);
  t.same(await one.sealed(311), ["raised view_behind mirror"]);
});

t.test("M6: a log that shows us less than it shows others, though it grows", async (t) => {
  const { one, view } = await mirrored(t);
  for (let i = 0; i < 20; i++) one.source.seal();
  const ahead = new MemoryLog(one.source.entries);
  view.note = ahead.note();
  const tiles: View["tile"] = (level, n, width) => ahead.tile(level, n, width);
  view.tile = tiles;
  for (const [at, size] of [
    [10, 5],
    [100, 6],
    [200, 7],
    [310, 8],
  ] as const) {
    one.log.append(...one.source.entries.slice(one.log.size, size));
    t.same(
      (await one.round(at)).told.filter((line) => !/silent/.test(line)),
      [],
    );
  }
  one.log.append(...one.source.entries.slice(8, 9));
  t.ok((await one.round(311)).told.includes("raised behind_view mirror"));
  one.publish();
  t.ok((await one.round(320)).told.includes("resolved behind_view mirror"));
});

t.test("M7: cosignatures may come a little late, and not stay away, or be old", async (t) => {
  const witness = testCosigner("witness.example");
  const text = `log ${new MemoryLog().key.vkey}\nwitness W ${witness.vkey}\nquorum W\n`;
  const demand = { policy: parsePolicy(Buffer.from(text)), maxAge: 100 };
  const one = followed({ witnesses: demand });
  const cosigned = (at: number): Uint8Array => {
    const note = Buffer.from(one.log.note()).toString();
    const line = witness.line(note.slice(0, note.lastIndexOf("\n\n") + 1), epochStart / 1000 + at);
    return Buffer.from(note + line);
  };
  t.same((await one.round(0)).told, []);
  one.log.served.set("checkpoint", cosigned(5));
  t.same((await one.round(10)).told, []);
  one.log.served.delete("checkpoint");
  t.same(await one.sealed(20), []);
  t.same(await one.sealed(80), []);
  one.begin();
  t.same(await one.sealed(81), ["raised quorum_missing checkpoint"]);
  one.log.served.set("checkpoint", cosigned(81));
  t.same((await one.round(90)).told, ["resolved quorum_missing checkpoint"]);
  one.source.now = epochStart + 170_000;
  one.source.seal();
  one.publish();
  one.log.served.set("checkpoint", cosigned(81));
  t.same((await one.round(182)).told, []);
  t.same((await one.round(243)).told, ["raised cosignature_old checkpoint"]);
  // W1 is a contradiction, and is told at once.
  const note = Buffer.from(cosigned(240)).toString();
  one.log.served.set("checkpoint", Buffer.from(`${note.slice(0, -8)}AAAA${note.slice(-4)}`));
  t.match((await one.round(245)).told, [
    "raised cosignature_invalid checkpoint",
    "resolved cosignature_old checkpoint",
  ]);
});

t.test("K4: what was kept under each of two keys must be of one history", async (t) => {
  const second = testKey("log.example/vitrine", Buffer.alloc(32, 9));
  const one = followed();
  const keys = [one.key, parseVerifierKey(second.vkey)];
  const signed = (log: MemoryLog): Uint8Array => {
    const note = Buffer.from(log.note()).toString();
    return Buffer.from(note + second.line(note.slice(0, note.lastIndexOf("\n\n") + 1)));
  };
  const other = new MemoryLog(one.source.entries.with(1, "x"));
  const kept: Kept[] = [one.log, other].map((log) => ({
    checkpoint: verifyCheckpoint(signed(log), keys),
    audit: null,
  }));
  one.log.served.set("checkpoint", signed(one.log));
  const both = new Watch({ name: "l", reader: one.log, key: keys, settings, kept, memory: newMemory() });
  const round = await both.round();
  t.ok(told(round).includes("raised split_view"));
  t.equal(round.evidence.length, 1);
  const agreeing = [kept[0]!, kept[0]!];
  const good = new Watch({ name: "l", reader: one.log, key: keys, settings, kept: agreeing, memory: newMemory() });
  t.notOk(told(await good.round()).some((line) => /split|inconsistent/.test(line)));
});

t.test("what is remembered can be anything a source is called", async (t) => {
  const one = new Followed();
  const source = new TestSource("__proto__");
  source.start();
  source.session(1);
  one.log.append(...source.entries);
  t.same((await one.round(0)).told, []);
  one.begin();
  t.same((await one.round(41)).told, ["raised seal_overdue 0"]);
});

t.test("a memory that is damaged, or another log's", async (t) => {
  const { key, memory } = followed();
  t.throws(() => parseMemory(memory.replace('"head":null', '"head":{}'), key), /its digest does not fit/);
  t.throws(() => parseMemory("{", key), /it is not JSON/);
  const other = parseVerifierKey(new TestSource().key.vkey);
  t.throws(() => parseMemory(memory, other), { code: "usage", message: /another log key/ });
});
