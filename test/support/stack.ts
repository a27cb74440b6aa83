/** The whole of Vitrine, set up in a temporary folder: PostgreSQL, log-server and proxy, each startable and killable. */
import { type ChildProcess, spawn } from "node:child_process";
import { createHash, randomInt } from "node:crypto";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Postgres, startPostgres } from "@vitrine/cli";
import { createKey } from "@vitrine/log-server";
import pg from "pg";
import { stringify } from "yaml";

export const ROOT: string = fileURLToPath(new URL("../../../", import.meta.url));
export const VITRINE: string = join(ROOT, "cli/bin/vitrine.js");
const VERIFIER = join(ROOT, "verifier/bin/vitrine-verifier.js");

export const TOKEN = "test-auditor-token";
export const USER = "alice";
export const PASSWORD = "correct horse";
export const DATABASE = "vitrine_test";

export interface StackOptions {
  readonly durability?: { reads?: string; others?: string; window_ms?: number };
  readonly spool?: { max_bytes?: number; max_age_s?: number };
  readonly limits?: Record<string, number>;
  readonly sealed?: readonly string[];
  readonly identity?: readonly object[];
  /** The text of a file of access rules. */
  readonly rules?: string | undefined;
  /** Where the proxy reaches the log, if not at its own address. */
  readonly logUrl?: string;
  /** Of the proxy's process. */
  readonly proxyEnvironment?: Record<string, string>;
  /** Worker processes of the proxy, each with a key of its own. */
  readonly workers?: number;
  /** Of the log. */
  readonly checkpointIntervalMs?: number;
  /** Further keys of the two parts' configuration files. */
  readonly proxyKeys?: Record<string, unknown>;
  readonly logKeys?: Record<string, unknown>;
}

/** A folder that any account may pass through: PostgreSQL runs as another one when the tests run as root. */
export function temporaryFolder(name: string): string {
  const folder = mkdtempSync(join(tmpdir(), `vitrine-${name}-`));
  chmodSync(folder, 0o755);
  return folder;
}

/**
 * A port that nobody listens on, and that the system gives to nobody: those come from 32768 up (Linux) or 49152 up, and
 * one of them may be another test's before it is listened on, or while its process is started again.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(10_081, 32_000); // fetch refuses 10080
    const server = createServer();
    const isFree = await new Promise<boolean>((resolve) => {
      server.once("error", () => resolve(false));
      server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
    });
    if (isFree) return port;
  }
}

/** A real PostgreSQL with a role that has to log in with a password, and a database of its own; `settings` of the server. */
export async function startDatabase(
  folder: string,
  settings: Readonly<Record<string, string | number>> = {},
): Promise<Postgres> {
  const config = {
    folder: join(folder, "postgres"),
    passwordFile: join(folder, "superuser"),
    logFile: join(folder, "postgres.log"),
  };
  const postgres = await startPostgres(config);
  const admin = await postgres.connect("postgres");
  await admin.query(`CREATE ROLE ${USER} LOGIN PASSWORD '${PASSWORD}'`);
  await admin.query(`CREATE DATABASE ${DATABASE} OWNER ${USER}`);
  for (const [name, value] of Object.entries(settings)) await admin.query(`ALTER SYSTEM SET ${name} = '${value}'`);
  await admin.end();
  if (Object.keys(settings).length === 0) return postgres;
  await postgres.stop();
  return startPostgres(config);
}

/** One of the two parts as a process of its own, by its own command. */
export class Part {
  readonly #name: "log-server" | "proxy";
  readonly #config: string;
  readonly #environment: Record<string, string>;
  #child: ChildProcess | undefined;
  #closed: Promise<void> = Promise.resolve();
  /** Everything it printed since it was last started, in order; when it has ended, all of it. */
  output = "";

