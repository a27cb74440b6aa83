/** A log-server as a process of its own, in a temporary folder, for the sources it is given. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createKey } from "@vitrine/log-server";
import { freePort, ROOT, temporaryFolder } from "../support/stack.ts";

export const ORIGIN = "bench.example/log";

interface Health {
  readonly index_lag: number;
  readonly search_lag: number;
}

export class LogProcess {
  readonly folder: string;
  readonly url: string;
  readonly vkey: string;
  readonly #child: ChildProcess;

  private constructor(folder: string, url: string, vkey: string, child: ChildProcess) {
    this.folder = folder;
    this.url = url;
    this.vkey = vkey;
    this.#child = child;
  }

  /** @param sources the verifier keys of those who may write */
  static async start(sources: readonly string[]): Promise<LogProcess> {
    const folder = temporaryFolder("bench-log");
    const { vkey, skey } = createKey(ORIGIN);
    writeFileSync(join(folder, "log.key"), `${skey}\n`, { mode: 0o600 });
    writeFileSync(join(folder, "log.vkey"), `${vkey}\n`);
    mkdirSync(join(folder, "guard"));
    const keys = sources.map((source) => `  - ${source}\n`).join("");
    const settings = `listen: 127.0.0.1:${await freePort()}\norigin: ${ORIGIN}\nkey: log.key\nstore: store\nindex: index\nsearch_index: search\nlimits: { requests_per_second: 0 }\nguard: guard/checkpoint\nsources:\n${keys}`;
    writeFileSync(join(folder, "log.yaml"), settings);
    // A process of its own: the load must not share its event loop.
    const command = [join(ROOT, "cli/bin/vitrine.js"), "log-server", "--config", join(folder, "log.yaml")];
    const child = spawn(process.execPath, command);
    const url = await new Promise<string>((resolve, reject) => {
      let output = "";
      const onData = (chunk: Buffer): void => {
        output += chunk;
        const match = /ready at (http:\/\/[\d.:]+)/.exec(output);
        if (match !== null) resolve(match[1]!);
      };
      child.stdout.on("data", onData);
      child.stderr.on("data", onData);
      child.once("exit", () => reject(new Error(output)));
    });
    return new LogProcess(folder, url, vkey, child);
  }

  get pid(): number {
    return this.#child.pid!;
  }

  /** @returns the size of the tree at the latest checkpoint */
  async size(): Promise<number> {
    return Number((await (await fetch(`${this.url}/checkpoint`)).text()).split("\n")[1]);
  }

  /** Waits until a checkpoint covers so many entries. */
  async published(size: number): Promise<void> {
    while ((await this.size()) < size) await new Promise((resolve) => setTimeout(resolve, 20));
  }

  /** Waits until what follows the tree has come up to it. */
  async followed(): Promise<void> {
    for (;;) {
      const health = (await (await fetch(`${this.url}/healthz`)).json()) as Health;
      if (health.index_lag === 0 && health.search_lag === 0) return;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** @returns the bytes that the files of a folder of its data have, such as `store` */
  bytes(folder: string): number {
    const path = join(this.folder, folder);
    return readdirSync(path).reduce((sum, name) => sum + statSync(join(path, name)).size, 0);
  }

  /** Ends it, and removes what it wrote. */
  async destroy(): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      const ended = new Promise((resolve) => this.#child.once("exit", resolve));
      this.#child.kill("SIGTERM");
      await ended;
    }
    rmSync(this.folder, { recursive: true, force: true });
  }
}
