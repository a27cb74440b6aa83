import t from "tap";
import { auditLog } from "../../src/audit/audit.ts";
import { checkContinues, type Kept, keptName, parseKept, serializeKept } from "../../src/audit/kept.ts";
import { VerifierError } from "../../src/errors.ts";
import { type Checkpoint, verifyCheckpoint } from "../../src/formats/checkpoint.ts";
import { parseVerifierKey } from "../../src/formats/key.ts";
import { MemoryLog } from "../support/memory-log.ts";
import { TestSource } from "../support/test-source.ts";
import { type Bytes, bytesOf, checkCases, codeOr, fromHex, readVectors } from "../support/vectors.ts";

type Case = { desc: string; vkey: string; kept: Bytes; new: Bytes; proof: string[]; wantErr?: string };

checkCases("kept", readVectors<{ kept: Case[] }>("checkpoints.json").kept, async (one) => {
  const open = (note: Bytes): Checkpoint => verifyCheckpoint(bytesOf(note), parseVerifierKey(one.vkey));
  try {
    await checkContinues(open(one.kept), open(one.new), async () => one.proof.map(fromHex));
    return { desc: one.desc };
  } catch (error) {
    if (error instanceof VerifierError) return { wantErr: error.code };
    throw error;
  }
});

const source = new TestSource();
source.run(20);
const log = new MemoryLog(source.entries);
const key = parseVerifierKey(log.key.vkey);

async function audited(): Promise<Kept> {
  return (await auditLog(log, { key, now: () => source.now })).keep!;
}

t.test("what is kept comes back as it was", async (t) => {
  const kept = await audited();
  const text = serializeKept(kept, key);
  const back = parseKept(text, key);
  t.equal(back.checkpoint.size, log.size);
  t.same(back.audit, JSON.parse(JSON.stringify(kept.audit)));
  t.equal(serializeKept(back, key), text);
  t.equal(keptName(key).length, 64);
  t.not(keptName(key), keptName(parseVerifierKey(source.key.vkey)));
});

t.test("what was kept is refused when it is damaged, edited or of another log", async (t) => {
  const text = serializeKept(await audited(), key);
  const other = parseVerifierKey(source.key.vkey);
  t.same(
    codeOr(() => parseKept(text, other)),
    { wantErr: "usage" },
  );
  const wrong: number[] = [];
  for (let at = 0; at < text.length - 1; at += 29) {
    const edited = `${text.slice(0, at)}${text[at] === "7" ? "8" : "7"}${text.slice(at + 1)}`;
    if (!("wantErr" in codeOr(() => parseKept(edited, key)))) wrong.push(at);
  }
  t.same(wrong, []);
  for (const bad of ["", "null", "[]", "{}", '{"format":"vitrine/verifier-state/v1"}', text.slice(0, -20)]) {
    t.same(
      codeOr(() => parseKept(bad, key)),
      { wantErr: "usage" },
      bad.slice(0, 40),
    );
  }
});
