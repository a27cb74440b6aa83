import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import pg from "pg";
import type { Test } from "tap";
import { isAlive } from "../src/processes.ts";
import { BIN } from "./run.ts";

export const ANY_PORTS: readonly string[] = ["--proxy", "127.0.0.1:0", "--log", "127.0.0.1:0"];

/** A data folder's parent, outside the checkout: other users must be able to reach it. */
export function folder(t: Test): string {
  const dir = mkdtempSync(path.join(tmpdir(), "vitrine-test-"));
  t.teardown(() => rmSync(dir, { recursive: true, force: true, maxRetries: 5 }));
  return dir;
}

/** A `vitrine up` of a test, stopped when the test ends. */
export class Up {
  readonly child: ChildProcess;
  readonly ended: Promise<number | null>;
  output = "";

  constructor(t: Test, cwd: string, options: readonly string[] = []) {
    this.child = spawn(process.execPath, [BIN, "up", ...ANY_PORTS, ...options], {
      cwd,
      stdio: ["ignore", "pipe", "pipe"],
    });
    for (const stream of [this.child.stdout, this.child.stderr]) {
      stream?.setEncoding("utf8").on("data", (text) => {
        this.output += text;
      });
    }
    this.ended = new Promise((resolve) => this.child.once("close", (code) => resolve(code)));
    t.teardown(() => this.stop());
  }

  async printed(what: RegExp): Promise<void> {
    let over = false;
    void this.ended.then(() => {
      over = true;
    });
    while (!what.test(this.output)) {
      if (over) throw new Error(`ended without printing ${what}:\n${this.output}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  async ready(): Promise<this> {
    await this.printed(/^vitrine: ready$/m);
    return this;
  }

  async stop(): Promise<number | null> {
    if (this.child.exitCode === null && this.child.signalCode === null) this.child.kill("SIGINT");
    return this.ended;
  }

  get connection(): string {
    return /^ {2}Connect to +(\S+)$/m.exec(this.output)?.[1] as string;
  }

  get log(): string {
    return /^ {2}Log +(\S+)$/m.exec(this.output)?.[1] as string;
  }
}

export async function query(connection: string, text: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: connection, ssl: false });
  client.on("error", () => {});
  await client.connect();
  try {
    return (await client.query(text)).rows;
  } finally {
    await client.end();
  }
}

/** The identities in `up.lock` of those who live: of `up`, the log-server, the proxy. */
export const lockOf = (dir: string): string[] =>
  readFileSync(path.join(dir, "vitrine-data/up.lock"), "utf8").trim().split("\n").filter(isAlive);

export const pidOf = (identity: string | undefined): number => Number(identity?.split(" ", 1)[0]);
