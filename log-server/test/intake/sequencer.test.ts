import { createHash } from "node:crypto";
import t from "tap";
import { LogServerError } from "../../src/errors.ts";
import type { CrashPoint } from "../../src/hooks.ts";
import { withDefaults } from "../../src/hooks.ts";
import { type Receipt, Sequencer, type TurnReport } from "../../src/intake/sequencer.ts";
import { MemoryStore } from "../../src/store/memory-store.ts";
import { TreeReader } from "../../src/tree/log.ts";
import { TestSource } from "../support/source.ts";
import { checked, newEdge } from "../support/tree.ts";

/** A store whose appends wait until they are let through, and can be made to fail. */
class GatedStore extends MemoryStore {
  gates: (() => void)[] = [];
  gated = false;
  broken = false;
  override async append(append: Parameters<MemoryStore["append"]>[0]): Promise<void> {
    if (this.gated) await new Promise<void>((resolve) => this.gates.push(resolve));
    if (this.broken) throw new Error("no space left on device");
    await super.append(append);
  }
}

interface Bench {
  store: GatedStore;
  sequencer: Sequencer;
  turns: TurnReport[];
  fatal: Error[];
  submit(source: TestSource, seq?: number, end?: number, epoch?: number): Promise<Receipt>;
}

async function bench(at?: (point: CrashPoint) => void): Promise<Bench> {
  const store = new GatedStore();
  const turns: TurnReport[] = [];
  const fatal: Error[] = [];
  const hooks = withDefaults({ ...(at === undefined ? {} : { at }), log: () => {} });
  const state = { head: await store.head(), edge: newEdge(), positions: new Map() };
  const sequencer = new Sequencer(
    store,
    state,
    hooks,
    (turn) => turns.push(turn),
    (error) => fatal.push(error),
  );
  const submit = (source: TestSource, seq = 0, end = source.entries.length, epoch = source.epoch): Promise<Receipt> =>
    sequencer.submit(checked(source.name, epoch, seq, source.epochs[epoch - 1]!.slice(seq, end)));
  return { store, sequencer, turns, fatal, submit };
}

const ranges = (receipt: Receipt) => receipt.ranges.map(({ seq, index, count }) => [seq, index, count]);
const tick = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

t.test("entries get indexes in the order in which they came, and the chain is the source's own", async (t) => {
  const { store, sequencer, submit } = await bench();
  const [a, b] = [new TestSource("a").start().fill(9), new TestSource("b").start().fill(2)];
  t.same(await submit(a, 0, 4), { source: "a", epoch: 1, next: 4, ranges: [{ seq: 0, index: 0, count: 4 }] });
  t.same(ranges(await submit(b)), [[0, 4, 3]]);
  t.same(ranges(await submit(a, 4)), [[4, 7, 6]]);
  const entries = await new TreeReader(store).entries(0, 13);
  t.same(
    entries,
    [...a.entries.slice(0, 4), ...b.entries, ...a.entries.slice(4)].map(({ bytes }) => bytes),
  );
  t.same(sequencer.positions.get("a")!.chain, a.chain());
  t.same((await store.positions()).get("b")!.chain, b.chain());
  t.equal(sequencer.head.size, 13);
});

t.test("what arrives while a write is under way goes into one next write", async (t) => {
  const { store, sequencer, turns, submit } = await bench();
  store.gated = true;
  const sources = Array.from({ length: 5 }, (_, i) => new TestSource(`s${i}`).start().fill(4));
  const first = submit(sources[0]!, 0, 1);
  await tick();
  let answered = 0;
  const rest = sources.flatMap((source, i) => [submit(source, i === 0 ? 1 : 0, 3), submit(source, 3)]);
  for (const each of rest) void each.then(() => (answered += 1));
  store.gates.shift()!();
  await first;
  await tick();
  t.equal(store.gates.length, 1, "one write for all that waited");
  t.equal(answered, 0, "nothing is acknowledged before it is durable");
  t.equal(sequencer.head.size, 1);
  store.gates.shift()!();
  await Promise.all(rest);
  t.same(
    turns.map(({ entries, submissions }) => [entries, submissions]),
    [
      [1, 1],
      [24, 10],
    ],
  );
});

t.test("a repetition gets the same indexes, wholly or partly known", async (t) => {
  const { turns, submit } = await bench();
  const [a, b] = [new TestSource("a").start().fill(700), new TestSource("b").start()];
  await submit(a, 0, 300);
  await submit(b);
  t.same(ranges(await submit(a, 0, 300)), [[0, 0, 300]]);
  t.same(ranges(await submit(a, 17, 280)), [[17, 17, 263]]);
  t.same(ranges(await submit(a, 299, 302)), [
    [299, 299, 1],
    [300, 301, 2],
  ]);
  t.same(ranges(await submit(a, 0)), [
    [0, 0, 300],
    [300, 301, 401],
  ]);
  t.same(ranges(await submit(a, 250, 701)), [
    [250, 250, 50],
    [300, 301, 401],
  ]);
  t.equal(turns.length, 4, "what was known was not written again");
});

t.test("repetitions that meet their first submission in one turn are answered once that is durable", async (t) => {
  const { store, sequencer, turns, submit } = await bench();
  const [a, b] = [new TestSource("a").start().fill(9), new TestSource("b").start()];
  store.gated = true;
  const blocker = submit(b);
  await tick();
  const waiting = [submit(a, 0, 5), submit(a, 0, 5), submit(a, 3, 8), submit(a, 8)];
  store.gated = false;
  store.gates.shift()!();
  await blocker;
  const answers = await Promise.all(waiting);
  t.same(answers.map(ranges), [[[0, 1, 5]], [[0, 1, 5]], [[3, 4, 5]], [[8, 9, 2]]]);
  t.equal(sequencer.head.size, 11);
  t.equal(
    turns.reduce((sum, { entries }) => sum + entries, 0),
    11,
  );
});

