/** A log-server under a disk that fails: what is injected, and a load that knows what it was promised. */
import { spawn, spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { createKey } from "@vitrine/log-server";
import { BenchSource } from "../bench/source.ts";
import { freePort, Part, ROOT, runNode } from "./stack.ts";

const ORIGIN = "faults.example/log";
const BATCH = 40;
const VERIFIER = join(ROOT, "verifier/bin/vitrine-verifier.js");

/** @returns why system calls cannot be made to fail here, or false */
export function cannotInject(): string | false {
  const { error, status, stderr } = spawnSync("strace", ["-f", "-e", "trace=none", "true"], { encoding: "utf8" });
  if (error !== undefined) return "strace is not installed";
  return status === 0 ? false : `strace cannot trace here: ${stderr.trim().split("\n")[0]}`;
}

/**
 * Lets system calls of a process on these paths fail from now on.
 * @param folder where the trace goes
 * @param fault as strace's option `inject` has it
 * @returns when they do
 */
export async function inject(part: Part, folder: string, fault: string, paths: readonly string[]): Promise<void> {
  const call = fault.split(":", 1)[0]!;
  const where = paths.flatMap((path) => ["-P", path]);
  const args = ["-f", "-p", String(part.pid), "-e", `trace=${call}`, "-e", `inject=${fault}`, ...where];
  const strace = spawn("strace", [...args, "-o", join(folder, "trace")], { stdio: ["ignore", "ignore", "pipe"] });
  // It says so for each thread; the process itself is the first.
  await new Promise<void>((resolve, reject) => {
    let said = "";
    strace.stderr.on("data", (chunk) => {
      said += chunk;
      if (/attached/.test(said)) resolve();
    });
    strace.once("exit", (code) => reject(new Error(`strace ended with ${code}: ${said}`)));
  });
  await sleep(50);
}

interface Receipt {
  readonly seq: number;
  readonly index: number;
  readonly count: number;
}

/** What somebody was promised: these entries, durable at these indexes. */
interface Promised {
  readonly body: Buffer;
  readonly ranges: readonly Receipt[];
}

export class FaultyLog {
  readonly folder: string;
  readonly #part: Part;
  readonly #source: BenchSource;
  readonly #vkey: string;
  readonly #url: string;
  readonly #promised: Promised[] = [];
  /** Sent, and not answered: it may be there or not. */
  #unanswered: Buffer | undefined;

  private constructor(folder: string, port: number) {
    this.folder = folder;
    this.#url = `http://127.0.0.1:${port}`;
    this.#source = new BenchSource(ORIGIN, 1);
    const key = createKey(ORIGIN);
    this.#vkey = key.vkey;
    mkdirSync(join(folder, "guard"), { recursive: true });
    writeFileSync(join(folder, "log.key"), `${key.skey}\n`, { mode: 0o600 });
    const settings = `listen: 127.0.0.1:${port}\norigin: ${ORIGIN}\nkey: log.key\nstore: store\nindex: index\nguard: guard/checkpoint\n`;
    const often = "checkpoint_interval_ms: 20\n";
    writeFileSync(join(folder, "log.yaml"), `${settings}${often}sources:\n  - ${this.#source.vkey}\n`);
    this.#part = new Part("log-server", join(folder, "log.yaml"));
  }

  static async create(folder: string): Promise<FaultyLog> {
    mkdirSync(folder);
    return new FaultyLog(folder, await freePort());
  }

  get output(): string {
    return this.#part.output;
  }

  start(): Promise<void> {
    return this.#part.start();
  }

  end(signal: "SIGTERM" | "SIGKILL"): Promise<number | null> {
    return this.#part.end(signal);
  }

  /** @returns how it ended, or undefined when it still runs after so long */
  ended(withinMs: number): Promise<{ code: number | null; signal: string | null } | undefined> {
    return this.#part.ended(withinMs);
  }

  /** The file of LevelDB's that takes what is written now. */
  writtenNow(store: "store" | "index"): string {
    const names = readdirSync(join(this.folder, store)).filter((name) => name.endsWith(".log"));
    return join(this.folder, store, names.sort().at(-1)!);
  }

  /** Lets system calls on these paths fail from now on: {@link inject}. */
  inject(fault: string, paths: readonly string[]): Promise<void> {
    return inject(this.#part, this.folder, fault, paths);
  }

  /** A write that would make this file longer than so many bytes is cut there, and the process told by SIGXFSZ. */
  limitFile(path: string, more: number): void {
    const size = statSync(path).size;
    const { status, stderr } = spawnSync("prlimit", ["--pid", String(this.#part.pid), `--fsize=${size + more}`], {
      encoding: "utf8",
    });
    if (status !== 0) throw new Error(`prlimit: ${stderr}`);
  }

  async #post(body: Buffer): Promise<readonly Receipt[] | undefined> {
    try {
      const headers = { "content-type": "application/octet-stream" };
      const response = await fetch(`${this.#url}/api/v1/submissions`, {
        method: "POST",
        headers,
        body: new Uint8Array(body),
      });
      if (response.status !== 200) return undefined;
      return ((await response.json()) as { ranges: Receipt[] }).ranges;
    } catch {
      return undefined;
    }
  }

  /** Submits until something is not acknowledged, or so many batches are. */
  async load(batches: number): Promise<void> {
    for (let i = 0; i < batches; i += 1) {
      const body = this.#unanswered ?? this.#source.submission(BATCH);
      this.#unanswered = body;
      const ranges = await this.#post(body);
      if (ranges === undefined) return;
      this.#unanswered = undefined;
      this.#promised.push({ body, ranges });
      // Some of the checkpoints come between two submissions, some while one is under way.
      if (i % 3 === 2) await sleep(25);
    }
  }

  /** Ends the source's record, so that an audit can pass. */
  async finish(): Promise<void> {
    await this.load(2);
    const body = this.#source.ending();
    const ranges = await this.#post(body);
    if (ranges === undefined) throw new Error(`the end of the record was not taken: ${this.output}`);
    this.#promised.push({ body, ranges });
  }

  /** Its files are those of an earlier moment again: what was sent since then is no part of it. */
  forgetUnanswered(): void {
    this.#unanswered = undefined;
  }

  get acknowledged(): number {
    return this.#promised.reduce((sum, { ranges }) => sum + ranges.reduce((n, { count }) => n + count, 0), 0);
  }

  /** @returns the submissions that the log does not have any more where it said */
  async broken(): Promise<string[]> {
    const wrong: string[] = [];
    for (const { body, ranges } of this.#promised) {
      const again = JSON.stringify(await this.#post(body));
      if (again !== JSON.stringify(ranges)) wrong.push(`${JSON.stringify(ranges)} is now ${again}`);
    }
    return wrong;
  }

  /** Waits until a checkpoint covers what was acknowledged. */
  async published(): Promise<void> {
    const deadline = Date.now() + 30_000;
    for (;;) {
      const size = Number((await (await fetch(`${this.#url}/checkpoint`)).text()).split("\n")[1]);
      if (size >= this.acknowledged) return;
      if (Date.now() > deadline) throw new Error(`the checkpoint stays at ${size} of ${this.acknowledged}`);
      await sleep(20);
    }
  }

  /** What somebody who trusts nobody says, and keeps from one time to the next. */
  async verify(command: "head" | "audit"): Promise<{ code: number; stdout: string; stderr: string }> {
    // All of it: what was audited before may have changed since.
    const wait = command === "audit" ? ["--wait", "0", "--all"] : [];
    const state = join(this.folder, "verifier");
    return runNode(VERIFIER, [command, "--log", this.#url, "--vkey", this.#vkey, "--state", state, "--json", ...wait]);
  }

  /** Whether it says of itself that it is well. */
  async healthy(): Promise<boolean> {
    return (await fetch(`${this.#url}/healthz`)).status === 200;
  }
}
