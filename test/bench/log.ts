/** The log-server over HTTP: submissions a second, and the time from an answer to the checkpoint over it. */
import { BATCH, Load } from "./load.ts";
import { LogProcess, ORIGIN } from "./log-process.ts";
import { peakMemory, percentile, table } from "./machine.ts";
import { BenchSource } from "./source.ts";

export async function benchLog(options: { readonly entries: number; readonly submitters: number }): Promise<void> {
  const sources = Array.from({ length: options.submitters }, (_, i) => new BenchSource(ORIGIN, i));
  const log = await LogProcess.start(sources.map(({ vkey }) => vkey));
  const load = new Load(log.url, sources);
  try {
    const latencies: number[] = [];
    const began = performance.now();
    const count = await load.run(options.entries, (_, ms) => latencies.push(ms));
    const seconds = (performance.now() - began) / 1000;
    latencies.sort((a, b) => a - b);

    const waits: number[] = [];
    for (let i = 0; i < 5; i += 1) {
      const index = await load.post(sources[i % sources.length]!.submission(1));
      const accepted = performance.now();
      while ((await log.size()) <= index) await new Promise((resolve) => setTimeout(resolve, 10));
      waits.push(performance.now() - accepted);
    }
    console.log(
      `\nlog-server over HTTP: ${count} entries of pgbench -S, ${options.submitters} submitters, ${BATCH} entries a submission, acknowledged when durable; the load shares the machine`,
    );
    console.log(
      table([
        ["entries/s", "p50 ms", "p99 ms", "accepted to checkpoint, max ms", "peak memory MiB"],
        [
          (count / seconds).toFixed(0),
          percentile(latencies, 0.5).toFixed(1),
          percentile(latencies, 0.99).toFixed(1),
          Math.max(...waits).toFixed(0),
          peakMemory(log.pid).toFixed(0),
        ],
      ]),
    );
  } finally {
    load.close();
    await log.destroy();
  }
}
