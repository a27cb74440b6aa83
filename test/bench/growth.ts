/** What a log costs as it grows: ingest, latency, memory, disk, proofs and searches at 10,000, 100,000, … entries. */
import { mkdirSync, writeFileSync } from "node:fs";
import { Agent, get } from "node:http";
import { join } from "node:path";
import { BATCH, Load } from "./load.ts";
import { LogProcess, ORIGIN } from "./log-process.ts";
import { cpuSeconds, describeMachine, percentile, residentMemory, table } from "./machine.ts";
import { plotGrowth } from "./plot.ts";
import { BenchSource } from "./source.ts";

const SOURCES = 8;
const TENTHS = 10;
/** Requests at each size, one after the other. */
const PROOFS = 3000;
const SEARCHES = 300;

/** Milliseconds. */
export interface Latency {
  readonly p50: number;
  readonly p99: number;
  readonly samples: number;
}

/** The log at one of its sizes. */
export interface Sample {
  readonly entries: number;
  /** Of a submission, at half the rate that the log took up to here. */
  readonly submission: Latency & { readonly rate: number };
  /** An inclusion proof by leaf hash: from the log at rest, and during that load. */
  readonly proof: Latency;
  readonly proofUnderLoad: Latency;
  readonly search: Latency;
  /** MiB, resident: the process's own, and the files that it has mapped. */
  readonly memory: { readonly own: number; readonly files: number };
  /** Bytes an entry, by folder. */
  readonly disk: Readonly<Record<string, number>>;
}

export interface Tenth {
  /** Entries a second. */
  readonly rate: number;
  /** Processor time of the log-server, µs an entry: what others do on the machine changes it least. */
  readonly cpu: number;
}

export interface Growth {
  readonly machine: string;
  readonly date: string;
  readonly entries: number;
  /** Of each tenth of the entries, as fast as the log acknowledged them. */
  readonly tenths: readonly Tenth[];
  readonly samples: readonly Sample[];
}

function latency(times: number[]): Latency {
  times.sort((a, b) => a - b);
  return { p50: percentile(times, 0.5), p99: percentile(times, 0.99), samples: times.length };
}

/** Asks one log, over one connection, one thing after the other. */
class Asker {
  readonly #log: LogProcess;
  readonly #agent: Agent = new Agent({ keepAlive: true, maxSockets: 1 });

  constructor(log: LogProcess) {
    this.#log = log;
  }

