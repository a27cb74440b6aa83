/** The verifier's audit of a log-server's log: whole, resumed, with nothing new; beside Tessera's fsck. */
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { buildTessera } from "../support/go.ts";
import { ROOT, temporaryFolder } from "../support/stack.ts";
import { Load } from "./load.ts";
import { LogProcess, ORIGIN } from "./log-process.ts";
import { cpuSeconds, median, table } from "./machine.ts";
import { BenchSource } from "./source.ts";
import { type Ran, watch } from "./watch.ts";

const SOURCES = 8;
/** Entries that come between an audit and the next. */
const MORE = 1000;

async function audit(log: LogProcess, state: string): Promise<Ran> {
  const args = ["audit", "--log", log.url, "--vkey", join(log.folder, "log.vkey"), "--state", state];
  const command = join(ROOT, "verifier/bin/vitrine-verifier.js");
  const ran = await watch(process.execPath, [command, ...args, "--wait", "0", "--limit", "1"]);
  if (ran.code !== 0) throw new Error(`the audit ended with ${ran.code}: ${ran.output}`);
  return ran;
}

async function fsck(log: LogProcess, program: string): Promise<Ran> {
  const key = join(log.folder, "log.vkey-bare");
  writeFileSync(key, log.vkey);
  const ran = await watch(program, ["-storage_url", `${log.url}/`, "-public_key", key, "-ui=false", "-logtostderr"]);
  if (ran.code !== 0) throw new Error(`fsck ended with ${ran.code}: ${ran.output}`);
  return ran;
}

/** @param entries of the log in the end; it is audited at a tenth of them as well, to see what grows */
export async function benchAudit(options: { readonly entries: number; readonly rounds: number }): Promise<void> {
  const tools = temporaryFolder("bench-tools");
  const sources = Array.from({ length: SOURCES }, (_, i) => new BenchSource(ORIGIN, i));
  const log = await LogProcess.start(sources.map(({ vkey }) => vkey));
  const load = new Load(log.url, sources);
  const rows = [["", "entries", "seconds", "entries/s", "CPU s", "log CPU s", "peak MiB"]];
  const add = (name: string, entries: number, runs: readonly (Ran & { log: number })[]): number => {
    const of = (value: (run: (typeof runs)[number]) => number): number => median(runs.map(value));
    const seconds = of((run) => run.seconds);
    const cells = [(entries / seconds).toFixed(0), of(({ cpu }) => cpu).toFixed(2), of((run) => run.log).toFixed(2)];
    rows.push([name, String(entries), seconds.toFixed(2), ...cells, Math.max(...runs.map((r) => r.memory)).toFixed(0)]);
    return seconds;
  };
  const measured = async (run: () => Promise<Ran>): Promise<Ran & { log: number }> => {
    const before = cpuSeconds(log.pid);
    const ran = await run();
    return { ...ran, log: cpuSeconds(log.pid) - before };
  };
  const whole = (round: number): Promise<Ran> => audit(log, join(tools, `state-${load.total}-${round}`));
  const several = async (run: (round: number) => Promise<Ran>): Promise<(Ran & { log: number })[]> => {
    const runs: (Ran & { log: number })[] = [];
    for (let round = 0; round < options.rounds; round += 1) runs.push(await measured(() => run(round)));
    return runs;
  };
  try {
    await load.run(Math.floor(options.entries / 10));
    await settle(log, load);
    add("audit, a tenth", load.total, await several(whole));
    await load.run(options.entries - load.total);
    await settle(log, load);
    const size = load.total;
    const seconds = add("audit", size, await several(whole));
    const state = join(tools, `state-${size}-0`);
    add("audit, nothing new", 0, [await measured(() => audit(log, state))]);
    await load.run(MORE);
    await settle(log, load);
    add("audit, resumed", load.total - size, [await measured(() => audit(log, state))]);
    const missing = await buildTessera(tools).catch((error: Error) => error.message);
    if (missing === undefined) {
      const program = join(tools, "bin/fsck");
      const theirs = add("Tessera's fsck", load.total, await several(() => fsck(log, program)));
      console.log(`\naudit: ${options.rounds} rounds, medians\n${table(rows)}`);
      console.log(
        `fsck takes ${(theirs / seconds).toFixed(2)} of the audit's time; it verifies tiles and root, and does not look into entries`,
      );
    } else
      console.log(`\naudit: ${options.rounds} rounds, medians\n${table(rows)}\nTessera's fsck: skipped, ${missing}`);
  } finally {
    load.close();
    await log.destroy();
    rmSync(tools, { recursive: true, force: true });
  }
}

/** Seals and a checkpoint over all of it; and the indexes that follow have caught up, so that the log serves only. */
async function settle(log: LogProcess, load: Load): Promise<void> {
  await load.seal();
  await log.published(load.total);
  await log.followed();
}
