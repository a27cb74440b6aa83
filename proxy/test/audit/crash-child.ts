/**
 * The process that crash.test.ts kills: node crash-child.js <options as JSON>. Runs statements, says on standard output
 * what it knows to be durable, and kills itself with SIGKILL at the n-th time that it comes to a point.
 */
import { existsSync, writeSync } from "node:fs";
import { join } from "node:path";
import { type CrashPoint, type Intent, KeyFiles, makeNextKey, Recorder } from "../../src/audit/index.ts";
import { durable, statement } from "./help.ts";

export interface ChildOptions {
  readonly dir: string;
  /** The file of the source's key. */
  readonly key: string;
  readonly url: string;
  readonly logKey: string;
  readonly name: string;
  readonly point: CrashPoint;
  readonly time: number;
}

const { dir, key, url, logKey, name, point, time } = JSON.parse(process.argv[2]!) as ChildOptions;
const say = (what: string): void => {
  writeSync(1, `${what}\n`);
};
let times = 0;
const recorder = await Recorder.open({
  key: new KeyFiles(key),
  // A file for every few lines, so that many are put away.
  record: { path: join(dir, "submitted"), maxBytes: 1500 },
  spool: { dir, maxBytes: 64 * 1024 * 1024, maxAgeMs: 900_000, segmentBytes: 8192 },
  log: { url, vkey: logKey },
  software: { name: "test", version: "1.0.0" },
  configDigest: "ab".repeat(32),
  durability: { reads: "before-execute", others: "before-execute", windowMs: 0 },
  seals: { everyEntries: 20, everyMs: 10_000, idleMs: 60_000 },
  lingerMs: 1,
  hooks: {
    at: (here) => {
      if (here === point && ++times === time) process.kill(process.pid, "SIGKILL");
    },
  },
});
say(`epoch ${recorder.epoch}`);

const begin = async (id: string): Promise<Intent> => {
  const { members, disclosures } = statement(id);
  const intent = recorder.intend("statement", members, disclosures);
  await durable(recorder, intent.position);
  say(`durable ${id}`);
  return intent;
};

await begin(`${name}-long`);
const session = async (number: number): Promise<void> => {
  for (let i = 0; i < 60; i++) {
    const id = `${name}-${number}-${i}`;
    const intent = await begin(id);
    if (i % 10 === 9) {
      say(`dropped ${id}`);
      recorder.drop(intent);
    } else {
      say(`completed ${id}`);
      recorder.complete(intent, '"outcome":"completed"', []);
    }
  }
};
/** As soon as there was no change under way any more, by this run or the one before it. */
const rotate = async (): Promise<void> => {
  const limit = Date.now() + 60_000;
  for (;;) {
    try {
      if (!existsSync(`${key}.next`)) await makeNextKey(key);
      if ((await recorder.changeKey()) !== undefined) return;
    } catch (error) {
      if ((error as { code?: string }).code !== "bad_key" || Date.now() > limit) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
};
await Promise.all([session(0), session(1), session(2), rotate()]);
const end = Date.now() + 60_000;
while (recorder.stats().unsubmitted > 0 && Date.now() < end) await new Promise((resolve) => setTimeout(resolve, 5));
const { unsubmitted } = await recorder.stop("shutdown", 60_000);
say(`stopped ${unsubmitted}`);