  constructor(name: "log-server" | "proxy", config: string, environment: Record<string, string> = {}) {
    this.#name = name;
    this.#config = config;
    this.#environment = environment;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** @throws Error with its output, when it ends instead of becoming ready */
  async start(): Promise<void> {
    this.output = "";
    // One pipe for both: of two, the one that says "ready" may be read before what was said on the other.
    const command = [process.execPath, VITRINE, this.#name, "--config", this.#config];
    const child = spawn("/bin/sh", ["-c", 'exec "$@" 2>&1', "sh", ...command], {
      stdio: ["ignore", "pipe", "ignore"],
      env: { ...process.env, ...this.#environment },
    });
    this.#child = child;
    this.#closed = new Promise((resolve) => child.once("close", () => resolve()));
    await new Promise<void>((resolve, reject) => {
      child.stdout.setEncoding("utf8").on("data", (text) => {
        this.output += text;
        if (/^vitrine: \S+ ready at /m.test(this.output)) resolve();
      });
      child.once("close", (code, signal) => {
        reject(new Error(`${this.#name} ended with ${signal ?? code}: ${this.output}`));
      });
    });
  }

  /** Runs until it ends by itself. */
  async run(): Promise<{ readonly code: number; readonly output: string }> {
    try {
      await this.start();
    } catch {
      return { code: this.#child?.exitCode ?? -1, output: this.output };
    }
    throw new Error(`${this.#name} became ready: ${this.output}`);
  }

  /** Ends it with a signal, and waits. */
  async end(signal: "SIGTERM" | "SIGKILL"): Promise<number | null> {
    if (this.running) this.#child?.kill(signal);
    await this.#closed;
    return this.#child?.exitCode ?? null;
  }

  /** @returns how it ended by itself, or undefined when it still runs after so many milliseconds */
  async ended(withinMs: number): Promise<{ code: number | null; signal: NodeJS.Signals | null } | undefined> {
    const child = this.#child;
    if (child === undefined) throw new Error("it was never started");
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, withinMs);
      void this.#closed.then(() => {
        clearTimeout(timer);
        resolve();
      });
    });
    return this.running ? undefined : { code: child.exitCode, signal: child.signalCode };
  }

  get running(): boolean {
    const child = this.#child;
    return child !== undefined && child.exitCode === null && child.signalCode === null;
  }
}

export interface CommandResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command of the repository with Node. */
export function runNode(
  script: string,
  args: readonly string[],
  env: Record<string, string> = {},
): Promise<CommandResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [script, ...args], { env: { ...process.env, ...env } });
    let stdout = "";
    let stderr = "";
    child.stdout.on("data", (chunk) => {
      stdout += chunk;
    });
    child.stderr.on("data", (chunk) => {
      stderr += chunk;
    });
    child.once("error", reject);
    child.once("close", (code) => resolve({ code: code ?? -1, stdout, stderr }));
  });
}

/** Log-server and proxy before a database, with keys and configuration of their own. */
export class Stack {
  readonly folder: string;
  readonly log: Part;
  readonly proxy: Part;
  readonly logUrl: string;
  readonly logPort: number;
  readonly proxyPort: number;
  readonly origin = "test.example/log";
  readonly source = "test.example/log/proxy";
  readonly vkey: string;
  readonly logKey: string;
  readonly sourceKey: string;
  readonly sourceVkey: string;
  readonly #database: Postgres;
  readonly #entries: Entry[] = [];

  static async create(database: Postgres, options: StackOptions = {}): Promise<Stack> {
    return new Stack(database, options, await freePort(), await freePort());
  }

