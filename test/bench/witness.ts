/** The witness over HTTP: add-checkpoint requests a second, each persisted before it is answered; beside a named peer. */
import { type ChildProcess, spawn } from "node:child_process";
import { hash, type KeyObject, sign } from "node:crypto";
import { rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { createKey } from "@vitrine/log-server";
import { freePort, ROOT, temporaryFolder } from "../support/stack.ts";
import { cpuSeconds, peakMemory, percentile, table } from "./machine.ts";
import { keyObject } from "./signing.ts";
import { startLitewitness } from "./witness-peer.ts";

const CONNECTIONS = 64;
/** Of the first tree: a proof from it to a later one has about as many hashes as its size has bits. */
const FIRST = 20_000;

export interface BenchLog {
  readonly origin: string;
  readonly vkey: string;
  readonly key: KeyObject;
  readonly id: Buffer;
}

/** All logs have the same entries, and so the same roots and proofs; each signs them with a key of its own. */
class Trees {
  readonly #leaves: Buffer[] = [];
  readonly #cache = new Map<string, Buffer>();

  constructor(size: number) {
    for (let i = 0; i < size; i += 1) this.#leaves.push(sha256(Buffer.of(0), Buffer.from(`entry ${i}`)));
  }

  /** The root over entries `from` to `to` (RFC 6962 section 2.1). */
  root(from: number, to: number): Buffer {
    if (to - from === 1) return this.#leaves[from]!;
    const key = `${from} ${to}`;
    const known = this.#cache.get(key);
    if (known !== undefined) return known;
    const middle = from + powerBelow(to - from);
    const root = sha256(Buffer.of(1), this.root(from, middle), this.root(middle, to));
    this.#cache.set(key, root);
    return root;
  }

  /** PROOF of RFC 6962 section 2.1.2. */
  proof(old: number, from: number, to: number, whole: boolean): Buffer[] {
    if (old === to) return whole ? [] : [this.root(from, to)];
    const middle = from + powerBelow(to - from);
    if (old <= middle) return [...this.proof(old, from, middle, whole), this.root(middle, to)];
    return [...this.proof(old, middle, to, false), this.root(from, middle)];
  }
}

function sha256(...parts: Buffer[]): Buffer {
  return hash("sha256", Buffer.concat(parts), "buffer") as unknown as Buffer;
}

function powerBelow(n: number): number {
  let power = 1;
  while (power * 2 < n) power *= 2;
  return power;
}

function makeLog(number: number): BenchLog {
  const origin = `bench.example/log${number}`;
  const { vkey, skey } = createKey(origin);
  return { origin, vkey, key: keyObject(skey), id: Buffer.from(/\+([0-9a-f]{8})\+/.exec(vkey)![1]!, "hex") };
}

/** Whole HTTP requests, made before the clock runs: signing is the logs' work. */
function makeRequests(logs: readonly BenchLog[], each: number): Buffer[][] {
  const trees = new Trees(FIRST + each);
  const steps = Array.from({ length: each }, (_, i) => {
    const size = FIRST + i;
    const old = i === 0 ? 0 : size - 1;
    const proof = old === 0 ? [] : trees.proof(old, 0, size, true);
    const lines = proof.map((one) => `${one.toString("base64")}\n`).join("");
    return { head: `old ${old}\n${lines}\n`, tree: `${size}\n${trees.root(0, size).toString("base64")}\n` };
  });
  return logs.map(({ origin, key, id }) =>
    steps.map(({ head, tree }) => {
      const text = `${origin}\n${tree}`;
      const line = `\u2014 ${origin} ${Buffer.concat([id, sign(null, Buffer.from(text), key)]).toString("base64")}\n`;
      const body = Buffer.from(`${head}${text}\n${line}`);
      const headers = `POST /add-checkpoint HTTP/1.1\r\nhost: witness\r\ncontent-length: ${body.length}\r\n\r\n`;
      return Buffer.concat([Buffer.from(headers), body]);
    }),
  );
}

/** One connection that takes one log after the other, and asks the next thing when it was answered. */
async function drive(port: number, queue: Buffer[][], latencies: number[]): Promise<void> {
  const socket = connect({ port, host: "127.0.0.1", noDelay: true });
  let take: (chunk: Buffer) => void = () => undefined;
  let fail: (error: Error) => void = () => undefined;
  socket.on("data", (chunk: Buffer) => take(chunk));
  socket.on("error", (error) => fail(error));
  socket.on("close", () => fail(new Error("the witness closed the connection")));
  for (let log = queue.pop(); log !== undefined; log = queue.pop()) {
    for (const request of log) {
      const sent = performance.now();
      await new Promise<void>((resolve, reject) => {
        let text = "";
        fail = reject;
        take = (chunk) => {
          text += chunk.toString("latin1");
          const end = text.indexOf("\r\n\r\n");
          const length = /content-length: (\d+)/i.exec(text)?.[1];
          if (end < 0 || length === undefined || text.length < end + 4 + Number(length)) return;
          if (text.startsWith("HTTP/1.1 200 ")) resolve();
          else reject(new Error(text));
        };
        socket.write(request);
      });
      latencies.push(performance.now() - sent);
    }
  }
  fail = () => undefined;
  socket.destroy();
}

export interface BenchedWitness {
  readonly name: string;
  readonly port: number;
  readonly child: ChildProcess;
  stop(): Promise<void>;
}

async function startOurs(folder: string, logs: readonly BenchLog[]): Promise<BenchedWitness> {
  const list = join(folder, "logs");
  writeFileSync(list, `logs/v0\n${logs.map(({ vkey }) => `vkey ${vkey}\nqpd 2147483647\ncontact none\n`).join("")}`);
  const port = await freePort();
  const args = ["witness", "--name", "bench.example/witness", "--state", join(folder, "state"), "--logs", list];
  const program = join(ROOT, "verifier/bin/vitrine-verifier.js");
  const child = spawn(process.execPath, [program, ...args, "--listen", `127.0.0.1:${port}`]);
  await new Promise<void>((resolve, reject) => {
    let output = "";
    const onData = (chunk: Buffer): void => {
      output += chunk;
      if (/^ready at /m.test(output)) resolve();
    };
    child.stdout.on("data", onData);
    child.stderr.on("data", onData);
    child.once("exit", () => reject(new Error(output)));
  });
  return { name: "vitrine-verifier witness", port, child, stop: () => stopped(child) };
}

export function stopped(child: ChildProcess): Promise<void> {
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  child.kill("SIGTERM");
  return ended;
}

export async function benchWitness(options: { readonly logs: number; readonly requests: number }): Promise<void> {
  const folder = temporaryFolder("bench-witness");
  try {
    const logs = Array.from({ length: options.logs }, (_, i) => makeLog(i));
    const requests = makeRequests(logs, Math.max(2, Math.ceil(options.requests / options.logs)));
    const count = requests.length * requests[0]!.length;
    const header = ["", "requests/s", "a CPU second", "p50 ms", "p99 ms", "peak memory MiB"];
    const rows = [header];
    for (const start of [startOurs, startLitewitness]) {
      const witness = await start(folder, logs);
      if (witness === undefined) continue;
      try {
        const latencies: number[] = [];
        const queue = [...requests];
        const cpu = cpuSeconds(witness.child.pid!);
        const began = performance.now();
        const drivers = Array.from({ length: CONNECTIONS }, () => drive(witness.port, queue, latencies));
        await Promise.all(drivers);
        const seconds = (performance.now() - began) / 1000;
        const used = cpuSeconds(witness.child.pid!) - cpu;
        latencies.sort((a, b) => a - b);
        rows.push([
          witness.name,
          (count / seconds).toFixed(0),
          (count / used).toFixed(0),
          percentile(latencies, 0.5).toFixed(1),
          percentile(latencies, 0.99).toFixed(1),
          peakMemory(witness.child.pid!).toFixed(0),
        ]);
      } finally {
        await witness.stop();
      }
    }
    console.log(
      `\nwitness over HTTP: ${count} requests of ${logs.length} logs, trees of ${FIRST}, ${CONNECTIONS} connections`,
    );
    console.log(table(rows));
    if (rows.length === 2)
      console.log("peer: litewitness (filippo.io/torchwood), ssh-agent and sqlite3 are not all installed");
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
