// A log that lies, in more than a hundred ways, each of which the verifier must find, and for its reason.
//
// A real proxy before a real PostgreSQL makes a real log. It is read over HTTP and served again by a log of the tests'
// own, which has the log's key and, for some lies, the source's too, and shares no code with either log or verifier.
import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Postgres } from "@vitrine/cli";
import t, { type Test } from "tap";
import { bundleOf, bundles, disclosed, proofs } from "../support/lying-cases-bundle.ts";
import { handovers } from "../support/lying-cases-key.ts";
import { movedEntries } from "../support/lying-cases-order.ts";
import { againstRecord } from "../support/lying-cases-record.ts";
import { sealsAndKeys } from "../support/lying-cases-seal.ts";
import { answers, checkpoints, silences } from "../support/lying-cases-server.ts";
import { forms, sessions } from "../support/lying-cases-session.ts";
import { changedBytes, forks } from "../support/lying-cases-tree.ts";
import { limits, truths } from "../support/lying-cases-true.ts";
import { evidence, rotated, witnessed } from "../support/lying-cases-witness.ts";
import { bytes, members, remake } from "../support/lying-history.ts";
import { type BundleLie, FAIL, Honest, type LogLie } from "../support/lying-honest.ts";
import { type Record, recordLog } from "../support/lying-record.ts";
import { Audience, codesOf, type Heard, inParallel, stateFiles } from "../support/lying-runner.ts";
import { Stack, startDatabase, temporaryFolder } from "../support/stack.ts";

const AT_ONCE = 4;
const VERDICTS: Readonly<{ [exit: number]: string | undefined }> = { 0: "PASS", 1: "FAIL", 2: "NOT PROVEN" };
const FORKS = ["rolled_back", "split_view", "inconsistent"];

const folder = temporaryFolder("lies");
let database: Postgres;
let stack: Stack;
let record: Record;
let honest: Honest;
let audience: Audience;

t.before(async () => {
  database = await startDatabase(folder);
  stack = await Stack.create(database);
  record = await recordLog(stack, database);
  honest = new Honest(record, stack.logKey, stack.sourceKey);
  mkdirSync(join(folder, "verifier"));
  audience = new Audience(join(folder, "verifier"), honest);
});

t.after(async () => {
  await stack?.destroy();
  await database?.stop();
  rmSync(folder, { recursive: true, force: true });
});

t.test("the recorded log is as rich as the lies need it, and rebuilt here to the byte", async (t) => {
  const { entries, at } = honest;
  t.ok(entries.length > 600, `${entries.length} entries`);
  t.equal(honest.signed(at.size, honest.tree.root()), record.checkpoint, "root and signature are those of the log");
  const again = remake(entries, { seals: honest.source, renumber: true, previous: true });
  t.ok(
    again.every((entry, i) => entry.equals(entries[i]!)),
    "sequence, chain, counts and seals are those of the source",
  );
  const kinds = entries.map((entry) => JSON.parse(entry.toString()) as { kind: string; outcome?: string });
  const seals = kinds.filter(({ kind }) => kind === "source.seal" || kind === "source.stop");
  t.ok(seals.length >= 3, `${seals.length} seals`);
  for (const outcome of ["completed", "failed", "unknown"])
    t.ok(
      kinds.some((entry) => entry.outcome === outcome),
      outcome,
    );
  t.ok(record.disclosures.size >= 10, `disclosures of ${record.disclosures.size} entries`);
});

function matches(t: Test, lie: LogLie | BundleLie, { code, report }: Heard): void {
  const found = codesOf(report);
  const codes = [...lie.codes, ...(lie.also ?? []).filter((also) => found.includes(also))].sort();
  const first = report.firstBadIndex ?? report.findings?.find(({ index }) => index !== undefined)?.index;
  const index = lie.index === undefined ? {} : { index: lie.index };
  t.same(
    { exit: code, verdict: report.verdict, codes: found, ...(lie.index === undefined ? {} : { index: first }) },
    { exit: lie.exit, verdict: VERDICTS[lie.exit], codes, ...index },
    "exit, verdict, findings and first bad index",
    { report: { ...report, entries: undefined, sources: undefined } },
  );
}

interface Evidence {
  readonly format: string;
  readonly vkey: string;
  readonly found: string;
  readonly kept: string;
  readonly seen: string;
}

/** Both notes are kept as evidence, and what was kept before stays. */
function keepsEvidence(t: Test, lie: LogLie, { report, state }: Heard): void {
  const before = lie.kept === undefined ? {} : stateFiles(audience.kept(lie.kept));
  const after = stateFiles(state);
  const view = lie.show();
  for (const [name, text] of Object.entries(before)) t.equal(after[name], text, "the state is not advanced");
  if (!t.ok(typeof report.evidence === "string" && existsSync(report.evidence), "the evidence is kept")) return;
  const evidence = JSON.parse(readFileSync(report.evidence as string, "utf8")) as Evidence;
  const size = lie.kept === "half" ? honest.at.half : honest.at.size;
  t.match(evidence, { format: "vitrine/fork-evidence/v1" });
  t.ok(lie.codes.includes(evidence.found), evidence.found);
  if (lie.first !== undefined) {
    // Two that were kept before, or one of them and what is shown now.
    const notes = [...lie.first.map(({ show }) => show().checkpoint), view.checkpoint];
    t.ok(notes.includes(evidence.kept) && notes.includes(evidence.seen) && evidence.kept !== evidence.seen);
    t.ok(lie.vkeys?.includes(evidence.vkey), evidence.vkey);
    return;
  }
  t.equal(evidence.vkey, honest.log.vkey);
  t.equal(evidence.kept, lie.kept === undefined ? view.checkpoint : honest.signed(size, honest.tree.root(size)));
  t.equal(evidence.seen, (view.afterwards ?? view).checkpoint);
}

