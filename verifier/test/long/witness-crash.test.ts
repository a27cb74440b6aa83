import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import t, { type Test } from "tap";
import { type CrashPoint, crashPoints } from "../../cli/witness/hooks.ts";
import { verifyCosignature } from "../../src/formats/cosignature.ts";
import { parseNote } from "../../src/formats/note.ts";
import { latest, start, stateFolder, submit, type TestWitness } from "../cli/witness/support/start.ts";
import { TestLog } from "../cli/witness/support/test-log.ts";

const program = fileURLToPath(new URL("../cli/witness/support/crash-child.js", import.meta.url));
const origin = "log.example/crash";
const log = new TestLog(origin);
const fork = new TestLog(origin, "another entry");
/** Small enough that the state is made anew after a few requests. */
const compactAt = 1500;

/**
 * Submits one size after the other to a witness that dies at a point.
 * @returns the largest size that was answered, and whether the witness died
 */
async function runUntilDeath(state: string, point: CrashPoint, nth: number): Promise<{ told: number; died: boolean }> {
  const child = spawn(process.execPath, [program, state, log.key.vkey, point, String(nth), String(compactAt)]);
  const ended = once(child, "exit");
  const first = await Promise.race([once(child.stdout, "data"), ended]);
  let told = 0;
  if (first[0] instanceof Buffer) {
    const url = `http://127.0.0.1:${String(first[0]).trim()}`;
    let old = Number((await submit(url, log.request(0, 1))).body) || 0;
    for (let size = old + 1; size < 30; size++) {
      const answer = await submit(url, log.request(old, size)).catch(() => undefined);
      if (answer === undefined) break;
      if (answer.status !== 200 && answer.status !== 409) throw new Error(`${answer.status} ${answer.body}`);
      if (answer.status === 200) told = size;
      old = size;
    }
    child.kill("SIGKILL");
  }
  const [, signal] = (await ended) as [number | null, string | null];
  return { told, died: signal === "SIGKILL" };
}

/** What a witness knows after it was started again: that nothing it told is lost, and nothing else can be cosigned. */
async function check(t: Test, witness: TestWitness, told: number): Promise<number> {
  const conflict = await submit(witness.url, log.request(0, 40));
  const known = conflict.status === 409 ? Number(conflict.body) : 0;
  t.ok(known >= told, `knows ${known}, told ${told}`);
  if (known > 0) {
    t.equal(conflict.status, 409);
    t.match(await submit(witness.url, fork.request(known, known)), { status: 422, body: /^split_view: / });
    t.match(await submit(witness.url, fork.request(known, known + 1)), { status: 422, body: /^inconsistent: / });
    const { body } = await latest(witness.url, origin);
    t.ok(body.startsWith(log.note(known)));
    t.equal(verifyCosignature(parseNote(Buffer.from(body)), witness.witness.cosigner.vkey).state, "good");
  }
  t.match(await submit(witness.url, log.request(known || 40, 41)), { status: 200 });
  t.match(await submit(witness.url, fork.request(41, 42)), { status: 422 });
  return known;
}

/** Where, and the nth time there. The state is made once at the first start, and again when it has grown. */
const places: [CrashPoint, number][] = [
  ["create:state", 1],
  ["create:key", 1],
  ["append:before", 3],
  ["append:written", 3],
  ["append:durable", 3],
  ["answer:signed", 3],
  ["compact:synced", 1],
  ["compact:renamed", 1],
  ["compact:written", 2],
  ["compact:synced", 2],
  ["compact:renamed", 2],
  ["compact:durable", 2],
];

t.test("each place where it may die is among these, or below", async (t) => {
  const named = [...places.map(([point]) => point), "open:truncated"];
  t.same([...new Set(named)].sort(), [...crashPoints].sort());
});

t.jobs = 2;
for (const [point, nth] of places) {
  t.test(`dies at ${point}, ${nth}`, async (t) => {
    const state = stateFolder(t);
    const { told, died } = await runUntilDeath(state, point, nth);
    t.ok(died);
    if (nth === 1) t.equal(told, 0);
    else if (point.startsWith("compact")) t.ok(told > 3);
    else t.equal(told, 2);
    const witness = await start(t, { state, log: [log.key.vkey] }, { compactAt });
    const known = await check(t, witness, told);
    if (point === "append:before") t.equal(known, 2);
    if (point === "append:durable" || point === "answer:signed") t.equal(known, 3);
  });
}

t.test("the power goes while a record is being written: any part of it may be there", async (t) => {
  const state = stateFolder(t);
  const file = join(state, "state");
  const { told } = await runUntilDeath(state, "append:written", 3);
  t.equal(told, 2);
  const whole = readFileSync(file);
  // The third record: from where the second ends, which is what was durable before.
  const durable = whole.lastIndexOf("\n0000000") + 1;
  for (const length of [durable, durable + 1, durable + 28, durable + 40, whole.length - 1, whole.length]) {
    for (const zeros of [0, 77]) {
      writeFileSync(file, Buffer.concat([whole.subarray(0, length), Buffer.alloc(zeros)]));
      const witness = await start(t, { state, log: [log.key.vkey] });
      t.equal(witness.lines.length, length === whole.length || length === durable ? (zeros > 0 ? 1 : 0) : 1);
      const answer = await submit(witness.url, log.request(0, 9));
      t.match(answer, { status: 409, body: length === whole.length ? "3\n" : "2\n" }, `${length - durable} ${zeros}`);
      t.match(await submit(witness.url, log.request(Number(answer.body), 9)), { status: 200 });
      await witness.stop();
    }
  }
});

t.test("dies again while it mends the state", async (t) => {
  const state = stateFolder(t);
  await runUntilDeath(state, "append:durable", 3);
  truncateSync(join(state, "state"), readFileSync(join(state, "state")).length - 10);
  t.same(await runUntilDeath(state, "open:truncated", 1), { told: 0, died: true });
  const witness = await start(t, { state, log: [log.key.vkey] });
  t.same(witness.lines, [], "it was mended");
  t.equal(await check(t, witness, 2), 2);
});
t.end();
