import t from "tap";
import { auditLog } from "../../src/audit/audit.ts";
import type { AuditReport } from "../../src/audit/reports.ts";
import { VerifierError } from "../../src/errors.ts";
import { parseVerifierKey } from "../../src/formats/key.ts";
import { type ReadSeal, SealRun } from "../../src/sources/seal-run.ts";
import { MemoryLog } from "../support/memory-log.ts";
import { TestSource } from "../support/test-source.ts";

const key = parseVerifierKey(new TestSource().key.vkey);

function sealAt(index: number): ReadSeal {
  return { text: `seal ${index}`, key, place: { index, epoch: 1, seq: index, time: "" } };
}

/** A run of seals of which some are bad, and which of them were verified. */
function run(
  count: number,
  bad: readonly number[],
): { good: number | undefined; reported: number[]; opened: number[] } {
  const opened: number[] = [];
  const seals = new SealRun(({ place: { index } }) => {
    opened.push(index);
    if (bad.includes(index)) throw new VerifierError("seal_invalid", `seal ${index} is bad`);
  });
  for (let i = 0; i < count; i++) seals.add(sealAt(i));
  const reported: number[] = [];
  const good = seals.settle((_, { index }) => reported.push(index))?.index;
  t.equal(
    seals.settle(() => t.fail("nothing is left to settle")),
    undefined,
  );
  return { good, reported, opened };
}

t.test("of a run the last seal is verified, and the others when it is bad", async (t) => {
  t.same(run(0, []), { good: undefined, reported: [], opened: [] });
  t.same(run(1, []), { good: 0, reported: [], opened: [0] });
  t.same(run(5, [0, 3]), { good: 4, reported: [], opened: [4] });
  t.same(run(3, [2]), { good: 1, reported: [2], opened: [2, 0, 1, 2] });
  t.same(run(3, [0, 2]), { good: 1, reported: [0, 2], opened: [2, 0, 1, 2] });
  t.same(run(2, [0, 1]), { good: undefined, reported: [0, 1], opened: [1, 0, 1] });
});

t.test("a run is full before it holds much", async (t) => {
  const seals = new SealRun(() => undefined);
  let count = 0;
  while (!seals.full) seals.add(sealAt(count++));
  t.equal(count, 64);
});

function audit(source: TestSource): Promise<AuditReport> {
  const log = new MemoryLog(source.entries);
  return auditLog(log, { key: parseVerifierKey(log.key.vkey), now: () => source.now });
}

function found({ verdict, findings }: AuditReport): unknown {
  return [verdict, ...findings.map(({ code, index }) => `${code} ${index}`)];
}

/** The name and key id of the source's key, and a signature of nothing. */
function forgedNote(source: TestSource): string {
  const text = source.sealText();
  const note = source.key.note(text);
  const blob = Buffer.from(/ (\S+)\n$/.exec(note)![1]!, "base64");
  blob.fill(1, 4);
  return `${text}\n— ${source.key.name} ${blob.toString("base64")}\n`;
}

/** @param bad which of the seals that follow one another is forged; all behind it are over what is there */
async function quiet(count: number, bad: readonly number[], end: "stop" | "statement" | "cut"): Promise<unknown> {
  const source = new TestSource();
  source.start();
  source.session(1);
  for (let i = 0; i < count; i++) {
    if (bad.includes(i)) source.write("source.seal", { seal: forgedNote(source) });
    else source.seal();
  }
  if (end === "statement") source.statement(1);
  if (end !== "cut") source.sessionEnd(1);
  if (end !== "cut") source.stop();
  return found(await audit(source));
}

t.test("a seal that another follows directly needs no good signature; every other one does", async (t) => {
  t.same(await quiet(200, [], "stop"), ["PASS"]);
  t.same(await quiet(5, [1, 2], "stop"), ["PASS"], "the next seal covers it");
  t.same(await quiet(5, [4], "stop"), ["FAIL", "seal_invalid 6"], "an entry follows it");
  t.same(await quiet(5, [1, 4], "statement"), ["FAIL", "seal_invalid 3", "seal_invalid 6"]);
  t.same(await quiet(1, [0], "statement"), ["FAIL", "seal_invalid 2"]);
  t.same(await quiet(3, [2], "cut"), ["FAIL", "seal_invalid 4"], "it is the last of the log");
  t.same(await quiet(200, [63], "stop"), ["FAIL", "seal_invalid 65"], "of a long run some are verified all the same");
});

t.test("a seal whose chain value is wrong is not covered by the next", async (t) => {
  const source = new TestSource();
  source.start();
  source.session(1);
  source.seal();
  const wrong = source.sealText().replace(/\n[^\n]+(\nsessions)/, `\n${Buffer.alloc(32).toString("base64")}$1`);
  source.write("source.seal", { seal: source.key.note(wrong) });
  source.seal();
  source.sessionEnd(1);
  source.stop();
  t.same(found(await audit(source)), ["FAIL", "seal_mismatch 3"]);
});

t.test("a new epoch ends a run", async (t) => {
  const source = new TestSource();
  source.start();
  source.write("source.seal", { seal: forgedNote(source) });
  source.start();
  source.seal();
  source.stop();
  t.same(found(await audit(source)), ["FAIL", "seal_invalid 1"]);
});
