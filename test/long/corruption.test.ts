// One byte of the store's files is another. The log may notice at start, or when it reads; it may answer less, or with
// an error. What it must never do is to give a verifier something else that verifies, or to sign it.
import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { FaultyLog } from "../support/faults.ts";
import { temporaryFolder } from "../support/stack.ts";

/** Places in each file; `VITRINE_FLIPS=all` takes every byte, which takes hours. */
const FLIPS = process.env.VITRINE_FLIPS ?? "8";
const CODES = ["store_corrupt", "store_behind", "store_disagrees", "store_version", "guard_missing"];

const folder = temporaryFolder("corruption");
t.after(() => rmSync(folder, { recursive: true, force: true }));

const log = await FaultyLog.create(join(folder, "log"));
const whole = join(folder, "whole");

t.before(async () => {
  await log.start();
  await log.load(30);
  await log.published();
  await log.end("SIGTERM");
  // Started once more, LevelDB moves what was in its log into tables.
  await log.start();
  await log.load(30);
  await log.published();
  t.equal((await log.verify("audit")).code, 2, "the audit finds nothing but what is not sealed yet");
  await log.end("SIGTERM");
  cpSync(log.folder, whole, { recursive: true });
});

/** The same places each time: what fails can be looked at again. */
function places(size: number): number[] {
  if (FLIPS === "all") return Array.from({ length: size }, (_, i) => i);
  const count = Math.min(size, Number(FLIPS));
  return Array.from({ length: count }, (_, i) => Math.floor(((i + 0.5) / count) * size));
}

const outcomes = new Map<string, number>();

function count(outcome: string): void {
  outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
}

/** @returns what is wrong with how the log took it, if anything */
async function live(): Promise<string | undefined> {
  try {
    await log.start();
  } catch (error) {
    const code = CODES.find((one) => String(error).includes(`vitrine: ${one}:`));
    count(code ?? "another end");
    return code === undefined ? `it does not start, and says ${error}` : undefined;
  }
  try {
    const before = await log.verify("audit");
    if (![0, 1, 2, 69].includes(before.code)) return `the audit ends with ${before.code}: ${before.stderr}`;
    if (before.code === 1) count("found by the audit");
    else if (before.code === 2 && !before.stdout.includes("data_missing")) count("no difference");
    else count("does not answer");
    // It goes on signing; what it signs must continue what it signed.
    await log.load(2);
    const head = await log.verify("head");
    if (/"(rolled_back|split_view|inconsistent)"/.test(head.stdout)) return `it signed a fork: ${head.stdout}`;
    return undefined;
  } finally {
    await log.end("SIGKILL");
  }
}

t.test("every file of the store", async (t) => {
  const files = readdirSync(join(whole, "store")).filter((name) => !/^(LOCK|LOG|LOG\.old)$/.test(name));
  t.ok(files.some((name) => name.endsWith(".ldb")) && files.some((name) => name.endsWith(".log")), files.join(" "));
  for (const name of files) {
    const bytes = readFileSync(join(whole, "store", name));
    const wrong: string[] = [];
    for (const place of places(bytes.length)) {
      rmSync(log.folder, { recursive: true });
      cpSync(whole, log.folder, { recursive: true });
      const changed = Buffer.from(bytes);
      changed[place] = changed[place]! ^ 0x10;
      writeFileSync(join(log.folder, "store", name), changed);
      log.forgetUnanswered();
      const found = await live();
      if (found !== undefined) wrong.push(`byte ${place}: ${found}`);
    }
    t.same(wrong, [], `${name}, ${bytes.length} bytes`);
  }
  t.comment([...outcomes].map(([outcome, times]) => `${outcome}: ${times}`).join(", "));
  t.ok(
    [...outcomes.keys()].some((outcome) => CODES.includes(outcome)),
    "some of it is noticed at start",
  );
});

t.end();