async function tell(t: Test, lies: readonly LogLie[]): Promise<void> {
  const heard = await inParallel(lies, AT_ONCE, (lie) => audience.hear(lie));
  for (const [i, lie] of lies.entries()) {
    await t.test(lie.name, async (t) => {
      matches(t, lie, heard[i]!);
      if (lie.codes.some((code) => FORKS.includes(code))) keepsEvidence(t, lie, heard[i]!);
    });
  }
}

t.test("the honest log passes", async (t) => {
  await audience.prepare();
  await tell(t, truths(honest));
});

t.test("what a first contact cannot see, its report admits", async (t) => {
  const list = limits(honest);
  const heard = await inParallel(list, AT_ONCE, (limit) => audience.hear(limit));
  for (const [i, limit] of list.entries()) {
    matches(t, limit, heard[i]!);
    t.match(heard[i]!.report.conclusion, limit.says, limit.name);
  }
});

t.test("bytes are changed under a signed checkpoint", async (t) => tell(t, changedBytes(honest)));
t.test("the log's key signs another history than the one that was kept", async (t) => tell(t, forks(honest)));
t.test("entries are left out, put in and moved, and the log's key signs the tree", async (t) =>
  tell(t, movedEntries(honest)),
);
t.test("seals, keys and epochs are not the source's", async (t) => tell(t, sealsAndKeys(honest)));
t.test("the source changes its key", async (t) => tell(t, handovers(honest)));
t.test("sessions do not add up", async (t) => tell(t, sessions(honest)));
t.test("entries have a wrong form", async (t) => tell(t, forms(honest)));
t.test("checkpoints are not the log's", async (t) => tell(t, checkpoints(honest)));
t.test("answers are not what was asked for", async (t) => tell(t, answers(honest)));
t.test("answers do not come", async (t) => tell(t, silences(honest)));
t.test("witnesses have not seen what is shown", async (t) => tell(t, witnessed(honest)));
t.test("the log changes its key", async (t) => tell(t, rotated(honest)));
t.test("a bundle is not made of lies", async (t) => tell(t, proofs(honest)));

t.test("with both keys, nobody who kept nothing can tell; the proxy's own record can", async (t) => {
  const args = [join(stack.folder, "spool", "submitted"), "--source", stack.sourceVkey];
  const lies = againstRecord(honest, args);
  await tell(t, [
    {
      name: "the record of an honest log, over a crash",
      show: () => honest.view(),
      command: "verify",
      args,
      exit: 0,
      codes: [],
    },
    ...lies,
    ...lies.map(({ name, show }) => ({ name: `${name}: the audit`, show, exit: 0, codes: [] })),
  ]);
});

t.test("a lie is found again by the next audit, and cannot be taken back", async (t) => {
  const forgery = members(honest.entries[honest.at.earlyRefused]!);
  const entries = honest.entries.slice(0, honest.at.half);
  const stop = members(entries.at(-1)!);
  const lie: LogLie = {
    name: "an entry behind source.stop",
    show: () => honest.view([...entries, bytes({ ...forgery, seq: stop.seq + 1 })]),
    kept: "half",
    exit: FAIL,
    codes: ["epoch_break"],
    also: ["unsealed"],
    index: entries.length,
  };
  const first = await audience.hear(lie);
  matches(t, lie, first);
  matches(t, lie, await audience.hear(lie, first.state));
  const without = { ...lie, show: () => honest.view(entries), codes: ["rolled_back"], index: undefined };
  matches(t, without, await audience.hear(without, first.state));
});

t.test("bundles lie", async (t) => {
  const [index] = disclosed(honest);
  const bundle = bundleOf(honest, index);
  const truth = { name: "a true bundle", file: () => JSON.stringify(bundle), exit: 0, codes: [] };
  const extra = bundle.proof.replace("\nindex", "\nextra bm9uZQ==\nindex");
  const list: BundleLie[] = [
    truth,
    {
      ...truth,
      name: "a true bundle without its disclosures",
      file: () => JSON.stringify({ ...bundle, disclosures: [] }),
    },
    {
      ...truth,
      name: "a true bundle with more in it",
      file: () => JSON.stringify({ ...bundle, proof: extra, more: 1 }),
    },
    ...bundles(honest),
    ...evidence(honest),
  ];
  const heard = await inParallel(list, AT_ONCE, (lie) => audience.examine(lie));
  for (const [i, lie] of list.entries()) await t.test(lie.name, async (t) => matches(t, lie, heard[i]!));
});

t.test("the bundle that is made of the honest log is the one that was made here", async (t) => {
  const [index] = disclosed(honest);
  const file = join(folder, "bundle.json");
  const args = ["--index", String(index), "--token", "an-auditor-token", "--reason", "x", "--output", file];
  const heard = await audience.hear({
    name: "",
    show: () => honest.view(),
    command: "prove",
    args,
    exit: 0,
    codes: [],
  });
  t.equal(heard.code, 0, heard.stderr);
  const { disclosures, ...made } = JSON.parse(readFileSync(file, "utf8")) as ReturnType<typeof bundleOf>;
  const { disclosures: ours, ...expected } = bundleOf(honest, index);
  t.same(made, expected);
  t.same([...disclosures].sort(), [...ours].sort());
});

t.end();