  private constructor(database: Postgres, options: StackOptions, logPort: number, proxyPort: number) {
    this.#database = database;
    this.logPort = logPort;
    this.proxyPort = proxyPort;
    this.folder = temporaryFolder("stack");
    this.logUrl = `http://127.0.0.1:${logPort}`;
    const log = createKey(this.origin);
    const source = createKey(this.source);
    this.vkey = log.vkey;
    this.logKey = log.skey;
    this.sourceKey = source.skey;
    this.sourceVkey = source.vkey;
    const file = (name: string, text: string, mode = 0o600): string => {
      writeFileSync(join(this.folder, name), text, { mode });
      return join(this.folder, name);
    };
    file("log.key", `${log.skey}\n`);
    file("source.key", `${source.skey}\n`);
    const others = Array.from({ length: (options.workers ?? 1) - 1 }, (_, i) => {
      const { skey, vkey } = createKey(`${this.source}/worker-${i + 2}`);
      file(`source.key.worker-${i + 2}`, `${skey}\n`);
      return vkey;
    });
    file("log.vkey", `${log.vkey}\n`, 0o644);
    file("tokens", `${createHash("sha256").update(TOKEN).digest("hex")} auditor,admin - tests\n`);
    mkdirSync(join(this.folder, "guard"));
    const logConfig = file(
      "log-server.yaml",
      stringify({
        listen: `127.0.0.1:${logPort}`,
        origin: this.origin,
        key: "log.key",
        store: "log/store",
        index: "log/index",
        search_index: "log/search",
        guard: "guard/checkpoint",
        sources: [source.vkey, ...others],
        tokens: "tokens",
        checkpoint_interval_ms: options.checkpointIntervalMs ?? 100,
        ...options.logKeys,
      }),
    );
    if (options.rules !== undefined) file("rules.yaml", options.rules);
    const proxyConfig = file(
      "proxy.yaml",
      stringify({
        listen: `127.0.0.1:${proxyPort}`,
        upstream: `postgres://127.0.0.1:${database.port}`,
        log: { url: options.logUrl ?? this.logUrl, vkey: log.vkey },
        source: { key: "source.key" },
        spool: { dir: "spool", ...options.spool },
        ...(options.durability === undefined ? {} : { durability: options.durability }),
        ...(options.limits === undefined ? {} : { limits: options.limits }),
        ...(options.rules === undefined ? {} : { rules: "rules.yaml" }),
        ...(options.sealed === undefined ? {} : { sealed: options.sealed }),
        ...(options.identity === undefined ? {} : { identity: options.identity }),
        ...(options.workers === undefined ? {} : { workers: options.workers }),
        ...options.proxyKeys,
      }),
    );
    this.log = new Part("log-server", logConfig);
    this.proxy = new Part("proxy", proxyConfig, options.proxyEnvironment);
  }

  async start(): Promise<this> {
    await this.log.start();
    await this.proxy.start();
    return this;
  }

  async stop(): Promise<void> {
    await this.proxy.end("SIGTERM");
    await this.log.end("SIGTERM");
  }

