/**
 * How long an audit takes, of a log in memory: `node [--expose-gc] dist/test/bench/audit.js [entries] [elsewhere]`. What is measured
 * is the verifier alone; making the log is not. With `elsewhere` the leaf hashes are there before, which shows what is
 * left to the main thread when others compute them.
 */
import { cpus } from "node:os";
import { auditLog, type LeafHasher, type LogReader, parseVerifierKey, tilePath } from "../../src/index.ts";
import { MemoryLog } from "../support/memory-log.ts";
import { TestSource } from "../support/test-source.ts";

const size = Number(process.argv[2] ?? 100000);
const elsewhere = process.argv[3] === "elsewhere";
const hashing = elsewhere ? "leaf hashes computed elsewhere" : "on one thread";
const sessions = 20;

const source = new TestSource();
source.start();
for (let n = 1; n <= sessions; n++) source.session(n);
// About 1 KiB each, most of it text, as a statement's entry is when its SQL stands in the clear.
const sql = `SELECT ${"account.balance, ".repeat(28)}1`;
while (source.entries.length < size - sessions - 1) {
  if (source.seq % 1000 === 999) source.seal();
  else source.statement(1 + (source.seq % sessions), { sql });
}
for (let n = 1; n <= sessions; n++) source.sessionEnd(n);
source.stop();

const log = new MemoryLog(source.entries);
const bytes = source.entries.reduce((sum, entry) => sum + entry.length, 0);
const end = source.now;
const files = new Map<string, Uint8Array>([["checkpoint", log.note()]]);
for (let n = 0; n * 256 < size; n++) {
  const width = Math.min(256, size - n * 256);
  for (const level of ["entries", 0] as const) {
    files.set(tilePath(level, n, width), log.make(level, n, width) as Uint8Array);
  }
}
for (let level = 1, length = Math.floor(size / 256); length > 0; level++, length = Math.floor(length / 256)) {
  for (let n = 0; n * 256 < length; n++) {
    const width = Math.min(256, length - n * 256);
    files.set(tilePath(level, n, width), log.make(level, n, width) as Uint8Array);
  }
}
const key = parseVerifierKey(log.key.vkey);
source.entries.length = 0;

const reader: LogReader = {
  checkpoint: async () => files.get("checkpoint")!,
  tile: async (level, n, width) => files.get(tilePath(level, n, width)) ?? "missing",
};

/** By the first bytes of a bundle's first entry, which name its source, epoch and sequence. */
const leaves = new Map<string, Uint8Array>();
const nameOf = (entry: Uint8Array): string => Buffer.from(entry.subarray(0, 150)).toString();
for (let n = 0; elsewhere && n * 256 < size; n++) {
  leaves.set(nameOf(log.entries[n * 256]!), log.make(0, n, Math.min(256, size - n * 256)) as Uint8Array);
}
const hashLeaves: LeafHasher = async (entries) => leaves.get(nameOf(entries[0]!))!;

/** MiB of what is alive; undefined without `--expose-gc`. */
function alive(): string | undefined {
  if (globalThis.gc === undefined) return undefined;
  globalThis.gc();
  const { heapUsed, external } = process.memoryUsage();
  return ((heapUsed + external) / 1048576).toFixed(1);
}

const before = alive();
let half: string | undefined;
let done = 0;
const cpu = process.cpuUsage();
const begin = process.hrtime.bigint();
const report = await auditLog(reader, {
  key,
  now: () => end,
  ...(elsewhere ? { hashLeaves } : {}),
  onProgress: (entries) => {
    done = entries;
    if (half === undefined && entries * 2 >= size) half = alive();
  },
});
const seconds = Number(process.hrtime.bigint() - begin) / 1e9;
const { user, system } = process.cpuUsage(cpu);
console.log(
  `${report.verdict}: ${done} entries of ${Math.round(bytes / size)} bytes in ${seconds.toFixed(2)} s, ${hashing}`,
);
const each = (user + system) / size;
console.log(`${Math.round(size / seconds)} entries/s; ${each.toFixed(1)} µs of processor time each`);
if (before !== undefined) {
  console.log(`alive, the log among it: ${before} MiB before, ${half} MiB half way, ${alive()} MiB at the end`);
}
console.log(`${cpus().length} × ${cpus()[0]?.model}, Node ${process.version}`);
