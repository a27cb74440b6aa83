/**
 * Measures the audit core alone: node dist/test/audit/measure.js [sessions] [seconds]. Each session intends, waits until
 * the intent is durable, completes, and begins again at once; the log answers at once and checks nothing.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { Recorder, sealValue } from "../../src/audit/index.ts";
import { newKeys } from "./help.ts";

const SOURCE = "measure.example";

/** In a thread of its own, so that what it costs is not counted. */
function serve(vkey: string): void {
  const server = createServer((request, response) => {
    const pieces: Buffer[] = [];
    request.on("data", (piece: Buffer) => pieces.push(piece));
    request.on("end", () => {
      const body = Buffer.concat(pieces);
      if (request.method === "GET") {
        const source = { name: SOURCE, vkey, epoch: 0, next: 0, chain: "" };
        response.end(JSON.stringify({ sources: [source] }));
        return;
      }
      const [, , source, epoch, first, count] = body.toString("utf8", 4, 4 + body.readUInt32BE(0)).split("\n");
      const range = { seq: Number(first), index: Number(first), count: Number(count) };
      const next = range.seq + range.count;
      response.end(JSON.stringify({ source, epoch: Number(epoch), next, ranges: [range] }));
    });
  });
  server.listen(0, "127.0.0.1", () => parentPort!.postMessage((server.address() as { port: number }).port));
}

async function measure(sessions: number, seconds: number, lazy: boolean): Promise<void> {
  const keys = newKeys(SOURCE);
  const worker = new Worker(new URL(import.meta.url), { workerData: keys.vkey });
  const port = await new Promise<number>((resolve) => worker.once("message", resolve));
  const dir = await mkdtemp(join(tmpdir(), "vitrine-measure-"));
  const recorder = await Recorder.open({
    key: keys.skey,
    spool: { dir, maxBytes: 1024 ** 3, maxAgeMs: 900_000 },
    log: { url: `http://127.0.0.1:${port}`, vkey: newKeys("log.example").vkey },
    software: { name: "measure", version: "1" },
    configDigest: "00".repeat(32),
    durability: { reads: lazy ? "relaxed" : "before-execute", others: "before-execute", windowMs: lazy ? 100 : 0 },
  });
  const identity =
    '"session":"1.42","actor":{"login":"app","auth":"scram-sha-256"},"database":"shop","client":{"address":{"sealed":"RBNvo1WzZ4oRRq0W9-hknpT7T8If536DEMBg9hyq_4o","bytes":15},"application":"pgbench"}';
  const analysis =
    '"protocol":"extended","operation":"SELECT","class":"read","relations":[{"name":"pgbench_accounts","access":"read"}],"functions":[],"fingerprint":"0123456789abcdef","complete":true';
  const address = sealValue("client.address", "127.0.0.1:54321", 15).disclosure;
  const outcome =
    '"n":1234,"tx":"I","duration_us":210,"outcome":"completed","tag":"SELECT 1","rows":1,"bytes_in":65,"bytes_out":58';
  let done = 0;
  let running = sessions;
  let finished: () => void = () => undefined;
  const end = performance.now() + seconds * 1000;
  const all = new Promise<void>((resolve) => {
    finished = resolve;
  });
  const statement = (): void => {
    const sql = sealValue("sql", "SELECT abalance FROM pgbench_accounts WHERE aid = $1;", 53);
    const params = sealValue("params", ["4711"], 4);
    const members = `${identity},${analysis},"sql":${sql.json},"params":${params.json},"params_count":1,"start":"2026-11-22T22:10:00.123456Z"`;
    const intent = recorder.intend("statement", members, [address, sql.disclosure, params.disclosure], lazy);
    const then = (): void => {
      recorder.complete(intent, outcome, []);
      done++;
      if (performance.now() < end) setImmediate(statement);
      else if (--running === 0) finished();
    };
    if (lazy) setImmediate(then);
    else recorder.whenDurable(intent.position, then);
  };
  const cpu = process.cpuUsage();
  const loop = performance.eventLoopUtilization();
  const began = performance.now();
  for (let i = 0; i < sessions; i++) statement();
  await all;
  const elapsed = performance.now() - began;
  const { user, system } = process.cpuUsage(cpu);
  const { active } = performance.eventLoopUtilization(loop);
  const { commits, commitMs, slowestCommitMs, bytes, unsubmitted } = recorder.stats();
  console.log(
    `${lazy ? "relaxed" : "before-execute"}, ${sessions} sessions: ${Math.round((done / elapsed) * 1000)} statements/s, ` +
      `${((user + system) / done).toFixed(1)} µs CPU each (process, with the log's thread), ` +
      `${((active * 1000) / done).toFixed(1)} µs of the event loop; ${commits} commits of ${(done / commits).toFixed(1)}, ` +
      `mean ${(commitMs / commits).toFixed(3)} ms, slowest ${slowestCommitMs.toFixed(1)} ms; ` +
      `${Math.round(bytes / 1024)} KiB, ${unsubmitted} entries behind`,
  );
  await recorder.stop("shutdown", 60_000);
  await worker.terminate();
  await rm(dir, { recursive: true });
}

if (isMainThread) {
  const [sessions = 64, seconds = 3] = process.argv.slice(2).map(Number);
  console.log(`Node ${process.version}, ${availableParallelism()} cores`);
  await measure(sessions, seconds, false);
  await measure(sessions, seconds, true);
} else serve(workerData as string);