  /** Stops and forgets everything. */
  async destroy(): Promise<void> {
    await this.proxy.end("SIGKILL");
    await this.log.end("SIGKILL");
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** How a driver connects: through the proxy, or straight to the database. */
  connection(way: "proxied" | "direct" = "proxied"): {
    host: string;
    port: number;
    user: string;
    password: string;
    database: string;
  } {
    const port = way === "proxied" ? this.proxyPort : this.#database.port;
    return { host: "127.0.0.1", port, user: USER, password: PASSWORD, database: DATABASE };
  }

  /** As a connection string. */
  url(way: "proxied" | "direct" = "proxied"): string {
    const { host, port, user, password, database } = this.connection(way);
    return `postgres://${user}:${encodeURIComponent(password)}@${host}:${port}/${database}`;
  }

  async client(way: "proxied" | "direct" = "proxied", options: pg.ClientConfig = {}): Promise<pg.Client> {
    const client = new pg.Client({ ...this.connection(way), ...options });
    // A killed proxy breaks connections outside of queries; the query under way reports it.
    client.on("error", () => undefined);
    await client.connect();
    return client;
  }

  /** The verifier's own command. */
  verifier(command: string, ...args: string[]): Promise<CommandResult> {
    const state = args.includes("--state") ? [] : ["--state", join(this.folder, "auditor")];
    const common = command === "verify" ? [] : ["--log", this.logUrl, ...state];
    return runNode(VERIFIER, [command, ...args, ...common, "--vkey", join(this.folder, "log.vkey")]);
  }

  /** Every entry that a checkpoint covers, in order. What was read is kept: the log holds it to a rate. */
  async entries(): Promise<Entry[]> {
    const { tree_size: size } = (await this.#read("/ct/v1/get-sth")) as { tree_size: number };
    // A log that was put back to an earlier state begins anew there.
    if (this.#entries.length > size) this.#entries.length = 0;
    while (this.#entries.length < size) {
      const range = `start=${this.#entries.length}&end=${size - 1}`;
      const { entries } = (await this.#read(`/ct/v1/get-entries?${range}`)) as { entries: { leaf_input: string }[] };
      for (const { leaf_input } of entries) {
        this.#entries.push(JSON.parse(Buffer.from(leaf_input, "base64").toString()) as Entry);
      }
    }
    return [...this.#entries];
  }

  /**
   * The same for a log that is too long to be kept: each entry once, in order, up to one that is wanted.
   * @throws Error when that one does not come
   */
  async eachEntry(use: (entry: Entry) => void, last: (entry: Entry) => boolean): Promise<void> {
    const deadline = Date.now() + 60_000;
    for (let at = 0, ended = false; !ended; ) {
      const { tree_size: size } = (await this.#read("/ct/v1/get-sth")) as { tree_size: number };
      if (at === size) {
        if (Date.now() > deadline) throw new Error(`the log has ${size} entries, and not the awaited one`);
        await new Promise((resolve) => setTimeout(resolve, 50));
        continue;
      }
      const { entries } = (await this.#read(`/ct/v1/get-entries?start=${at}&end=${size - 1}`)) as {
        entries: { leaf_input: string }[];
      };
      for (const { leaf_input } of entries) {
        const entry = JSON.parse(Buffer.from(leaf_input, "base64").toString()) as Entry;
        use(entry);
        ended ||= last(entry);
      }
      at += entries.length;
    }
  }

  async #read(path: string): Promise<unknown> {
    for (;;) {
      const answer = await fetch(`${this.logUrl}${path}`);
      if (answer.status === 200) return answer.json();
      const text = await answer.text();
      if (answer.status !== 429) throw new Error(`${path}: ${answer.status}: ${text}`);
      await new Promise((resolve) => setTimeout(resolve, Number(answer.headers.get("retry-after")) * 1000));
    }
  }

  /** Waits until the log has everything that the proxy recorded so far, and a checkpoint covers it. */
  async settled(until: (entries: readonly Entry[]) => boolean): Promise<Entry[]> {
    let deadline = Date.now() + 60_000;
    for (let before = -1; ; ) {
      const entries = await this.entries();
      if (until(entries)) return entries;
      // Only standing still counts.
      if (entries.length !== before) deadline = Date.now() + 60_000;
      before = entries.length;
      if (Date.now() > deadline) throw new Error(`the log has ${entries.length} entries, and not the awaited ones`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  /** The disclosed values of an entry, by name. */
  async disclosed(index: number): Promise<Record<string, unknown>> {
    const answer = await fetch(`${this.logUrl}/api/v1/entries/${index}/disclosures?reason=test`, {
      headers: { authorization: `Bearer ${TOKEN}` },
    });
    if (answer.status !== 200) throw new Error(`${answer.status}: ${await answer.text()}`);
    const { disclosures } = (await answer.json()) as { disclosures: string[] };
    const values: Record<string, unknown> = {};
    for (const disclosure of disclosures) {
      const [, name, value] = JSON.parse(Buffer.from(disclosure, "base64url").toString()) as [string, string, unknown];
      values[name] = value;
    }
    return values;
  }
}

/** An entry as a test reads it. */
export interface Entry {
  readonly kind: string;
  readonly source: string;
  readonly epoch: number;
  readonly seq: number;
  readonly session?: string;
  readonly operation?: string;
  readonly class?: string;
  readonly outcome?: string;
  readonly sqlstate?: string;
  readonly tag?: string;
  readonly rows?: number;
  readonly statements?: number;
  readonly failed?: number;
  readonly reason?: string;
  readonly [member: string]: unknown;
}

export function statements(entries: readonly Entry[]): Entry[] {
  return entries.filter(({ kind }) => kind === "statement");
}
