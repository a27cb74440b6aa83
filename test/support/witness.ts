/** `vitrine-verifier witness` as a process of its own. */
import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import { freePort, ROOT } from "./stack.ts";

const PROGRAM = join(ROOT, "verifier/bin/vitrine-verifier.js");

export class WitnessProcess {
  readonly #state: string;
  readonly #name: string;
  readonly #args: readonly string[];
  #port: number | undefined;
  #child: ChildProcess | undefined;
  #policyLine = "";

  /** @param args besides those for name, address and state */
  constructor(state: string, name: string, args: readonly string[]) {
    this.#state = state;
    this.#name = name;
    this.#args = args;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** As it prints it, with its address. */
  get policyLine(): string {
    return this.#policyLine;
  }

  /** The same address each time. */
  async start(): Promise<this> {
    this.#port ??= await freePort();
    const args = ["--name", this.#name, "--listen", `127.0.0.1:${this.#port}`, "--state", this.#state];
    const child = spawn(process.execPath, [PROGRAM, "witness", ...args, "--url", this.url, ...this.#args]);
    this.#child = child;
    let output = "";
    await new Promise<void>((resolve, reject) => {
      const onData = (chunk: Buffer): void => {
        output += chunk;
        if (/^ready at /m.test(output)) resolve();
      };
      child.stdout.on("data", onData);
      child.stderr.on("data", onData);
      child.once("close", () => reject(new Error(output)));
    });
    this.#policyLine = /^policy +(.*)$/m.exec(output)![1]!;
    return this;
  }

  async end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once("exit", resolve));
    child.kill(signal);
    await ended;
  }
}
