/** The verifier's export of a log-server's log: OCSF to a file, OTLP to a collector that takes everything. */
import { rmSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { ROOT, temporaryFolder } from "../support/stack.ts";
import { Load } from "./load.ts";
import { LogProcess, ORIGIN } from "./log-process.ts";
import { median, table } from "./machine.ts";
import { BenchSource } from "./source.ts";
import { type Ran, watch } from "./watch.ts";

const COMMAND = join(ROOT, "verifier/bin/vitrine-verifier.js");

export async function benchExport(options: { readonly entries: number; readonly rounds: number }): Promise<void> {
  const sources = Array.from({ length: 8 }, (_, i) => new BenchSource(ORIGIN, i));
  const log = await LogProcess.start(sources.map(({ vkey }) => vkey));
  const load = new Load(log.url, sources);
  const collector = createServer((request, response) => {
    request.resume().on("end", () => response.end("{}"));
  });
  await new Promise<void>((resolve) => collector.listen(0, "127.0.0.1", resolve));
  const endpoint = `http://127.0.0.1:${(collector.address() as AddressInfo).port}`;
  const ways: Readonly<Record<string, (at: string) => readonly string[]>> = {
    "audit, for comparison": (at) => ["audit", "--wait", "0", "--limit", "1", "--state", join(at, "state")],
    "OCSF to a file": (at) => ["export", "--format", "ocsf", "--output", join(at, "rows"), "--once", "--state", at],
    "OTLP over HTTP": (at) => [
      ...["export", "--format", "otlp", "--endpoint", endpoint, "--position", join(at, "position")],
      ...["--once", "--state", at],
    ],
  };
  const rows = [["", "rows", "seconds", "rows/s", "CPU s", "peak MiB"]];
  try {
    await load.run(options.entries);
    await load.seal();
    await log.published(load.total);
    await log.followed();
    for (const [name, way] of Object.entries(ways)) {
      const runs: Ran[] = [];
      for (let round = 0; round < options.rounds; round += 1) {
        const at = temporaryFolder("bench-export-run");
        const args = [...way(at), "--log", log.url, "--vkey", join(log.folder, "log.vkey")];
        const ran = await watch(process.execPath, [COMMAND, ...args]);
        rmSync(at, { recursive: true, force: true });
        if (ran.code !== 0) throw new Error(`${name} ended with ${ran.code}: ${ran.output}`);
        runs.push(ran);
      }
      const seconds = median(runs.map((run) => run.seconds));
      const cpu = median(runs.map((run) => run.cpu)).toFixed(2);
      const memory = Math.max(...runs.map((run) => run.memory)).toFixed(0);
      rows.push([name, String(load.total), seconds.toFixed(2), (load.total / seconds).toFixed(0), cpu, memory]);
    }
    console.log(`\nexport: ${options.rounds} rounds, medians\n${table(rows)}`);
  } finally {
    collector.close();
    load.close();
    await log.destroy();
  }
}