t.test("a gap, another history, and a new epoch that does not follow change nothing", async (t) => {
  const { sequencer, submit } = await bench();
  const a = new TestSource("a").start().fill(9);
  await t.rejects(submit(a, 1), { code: "sequence_gap", details: { expected: { epoch: 0, seq: 0 } } });
  await submit(a, 0, 5);
  await t.rejects(submit(a, 6), { code: "sequence_gap", details: { expected: { epoch: 1, seq: 5 } } });
  const other = new TestSource("a").start().fill(2).fill(7, 1);
  await t.rejects(submit(other, 1), { code: "sequence_conflict", details: { expected: { epoch: 1, seq: 5 } } });
  await t.rejects(submit(other, 1, 5), { code: "sequence_conflict" });

  const early = new TestSource("a");
  early.epochs[0] = a.entries.slice(0, 4);
  const chain = createHash("sha256").update("other").digest("base64");
  const wrong = { epoch: 1, next: 5, chain, clean: false, spool: "kept" };
  const expected = { epoch: 1, seq: 5, chain: sequencer.positions.get("a")!.chain.toString("base64") };
  await t.rejects(submit(early.start()), { code: "epoch_conflict", details: { expected } });
  early.epochs[1] = [];
  await t.rejects(submit(early.add({ ...early.head("source.start"), previous: wrong })), { code: "epoch_conflict" });
  early.epochs[1] = [];
  await t.rejects(submit(early.add({ ...early.head("source.start"), previous: null })), { code: "epoch_conflict" });
  t.equal(sequencer.head.size, 5);

  await submit(a, 5);
  a.start().fill(3);
  await t.rejects(submit(a, 1), { code: "sequence_gap", details: { expected: { epoch: 1, seq: 10 } } });
  t.same(await submit(a), { source: "a", epoch: 2, next: 4, ranges: [{ seq: 0, index: 10, count: 4 }] });
  const old = await submit(a, 2, 6, 1);
  t.same(old, { source: "a", epoch: 2, next: 4, ranges: [{ seq: 2, index: 2, count: 4 }] });
  a.epochs[0]!.push(a.epochs[0]![9]!);
  await t.rejects(submit(a, 8, 11, 1), { code: "sequence_conflict", details: { expected: { epoch: 2, seq: 4 } } });
  await t.rejects(submit(a, 10, 11, 1), { code: "sequence_conflict" });
  await t.rejects(submit(other, 0, 4, 1), { code: "sequence_conflict" });
  a.start().start().fill(1);
  await t.rejects(submit(a), { code: "sequence_gap" });
});

t.test("a failed write is the end: whoever waits is told, and nothing is written any more", async (t) => {
  const { store, sequencer, fatal, submit } = await bench();
  const [a, b] = [new TestSource("a").start().fill(3), new TestSource("b").start()];
  await submit(a, 0, 2);
  const { root } = sequencer.head;
  store.gated = true;
  const lost = submit(a, 2);
  await tick();
  const queued = submit(b);
  store.broken = true;
  store.gates.shift()!();
  await t.rejects(lost, { code: "internal" });
  await t.rejects(queued, { code: "internal" });
  store.broken = false;
  store.gated = false;
  await t.rejects(submit(b), { code: "internal" });
  t.equal(fatal.length, 1);
  t.match(fatal[0], { code: "write_failed", message: /no space left/ });
  t.same(sequencer.head, { size: 2, root });
  t.equal((await store.head()).size, 2);
});

t.test("what was put off when another part of the log fails is told as well", async (t) => {
  const { store, sequencer, submit } = await bench();
  const [a, b, c] = ["a", "b", "c"].map((name) => new TestSource(name).start().fill(3)) as TestSource[];
  await submit(a!);
  store.gated = true;
  const blocker = submit(c!);
  await tick();
  // In one turn: new entries, a repetition of them, which is put off, and one that is being looked up.
  const [taken, put, known] = [submit(b!), submit(b!), submit(a!)];
  const accepted = store.accepted.bind(store);
  let lookedUp!: () => void;
  const looking = new Promise<void>((resolve) => {
    lookedUp = resolve;
  });
  store.accepted = async (...range) => {
    sequencer.halt(new LogServerError("store_behind", "a witness has more"));
    lookedUp();
    return accepted(...range);
  };
  store.gated = false;
  store.gates.shift()!();
  await blocker;
  await looking;
  await t.rejects(put, { code: "internal" });
  t.same(ranges(await taken), [[0, 8, 4]], "the turn under way is carried through");
  t.same(ranges(await known), [[0, 0, 4]]);
});

t.test("a store that cannot be read refuses a repetition, and goes on with what is new", async (t) => {
  const { store, fatal, submit } = await bench();
  const a = new TestSource("a").start().fill(3);
  await submit(a, 0, 2);
  const accepted = store.accepted.bind(store);
  store.accepted = () => Promise.reject(new Error("bad block"));
  await t.rejects(submit(a, 0), { code: "internal" });
  t.same(ranges(await submit(a, 2)), [[2, 2, 2]]);
  store.accepted = accepted;
  t.same(ranges(await submit(a, 0)), [[0, 0, 4]]);
  t.same(fatal, []);
});
