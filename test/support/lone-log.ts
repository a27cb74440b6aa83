/** A log-server as a process of its own, in a temporary folder, without proxy or database. */
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createKey } from "@vitrine/log-server";
import { stringify } from "yaml";
import { type CommandResult, freePort, Part, ROOT, runNode, temporaryFolder } from "./stack.ts";
import { WrittenSource } from "./written-source.ts";

const VITRINE = join(ROOT, "cli/bin/vitrine.js");
const VERIFIER = join(ROOT, "verifier/bin/vitrine-verifier.js");

export class LoneLog {
  readonly folder: string;
  readonly url: string;
  readonly config: string;
  readonly vkey: string;
  /** The log's own. */
  readonly skey: string;
  readonly origin = "test.example/lone";
  readonly source: WrittenSource;
  readonly part: Part;

  /** @param settings of the configuration file */
  static async create(settings: object = {}): Promise<LoneLog> {
    return new LoneLog(await freePort(), settings);
  }

  private constructor(port: number, settings: object) {
    this.folder = temporaryFolder("lone");
    this.url = `http://127.0.0.1:${port}`;
    this.source = new WrittenSource(`${this.origin}/source`, this.origin);
    const key = createKey(this.origin);
    this.vkey = key.vkey;
    this.skey = key.skey;
    writeFileSync(join(this.folder, "log.key"), `${key.skey}\n`, { mode: 0o600 });
    mkdirSync(join(this.folder, "guard"));
    this.config = join(this.folder, "log-server.yaml");
    const base = { listen: `127.0.0.1:${port}`, origin: this.origin, sources: [this.source.vkey] };
    writeFileSync(this.config, stringify({ ...base, checkpoint_interval_ms: 100, ...settings }));
    this.part = new Part("log-server", this.config);
  }

  async start(): Promise<this> {
    await this.part.start();
    return this;
  }

  async destroy(): Promise<void> {
    await this.part.end("SIGKILL");
    rmSync(this.folder, { recursive: true, force: true });
  }

  async post(path: string, body: Buffer): Promise<Response> {
    const headers = { "content-type": "application/octet-stream" };
    return fetch(`${this.url}${path}`, { method: "POST", headers, body: new Uint8Array(body) });
  }

  /** Submits what the source has written from one sequence up to another. @throws Error when it is not taken */
  async submit(from: number, to?: number): Promise<{ seq: number; index: number; count: number }[]> {
    const answer = await this.post("/api/v1/submissions", this.source.submission(from, to));
    const body = await answer.text();
    if (answer.status !== 200) throw new Error(`${answer.status}: ${body}`);
    return (JSON.parse(body) as { ranges: { seq: number; index: number; count: number }[] }).ranges;
  }

  /** Waits for a checkpoint of at least this size. */
  async published(size: number): Promise<number> {
    for (;;) {
      const found = Number((await (await fetch(`${this.url}/checkpoint`)).text()).split("\n")[1]);
      if (found >= size) return found;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** The command `vitrine`. */
  vitrine(...args: string[]): Promise<CommandResult> {
    return runNode(VITRINE, args);
  }

  /** An audit by the independent verifier, with a state of its own. */
  audit(log: string = this.url, ...args: string[]): Promise<CommandResult> {
    const common = ["--log", log, "--vkey", this.vkey, "--state", join(this.folder, "auditor")];
    const sources = args.includes("--entries") ? [] : ["--source", this.source.vkey, "--wait", "0"];
    return runNode(VERIFIER, ["audit", ...common, ...sources, ...args]);
  }
}
