/** pgbench through the proxy in each durability mode, beside PostgreSQL itself and PgBouncer, round by round. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Postgres } from "@vitrine/cli";
import { startAudited } from "../support/debian-postgres.ts";
import { DATABASE, PASSWORD, ROOT, Stack, USER } from "../support/stack.ts";
import { startBouncer } from "./bouncer.ts";
import { cpuSeconds, median, percentile, table, version } from "./machine.ts";
import { startRelay } from "./relay.ts";

export interface PgbenchOptions {
  readonly seconds: number;
  readonly rounds: number;
  /** Each number of clients is a comparison of its own. */
  readonly clients: readonly number[];
}

interface Load {
  readonly name: string;
  readonly args: readonly string[];
  /** In a transaction. */
  readonly statements: number;
  /** Transactions a second of all clients together, so that latencies are those of a machine with time to spare. */
  readonly rate?: number;
}

interface Way {
  readonly name: string;
  readonly port: number;
  /** Processes whose CPU is counted, by name. */
  readonly processes: Readonly<Record<string, number>>;
  readonly stack?: Stack;
}

interface Sample {
  readonly tps: number;
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
  readonly cpu: Readonly<Record<string, number>>;
  readonly drainSeconds: number;
}

const LOADS: readonly Load[] = [
  { name: "pgbench -S, simple", args: ["-S", "-M", "simple"], statements: 1 },
  { name: "pgbench -S, prepared", args: ["-S", "-M", "prepared"], statements: 1 },
  { name: "pgbench -S, prepared, 3,000 a second", args: ["-S", "-M", "prepared"], statements: 1, rate: 3000 },
  { name: "pgbench TPC-B, simple", args: ["-M", "simple"], statements: 7 },
];

const EXPORT = join(ROOT, "verifier/bin/vitrine-verifier.js");

const MODES = {
  default: { reads: "before-result", others: "before-execute" },
  "before-execute": { reads: "before-execute", others: "before-execute" },
  relaxed: { reads: "relaxed", others: "relaxed" },
} as const;

/** @param folder for a server with pgaudit */
export async function benchPgbench(database: Postgres, folder: string, options: PgbenchOptions): Promise<void> {
  if (version("pgbench", "--version") === undefined) {
    console.log("\npgbench: skipped, it is not installed");
    return;
  }
  const direct = { host: "127.0.0.1", port: database.port };
  await pgbench(direct.port, ["-i", "-q", "-s", "10"]);
  const ways: Way[] = [{ name: "PostgreSQL directly", port: database.port, processes: {} }];
  const relay = await startRelay(database.port);
  ways.push({ name: "a bare relay in Node", port: relay.port, processes: { relay: relay.pid } });
  const bouncer = await startBouncer(database.port, "session");
  if (bouncer === undefined) console.log("\nPgBouncer: skipped, it is not installed");
  else ways.push({ name: "PgBouncer, session", port: bouncer.port, processes: { pgbouncer: bouncer.pid } });
  // As it would be run: durable, and with the parameters, which the log has as well.
  const audited = await startAudited(join(folder, "pgaudit"), ["fsync=on", "pgaudit.log_parameter=on"]);
  const behind = typeof audited === "string" ? undefined : await startBouncer(audited.database.port, "session");
  if (typeof audited === "string") console.log(`\npgaudit: skipped, ${audited}`);
  else if (behind !== undefined) {
    await pgbench(audited.database.port, ["-i", "-q", "-s", "10"]);
    ways.push({
      name: "PgBouncer, PostgreSQL 15 with pgaudit",
      port: behind.port,
      processes: { pgbouncer: behind.pid },
    });
  }
  for (const [mode, durability] of Object.entries(MODES)) {
    const stack = await (await Stack.create(database, { durability, checkpointIntervalMs: 1000 })).start();
    const processes = { proxy: stack.proxy.pid!, log: stack.log.pid! };
    ways.push({ name: `Vitrine, ${mode}`, port: stack.proxyPort, processes, stack });
  }
  try {
    for (const [i, clients] of options.clients.entries()) {
      // Paced, it is of no matter how many clients there are.
      const loads = i === 0 ? LOADS : LOADS.filter(({ rate }) => rate === undefined);
      for (const load of loads) await compare(load, ways, { ...options, clients });
    }
    await report(ways);
  } finally {
    for (const { stack } of ways) await stack?.destroy();
    relay.stop();
    bouncer?.stop();
    behind?.stop();
    if (typeof audited !== "string") await audited.database.stop();
  }
}

