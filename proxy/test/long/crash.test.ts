import { spawn } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import t, { type Test } from "tap";
import { CRASH_POINTS, type CrashPoint, KeyFiles } from "../../src/audit/index.ts";
import type { ChildOptions } from "../audit/crash-child.ts";
import { type Bench, run, setUp } from "../audit/help.ts";
import { differences, gaps, readRecord } from "../audit/record.ts";

const CHILD = fileURLToPath(new URL("../audit/crash-child.js", import.meta.url));

interface Outcome {
  readonly signal: string | null;
  readonly said: readonly string[];
}

type Death = { readonly point: CrashPoint; readonly time: number } | { readonly afterMs: number };

/** Beside the segments, which do not mind. */
function keyFile(bench: Bench): string {
  const file = join(bench.dir, "source.key");
  if (!existsSync(file)) writeFileSync(file, `${bench.keys.skey}\n`, { mode: 0o600 });
  return file;
}

/** @param death where the child kills itself, or how long after its epoch began it is killed from outside */
function runChild(bench: Bench, name: string, death: Death): Promise<Outcome> {
  const { point, time } = "point" in death ? death : { point: "batch.before" as const, time: 0 };
  const options: ChildOptions = {
    dir: bench.dir,
    key: keyFile(bench),
    url: bench.log.url,
    logKey: bench.log.vkey,
    name,
    point,
    time,
  };
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [CHILD, JSON.stringify(options)], { stdio: ["ignore", "pipe", "inherit"] });
    let output = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      if (output === "" && "afterMs" in death) setTimeout(() => child.kill("SIGKILL"), death.afterMs);
      output += text;
    });
    child.on("error", reject);
    child.on("close", (_code, signal) => resolve({ signal, said: output.split("\n").slice(0, -1) }));
  });
}

/** Points that a run may come to only once. */
const ONCE = /^(open|stop|key|spare|record\.(away|headed)$)\.?/;

/** Opens what is left, and holds what reached the log against what the killed processes had said. */
async function check(t: Test, bench: Bench, said: readonly string[], kills: number): Promise<void> {
  const recorder = await bench.open({
    key: new KeyFiles(keyFile(bench)),
    spool: { ...bench.options().spool, segmentBytes: 8192 },
    record: { path: join(bench.dir, "submitted"), maxBytes: 1500 },
  });
  await run(recorder, "after");
  t.same(await recorder.stop("shutdown", 60_000), { unsubmitted: 0 });
  t.same(bench.log.violations, []);
  t.equal(bench.log.epoch, recorder.epoch);
  const key = readFileSync(keyFile(bench), "utf8").trim();
  const wanted = bench.log.sourceKey.split("+");
  t.equal(key.split("+").slice(2, 4).join("+"), `${wanted[0]}+${wanted[1]}`, "the key in its place is the log's");
  t.notOk(existsSync(`${keyFile(bench)}.previous`), "and the one before is gone");
  // Everything that the log has is in the record, once and where it is; nobody died so that a file had to be broken off.
  const files = readRecord(bench.dir);
  t.same(gaps(files.flat()), []);
  t.same(differences(files.flat(), bench.log), []);
  t.equal(
    files.flat().reduce((sum, { count }) => sum + count, 0),
    bench.log.entries.length,
  );
  const outcomes = new Map<unknown, unknown[]>();
  for (const { json, disclosures } of bench.log.ofKind("statement")) {
    outcomes.set(json.name, [...(outcomes.get(json.name) ?? []), json.outcome]);
    if (disclosures.length !== 1) t.fail(`${json.name} lost its disclosure`);
  }
  const told = (what: string): Set<string> =>
    new Set(said.filter((line) => line.startsWith(what)).map((line) => line.slice(what.length + 1)));
  const [completed, dropped] = [told("completed"), told("dropped")];
  const wrong: string[] = [];
  for (const name of told("durable")) {
    const found = outcomes.get(name) ?? [];
    const outcome = String(found[0]);
    const expected = completed.has(name)
      ? ["completed", "unknown"]
      : dropped.has(name)
        ? ["undefined", "unknown"]
        : ["unknown"];
    if (found.length > 1 || !expected.includes(outcome)) wrong.push(`${name}: ${found.join()}`);
  }
  t.same(wrong, [], `${told("durable").size} intents were durable`);
  t.same(outcomes.get("after"), ["completed"]);
  // Only what was about to become durable when the process died may be there without having been announced.
  const unannounced = [...outcomes].filter(([name]) => name !== "after" && !told("durable").has(name as string));
  t.ok(unannounced.length <= 4 * kills, `${unannounced.length} intents were durable, but not told so`);
  t.ok(unannounced.every(([, found]) => found.join() === "unknown"));
}

for (const point of CRASH_POINTS) {
  t.test(`killed at ${point}`, async (t) => {
    const bench = await setUp(t);
    // What the second run finds: open intents, segments that were used before.
    const first = await runChild(bench, "first", { point: "batch.durable", time: 30 + Math.floor(Math.random() * 25) });
    t.equal(first.signal, "SIGKILL");
    const time = ONCE.test(point) ? 1 : 1 + Math.floor(Math.random() * 3);
    const second = await runChild(bench, "second", { point, time });
    t.equal(second.signal, "SIGKILL", `it came to ${point} ${time} times`);
    await check(t, bench, [...first.said, ...second.said], 2);
  });
}

t.test("killed at any time, again and again", async (t) => {
  const bench = await setUp(t);
  const said: string[] = [];
  for (let i = 0; i < 6; i++) {
    const outcome = await runChild(bench, `run${i}`, { afterMs: Math.random() * 40 });
    said.push(...outcome.said);
  }
  await check(t, bench, said, 6);
});
