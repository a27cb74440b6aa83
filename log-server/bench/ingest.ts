import { fork } from "node:child_process";
import { createHash } from "node:crypto";
import { Agent, request } from "node:http";
import { cpus } from "node:os";
import { startLogServer } from "../src/start.ts";
import { makeLogFolder, ORIGIN } from "../test/support/folder.ts";
import { TestSource } from "../test/support/source.ts";

// Entries per second over HTTP, acknowledged when durable: node dist/bench/ingest.js [sources] [batches each].
// The log runs in a process of its own; this one prepares all submissions beforehand, then only sends.

const BATCH = 256;

function post(url: string, agent: Agent, body: Buffer): Promise<number> {
  return new Promise((resolve, reject) => {
    const headers = { "content-type": "application/octet-stream", "content-length": body.length };
    const req = request(`${url}/api/v1/submissions`, { method: "POST", agent, headers }, (res) => {
      res.resume();
      res.on("end", () => resolve(res.statusCode!));
    });
    req.on("error", reject);
    req.end(body);
  });
}

async function serve(): Promise<void> {
  process.once("message", async (config) => {
    const log = await startLogServer(config as Parameters<typeof startLogServer>[0]);
    process.send!(log.url);
    process.once("message", async () => {
      const usage = process.cpuUsage();
      await log.close();
      process.send!({ cpu: (usage.user + usage.system) / 1e6, rss: process.memoryUsage().rss });
      process.disconnect();
    });
  });
}

async function measure(count: number, batches: number): Promise<void> {
  const sources = Array.from({ length: count }, (_, i) => new TestSource(`bench-${i}`));
  const folder = await makeLogFolder(sources.map(({ key }) => key.vkey));
  const bodies = sources.map((source) => {
    source.start();
    // Half of an entry does not compress, as digests and salts do not.
    for (let i = 1; i < batches * BATCH; i += 1) {
      const noise = createHash("shake256", { outputLength: 350 }).update(`${source.name} ${i}`).digest("base64url");
      source.add({ ...source.head("test.event"), noise, text: "select ".repeat(63) });
    }
    return Array.from({ length: batches }, (_, i) => source.submission(ORIGIN, i * BATCH, (i + 1) * BATCH));
  });
  const size = sources[0]!.entries[1]!.bytes.length;
  const child = fork(process.argv[1]!, ["serve"]);
  const message = <T>(): Promise<T> => new Promise((resolve) => child.once("message", (value) => resolve(value as T)));
  child.send(folder.config({ checkpointIntervalMs: 1000 }));
  const url = await message<string>();
  const agent = new Agent({ keepAlive: true });
  const latencies: number[] = [];
  const start = performance.now();
  await Promise.all(
    bodies.map(async (own) => {
      for (const body of own) {
        const sent = performance.now();
        const status = await post(url, agent, body);
        if (status !== 200) throw new Error(`status ${status}`);
        latencies.push(performance.now() - sent);
      }
    }),
  );
  const seconds = (performance.now() - start) / 1000;
  child.send("close");
  const usage = await message<{ cpu: number; rss: number }>();
  agent.destroy();
  latencies.sort((a, b) => a - b);
  const at = (p: number): string => `${latencies[Math.floor(p * (latencies.length - 1))]!.toFixed(1)} ms`;
  const entries = count * batches * BATCH;
  console.log(`${cpus()[0]!.model}, ${cpus().length} CPUs, Node ${process.version}`);
  console.log(`${count} sources, ${entries} entries of ${size} bytes in batches of ${BATCH}`);
  console.log(
    `${Math.round(entries / seconds)} entries/s; batch p50 ${at(0.5)}, p99 ${at(0.99)}, n=${latencies.length}`,
  );
  console.log(
    `log process: ${((usage.cpu / entries) * 1e6).toFixed(1)} us CPU an entry, ${Math.round(usage.rss / 2 ** 20)} MiB`,
  );
  await folder.remove();
}

if (process.argv[2] === "serve") await serve();
else await measure(Number(process.argv[2] ?? 8), Number(process.argv[3] ?? 40));