/** Rules before the one that decides: somebody else's, each with patterns that have to be tried. */
const RULES = [
  "version: 1",
  "rules:",
  ...Array.from(
    { length: 50 },
    (_, i) =>
      `  - {name: other-${i}, action: deny, who: {user: other_${i}_*}, what: {class: any, reads: [area_${i}.*]}}`,
  ),
  "  - {name: load, action: allow, what: {class: any}}",
].join("\n");

/** What access rules cost, and an export that follows, beside the proxy without them. */
export async function benchRules(database: Postgres, options: PgbenchOptions): Promise<void> {
  if (version("pgbench", "--version") === undefined) {
    console.log("\nrules: skipped, pgbench is not installed");
    return;
  }
  await pgbench(database.port, ["-i", "-q", "-s", "10"]);
  const ways: Way[] = [];
  const exports: ChildProcess[] = [];
  try {
    for (const [name, rules, exported] of [
      ["the record alone", undefined, false],
      ["with 51 rules", RULES, false],
      ["with 51 rules, and an export that follows", RULES, true],
    ] as const) {
      const stack = await (await Stack.create(database, { rules, checkpointIntervalMs: 1000 })).start();
      const processes: Record<string, number> = { proxy: stack.proxy.pid!, log: stack.log.pid! };
      ways.push({ name, port: stack.proxyPort, processes, stack });
      if (!exported) continue;
      const args = ["--log", stack.logUrl, "--vkey", join(stack.folder, "log.vkey"), "--state", stack.folder];
      const output = ["--format", "ocsf", "--output", join(stack.folder, "rows.jsonl")];
      const child = spawn(process.execPath, [EXPORT, "export", ...args, ...output], { stdio: "ignore" });
      exports.push(child);
      processes.export = child.pid!;
    }
    // The simple protocol has its literals in the text: nearly every text is new.
    for (const load of LOADS.slice(0, 2)) await compare(load, ways, { ...options, clients: options.clients[0]! });
  } finally {
    for (const child of exports) child.kill("SIGKILL");
    for (const { stack } of ways) await stack?.destroy();
  }
}

type Comparison = Omit<PgbenchOptions, "clients"> & { readonly clients: number };

async function compare(load: Load, ways: readonly Way[], options: Comparison): Promise<void> {
  const samples = new Map<Way, Sample[]>(ways.map((way) => [way, []]));
  for (let round = 0; round < options.rounds; round += 1) {
    for (const way of ways) samples.get(way)!.push(await measure(load, way, options));
  }
  const of = (way: Way, value: (sample: Sample) => number): number => median(samples.get(way)!.map(value));
  const base = of(ways[0]!, ({ tps }) => tps);
  // The one that records statements, where there is one.
  const peer = ways.findLast(({ name }) => name.startsWith("PgBouncer"));
  const rows = [
    [
      "",
      "tps",
      "min",
      "max",
      `of ${ways[0]!.name}`,
      `of ${peer?.name ?? "PgBouncer"}`,
      "p50 ms",
      "p95 ms",
      "p99 ms",
      "CPU µs/statement",
      "log drains in",
    ],
  ];
  for (const way of ways) {
    const all = samples.get(way)!.map(({ tps }) => tps);
    const tps = median(all);
    const cpu = Object.keys(way.processes).map(
      (name) => `${name} ${of(way, (sample) => sample.cpu[name]!).toFixed(1)}`,
    );
    rows.push([
      way.name,
      tps.toFixed(0),
      Math.min(...all).toFixed(0),
      Math.max(...all).toFixed(0),
      (tps / base).toFixed(2),
      peer === undefined ? "-" : (tps / of(peer, (sample) => sample.tps)).toFixed(2),
      of(way, ({ p50 }) => p50).toFixed(2),
      of(way, ({ p95 }) => p95).toFixed(2),
      of(way, ({ p99 }) => p99).toFixed(2),
      cpu.join(", ") || "-",
      way.stack === undefined ? "-" : `${of(way, ({ drainSeconds }) => drainSeconds).toFixed(1)} s`,
    ]);
  }
  const { clients, seconds, rounds } = options;
  console.log(`\n${load.name}: ${clients} clients, ${rounds} rounds of ${seconds} s in turn, medians\n${table(rows)}`);
}