  /** @returns the milliseconds that an answer took */
  #ask(path: string): Promise<number> {
    return new Promise((resolve, reject) => {
      const sent = performance.now();
      const call = get(`${this.#log.url}${path}`, { agent: this.#agent }, (response) => {
        response.resume();
        response.on("end", () => {
          if (response.statusCode === 200) resolve(performance.now() - sent);
          else reject(new Error(`${path}: ${response.statusCode}`));
        });
      });
      call.on("error", reject);
    });
  }

  /** @param leaves leaf hashes of entries from all over the tree of this size */
  async proofs(size: number, leaves: readonly Buffer[], more: () => boolean): Promise<Latency> {
    const times: number[] = [];
    for (let i = 0; more() && i < PROOFS; i += 1) {
      const hash = encodeURIComponent(leaves[(i * 7919) % leaves.length]!.toString("base64"));
      times.push(await this.#ask(`/ct/v1/get-proof-by-hash?tree_size=${size}&hash=${hash}`));
    }
    return latency(times);
  }

  async searches(): Promise<Latency> {
    const times: number[] = [];
    const queries = [
      "class=read&limit=50",
      "session=1.3",
      "actor=nobody",
      "kind=session.end",
      "actor=alice&relation=pgbench_accounts",
    ];
    for (let i = 0; i < SEARCHES; i += 1) times.push(await this.#ask(`/api/v1/search?${queries[i % queries.length]}`));
    return latency(times);
  }

  close(): void {
    this.#agent.destroy();
  }
}

async function sample(log: LogProcess, load: Load, asker: Asker, rate: number): Promise<Sample> {
  const entries = load.total;
  await log.published(entries);
  await log.followed();
  const leaves = load.leaves;
  const disk: Record<string, number> = {};
  for (const folder of ["store", "index", "search"]) disk[folder] = log.bytes(folder) / entries;
  const proof = await asker.proofs(entries, leaves, () => true);
  const search = await asker.searches();
  const times: number[] = [];
  let loading = true;
  // At least 40 submissions, and no more than grow a small log by half.
  const count = Math.max(40 * BATCH, Math.min(entries / 2, 10 * (rate / 2)));
  const [, proofUnderLoad] = await Promise.all([
    load
      .run(count, (_, ms) => times.push(ms), rate / 2)
      .finally(() => {
        loading = false;
      }),
    asker.proofs(entries, leaves, () => loading),
  ]);
  const submission = { ...latency(times), rate: rate / 2 };
  return { entries, submission, proof, proofUnderLoad, search, memory: residentMemory(log.pid), disk };
}

async function grow(entries: number): Promise<Growth> {
  const machine = describeMachine();
  const sources = Array.from({ length: SOURCES }, (_, i) => new BenchSource(ORIGIN, i));
  const log = await LogProcess.start(sources.map(({ vkey }) => vkey));
  const load = new Load(log.url, sources);
  const asker = new Asker(log);
  const tenths: Tenth[] = [];
  const samples: Sample[] = [];
  const marks = new Set([entries / 100, entries / 10, entries]);
  try {
    // Each tenth is timed as a whole, but for the pauses in which a sample is taken.
    for (let tenth = 1; tenth <= TENTHS; tenth += 1) {
      let took = 0;
      let seconds = 0;
      let cpu = 0;
      for (const mark of [...marks, (entries * tenth) / TENTHS].sort((a, b) => a - b)) {
        if (load.total >= mark || mark > (entries * tenth) / TENTHS) continue;
        const began = performance.now();
        const used = cpuSeconds(log.pid);
        took += await load.run(mark - load.total);
        seconds += (performance.now() - began) / 1000;
        cpu += cpuSeconds(log.pid) - used;
        if (!marks.has(mark)) continue;
        samples.push(await sample(log, load, asker, took / seconds));
      }
      // A small log is past its next tenths after a sample.
      if (took > 0) tenths.push({ rate: took / seconds, cpu: (cpu * 1e6) / took });
    }
    const date = new Date().toISOString().slice(0, 10);
    return { machine, date, entries: load.total, tenths, samples };
  } finally {
    asker.close();
    load.close();
    await log.destroy();
  }
}

/** @param out a folder for the figures and their plot; undefined: they are printed only */
export async function benchGrowth(options: {
  readonly entries: number;
  readonly out: string | undefined;
}): Promise<void> {
  const growth = await grow(options.entries);
  console.log(`\ngrowth to ${growth.entries} entries; the load shares the machine\n${report(growth)}`);
  if (options.out === undefined) return;
  mkdirSync(options.out, { recursive: true });
  writeFileSync(join(options.out, "growth.json"), `${JSON.stringify(growth, rounded, 2)}\n`);
  writeFileSync(join(options.out, "growth.svg"), plotGrowth(growth));
  console.log(`written: ${join(options.out, "growth.json")}, growth.svg`);
}

/** A replacer: no figure here is good for more than three decimals. */
function rounded(_: string, value: unknown): unknown {
  return typeof value === "number" ? Number(value.toFixed(3)) : value;
}

function report({ tenths, samples }: Growth): string {
  const ms = ({ p50, p99 }: Latency): string => `${p50.toFixed(1)} / ${p99.toFixed(1)}`;
  const rows = [
    ["entries", ...samples.map(({ entries }) => String(entries))],
    ["submission at half rate, p50 / p99 ms", ...samples.map((one) => ms(one.submission))],
    ["inclusion proof, p50 / p99 ms", ...samples.map((one) => ms(one.proof))],
    ["inclusion proof at half rate, p50 / p99 ms", ...samples.map((one) => ms(one.proofUnderLoad))],
    ["search, p50 / p99 ms", ...samples.map((one) => ms(one.search))],
    ["memory of its own, MiB", ...samples.map(({ memory }) => memory.own.toFixed(0))],
    ["files it has mapped, MiB", ...samples.map(({ memory }) => memory.files.toFixed(0))],
    ["store, bytes/entry", ...samples.map(({ disk }) => disk.store!.toFixed(0))],
    ["hash index, bytes/entry", ...samples.map(({ disk }) => disk.index!.toFixed(0))],
    ["search index, bytes/entry", ...samples.map(({ disk }) => disk.search!.toFixed(1))],
  ];
  const ratio = tenths.at(-1)!.rate / tenths[0]!.rate;
  const steps = [
    ["by tenths of the entries", ...tenths.map((_, i) => String(i + 1))],
    ["entries/s", ...tenths.map(({ rate }) => rate.toFixed(0))],
    ["CPU of the log, µs/entry", ...tenths.map(({ cpu }) => cpu.toFixed(1))],
  ];
  return `${table(rows)}\n\n${table(steps)}\nthe last rate is ${ratio.toFixed(2)} of the first`;
}
