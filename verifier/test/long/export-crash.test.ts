import { spawn } from "node:child_process";
import { once } from "node:events";
import { appendFileSync, readdirSync, readFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import t from "tap";
import { crashPoints } from "../../cli/export/hooks.ts";
import { FakeCollector } from "../cli/export/support/collector.ts";
import { exportWith } from "../cli/export/support/export.ts";
import { vectorLog, vectors } from "../cli/support/log.ts";
import { temporaryFolder } from "../cli/support/run.ts";
import { serve } from "../cli/support/server.ts";

const program = fileURLToPath(new URL("../cli/export/support/crash-child.js", import.meta.url));
const size = vectors.entries.length;
const all = Array.from({ length: size }, (_, i) => i);

async function dieAt(point: string, args: readonly string[]): Promise<void> {
  const child = spawn(process.execPath, [program, point, ...args], { stdio: ["ignore", "ignore", "inherit"] });
  const [, signal] = (await once(child, "exit")) as [number | null, string | null];
  t.equal(signal, "SIGKILL", `it reached ${point}`);
}

/** The rows of all files of an output, in the order of the files. */
function rowsOf(output: string): number[] {
  const folder = dirname(output);
  const own = basename(output);
  const files = readdirSync(folder).filter(
    (name) => name === own || /^\.[0-9]{16}(\.[0-9]+)?$/.test(name.slice(own.length)),
  );
  const lines = files.flatMap((name) => readFileSync(join(folder, name), "utf8").split("\n"));
  return lines
    .filter((line) => line !== "")
    .map((line) => (JSON.parse(line) as { unmapped: { index: number } }).unmapped.index);
}

/** So far had the position come by a crash at this point, of 200 entries. */
const nextAfter: Readonly<Record<string, number>> = { "position:durable": 200 };

for (const point of crashPoints) {
  t.test(`dying at ${point} leaves nothing out`, async (t) => {
    const folder = temporaryFolder(t);
    const log = vectorLog(100);
    const server = await serve(log);
    const collector = await FakeCollector.start();
    t.teardown(async () => {
      await server.close();
      await collector.close();
    });
    const position = join(folder, "position");
    const isOtlp = point.startsWith("otlp:");
    const to = isOtlp
      ? ["--format", "otlp", "--endpoint", collector.url]
      : ["--format", "ocsf", "--output", join(folder, "events.jsonl"), "--rotate", "1K"];
    const ofLog = ["--log", server.url, "--vkey", log.key.vkey, "--state", join(folder, "state"), "--once"];
    const args = [...ofLog, ...to, "--position", position];

    t.equal((await exportWith(args)).status, 0);
    if (point === "file:torn") appendFileSync(join(folder, "events.jsonl"), '{"time":17');
    log.size = 200;
    await dieAt(point, args);
    t.match(readFileSync(position, "utf8"), `"next":${nextAfter[point] ?? 100}}`);
    log.size = size;
    t.equal((await exportWith(args)).status, 0);

    const rows = isOtlp ? collector.taken : rowsOf(join(folder, "events.jsonl"));
    t.same(
      [...new Set(rows)].sort((a, b) => a - b),
      all,
    );
    // What was durable or taken before the death comes again, and nothing else does.
    const repeated = ["file:written", "file:durable", "otlp:accepted"].includes(point) ? 100 : 0;
    t.equal(rows.length, size + repeated);
  });
}

t.end();