async function measure(load: Load, way: Way, options: Comparison): Promise<Sample> {
  const folder = mkdtempSync(join(tmpdir(), "vitrine-bench-"));
  try {
    const before = Object.entries(way.processes).map(([name, pid]) => [name, cpuSeconds(pid)] as const);
    const prefix = join(folder, "log");
    const clients = String(options.clients);
    await pgbench(way.port, [
      "-n",
      ...load.args,
      ...(load.rate === undefined ? [] : ["-R", String(load.rate)]),
      "-c",
      clients,
      "-j",
      "2",
      "-T",
      String(options.seconds),
      "-l",
      "--log-prefix",
      prefix,
    ]);
    const ended = performance.now();
    const latencies = transactions(folder);
    const drainSeconds = way.stack === undefined ? 0 : await drained(way.stack, ended);
    const statements = latencies.length * load.statements;
    const cpu = Object.fromEntries(
      before.map(([name, used]) => [name, ((cpuSeconds(way.processes[name]!) - used) * 1e6) / statements]),
    );
    return {
      tps: latencies.length / options.seconds,
      p50: percentile(latencies, 0.5) / 1000,
      p95: percentile(latencies, 0.95) / 1000,
      p99: percentile(latencies, 0.99) / 1000,
      cpu,
      drainSeconds,
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Waits until the log's tree has stood still: everything was submitted. */
async function drained(stack: Stack, since: number): Promise<number> {
  let size = -1;
  let changed = performance.now();
  for (;;) {
    const metrics = (await (await fetch(`${stack.logUrl}/healthz`)).json()) as { size: number };
    if (metrics.size !== size) {
      size = metrics.size;
      changed = performance.now();
    } else if (performance.now() - changed > 600) return Math.max(0, changed - since) / 1000;
    await sleep(50);
  }
}

/**
 * Latencies in µs, sorted: the third column of pgbench's transaction log, without the seventh where there is one, by
 * which a transaction of a paced load began too late.
 */
function transactions(folder: string): Float64Array {
  const all: number[] = [];
  for (const name of readdirSync(folder)) {
    for (const line of readFileSync(join(folder, name), "utf8").split("\n")) {
      const [, , latency, , , , lag = "0"] = line.split(" ");
      if (latency !== undefined) all.push(Number(latency) - Number(lag));
    }
  }
  return Float64Array.from(all).sort();
}

function pgbench(port: number, args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const connection = ["-h", "127.0.0.1", "-p", String(port), "-U", USER];
    const child = spawn("pgbench", [...connection, ...args, DATABASE], {
      env: { ...process.env, PGPASSWORD: PASSWORD, PGSSLMODE: "disable" },
    });
    let output = "";
    child.stdout.on("data", (chunk) => {
      output += chunk;
    });
    child.stderr.on("data", (chunk) => {
      output += chunk;
    });
    child.once("error", reject);
    child.once("close", (code) => (code === 0 ? resolve(output) : reject(new Error(`pgbench: ${output}`))));
  });
}

async function report(ways: readonly Way[]): Promise<void> {
  // What LevelDB has not merged yet stands in its own log as it came, four times as large.
  const rows = [["", "entries", "log bytes/entry", "not yet merged", "index bytes/entry"]];
  for (const { name, stack } of ways) {
    if (stack === undefined) continue;
    const { size } = (await (await fetch(`${stack.logUrl}/healthz`)).json()) as { size: number };
    const per = (folder: string, ending = ""): string =>
      (folderBytes(join(stack.folder, folder), ending) / size).toFixed(0);
    rows.push([name, String(size), per("log/store"), per("log/store", ".log"), per("log/index")]);
  }
  console.log(`\ndisk, tree and entries and disclosures\n${table(rows)}`);
}

function folderBytes(folder: string, ending: string): number {
  const files = readdirSync(folder).filter((name) => name.endsWith(ending));
  return files.reduce((sum, name) => sum + statSync(join(folder, name)).size, 0);
}
