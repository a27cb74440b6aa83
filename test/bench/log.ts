/** The log-server over HTTP: submissions a second, time to checkpoint; then an audit of what it took in. */
import { spawn } from "node:child_process";
import { createHash, createPrivateKey, hash, sign } from "node:crypto";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { Agent, request } from "node:http";
import { join } from "node:path";
import { createKey } from "@vitrine/log-server";
import { freePort, ROOT, temporaryFolder } from "../support/stack.ts";
import { peakMemory, percentile, table } from "./machine.ts";

const ORIGIN = "bench.example/log";
const BATCH = 256;
const ENTRY_BYTES = 1024;

/** A source that writes entries as spec/submission.md has them, as fast as it is asked to. */
class Source {
  readonly name: string;
  readonly vkey: string;
  readonly #skey: string;
  #seq = 0;
  #chain: Buffer = Buffer.alloc(32);

  constructor(number: number) {
    this.name = `bench.example/source-${number}`;
    const key = createKey(this.name);
    this.vkey = key.vkey;
    this.#skey = key.skey;
  }

  #note(text: string): string {
    // PRIVATE+KEY+<name>+<key id>+<base64>
    const seed = Buffer.from(/\+[0-9a-f]{8}\+(.*)$/.exec(this.#skey)![1]!, "base64").subarray(1);
    const der = Buffer.concat([Buffer.from("302e020100300506032b657004220420", "hex"), seed]);
    const signature = sign(null, Buffer.from(text), createPrivateKey({ key: der, format: "der", type: "pkcs8" }));
    const id = Buffer.from(/\+([0-9a-f]{8})\+/.exec(this.vkey)![1]!, "hex");
    return `${text}\n— ${this.name} ${Buffer.concat([id, signature]).toString("base64")}\n`;
  }

  #entry(kind: string, members: string): Buffer {
    const head = `{"v":1,"kind":"${kind}","source":"${this.name}","epoch":1,"seq":${this.#seq},"time":"${new Date().toISOString().replace("Z", "000Z")}",`;
    const entry = Buffer.from(`${head}${members}}`);
    this.#seq += 1;
    const leaf = hash("sha256", Buffer.concat([Buffer.of(0), entry]), "buffer");
    this.#chain = hash("sha256", Buffer.concat([this.#chain, leaf]), "buffer") as unknown as Buffer;
    return entry;
  }

  /** A signed submission of the next entries; the last of them is a seal when `sealed`. */
  submission(count: number, sealed = false): Buffer {
    const first = this.#seq;
    const entries: Buffer[] = [];
    for (let i = 0; i < count; i += 1) {
      if (this.#seq === 0) {
        const durability = '"durability":{"reads":"before-result","others":"before-execute","window_ms":0}';
        const seals = '"seals":{"every_entries":1000,"every_ms":10000,"idle_ms":60000}';
        const software = '"software":{"name":"bench","version":"1"}';
        const start = `"vkey":${JSON.stringify(this.vkey)},${software},"config":"${"0".repeat(64)}",${durability},${seals},"previous":null`;
        entries.push(this.#entry("source.start", start));
      } else if (sealed && i === count - 1) {
        const counts = `sessions 0\nstatements 0\nrefused ${this.#seq - 1}\n`;
        const note = this.#note(
          `vitrine/seal/v1\n${this.name}\n1\n${this.#seq}\n${this.#chain.toString("base64")}\n${counts}`,
        );
        entries.push(this.#entry("source.stop", `"reason":"shutdown","seal":${JSON.stringify(note)}`));
      } else {
        const padding = "x".repeat(Math.max(0, ENTRY_BYTES - 330));
        const client = `"client":{"address":"192.0.2.1:5432","application":"${padding}","tls":false}`;
        const refused = `"actor":{"login":"bench"},"database":"bench",${client},"by":"server","sqlstate":"28P01","error":"refused"`;
        entries.push(this.#entry("access.refused", refused));
      }
    }
    const payload = Buffer.concat(entries.flatMap((entry) => [u16(entry.length), entry, u16(0)]));
    const digest = createHash("sha256").update(payload).digest("base64");
    const note = Buffer.from(
      this.#note(`vitrine/submission/v1\n${ORIGIN}\n${this.name}\n1\n${first}\n${entries.length}\n${digest}\n`),
    );
    const length = Buffer.alloc(4);
    length.writeUInt32BE(note.length);
    return Buffer.concat([length, note, payload]);
  }
}

function u16(n: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(n);
  return bytes;
}

function post(url: string, agent: Agent, body: Buffer): Promise<number> {
  return new Promise((resolve, reject) => {
    const headers = { "content-type": "application/octet-stream", "content-length": body.length };
    const call = request(`${url}/api/v1/submissions`, { method: "POST", agent, headers }, (response) => {
      let text = "";
      response.on("data", (chunk) => {
        text += chunk;
      });
      response.on("end", () => {
        if (response.statusCode === 200)
          resolve((JSON.parse(text) as { ranges: { index: number }[] }).ranges[0]!.index);
        else reject(new Error(`${response.statusCode}: ${text}`));
      });
    });
    call.on("error", reject);
    call.end(body);
  });
}

async function checkpointSize(url: string): Promise<number> {
  return Number((await (await fetch(`${url}/checkpoint`)).text()).split("\n")[1]);
}

export async function benchLog(options: { readonly entries: number; readonly submitters: number }): Promise<void> {
  const folder = temporaryFolder("bench-log");
  const key = createKey(ORIGIN);
  const sources = Array.from({ length: options.submitters }, (_, i) => new Source(i));
  writeFileSync(join(folder, "log.key"), `${key.skey}\n`, { mode: 0o600 });
  writeFileSync(join(folder, "log.vkey"), `${key.vkey}\n`);
  writeFileSync(join(folder, "tokens"), "");
  mkdirSync(join(folder, "guard"));
  writeFileSync(
    join(folder, "log.yaml"),
    `listen: 127.0.0.1:${await freePort()}\norigin: ${ORIGIN}\nkey: log.key\nstore: store\nindex: index\nguard: guard/checkpoint\n` +
      `sources:\n${sources.map(({ vkey }) => `  - ${vkey}\n`).join("")}tokens: tokens\n`,
  );
  // A process of its own: the load must not share its event loop.
  const child = spawn(process.execPath, [
    join(ROOT, "cli/bin/vitrine.js"),
    "log-server",
    "--config",
    join(folder, "log.yaml"),
  ]);
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
  try {
    const agent = new Agent({ keepAlive: true, maxSockets: options.submitters });
    const each = Math.floor(options.entries / options.submitters / BATCH) - 1;
    // Made before the clock runs: signing and hashing them is the sources' work.
    const bodies = sources.map((source) => Array.from({ length: each }, () => source.submission(BATCH)));
    const latencies: number[] = [];
    const began = performance.now();
    await Promise.all(
      bodies.map(async (list) => {
        for (const body of list) {
          const sent = performance.now();
          await post(url, agent, body);
          latencies.push(performance.now() - sent);
        }
      }),
    );
    const seconds = (performance.now() - began) / 1000;
    const count = each * BATCH * options.submitters;
    latencies.sort((a, b) => a - b);

    const waits: number[] = [];
    for (let i = 0; i < 5; i += 1) {
      const source = sources[i % sources.length]!;
      const index = await post(url, agent, source.submission(1));
      const accepted = performance.now();
      while ((await checkpointSize(url)) <= index) await new Promise((resolve) => setTimeout(resolve, 10));
      waits.push(performance.now() - accepted);
    }
    for (const source of sources) await post(url, agent, source.submission(2, true));
    const size = count + 5 + 2 * sources.length;
    while ((await checkpointSize(url)) < size) await new Promise((resolve) => setTimeout(resolve, 50));
    console.log(
      `\nlog-server over HTTP: ${count} entries of 1 KiB, ${options.submitters} submitters, ${BATCH} entries a submission, acknowledged when durable`,
    );
    console.log(
      table([
        ["entries/s", "p50 ms", "p99 ms", "accepted to checkpoint, max ms", "peak memory MiB"],
        [
          (count / seconds).toFixed(0),
          percentile(latencies, 0.5).toFixed(1),
          percentile(latencies, 0.99).toFixed(1),
          Math.max(...waits).toFixed(0),
          peakMemory(child.pid!).toFixed(0),
        ],
      ]),
    );
    agent.destroy();
    await benchAudit(url, folder, size);
  } finally {
    const ended = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGTERM");
    await ended;
    rmSync(folder, { recursive: true, force: true });
  }
}

async function benchAudit(url: string, folder: string, size: number): Promise<void> {
  const rows = [["", "seconds", "entries/s", "peak memory MiB", "verdict"]];
  for (const name of ["audit, everything", "audit, resumed"]) {
    const args = [
      "audit",
      "--log",
      url,
      "--vkey",
      join(folder, "log.vkey"),
      "--state",
      join(folder, "state"),
      "--wait",
      "0",
      "--limit",
      "1",
    ];
    const began = performance.now();
    const child = spawn(process.execPath, [join(ROOT, "verifier/bin/vitrine-verifier.js"), ...args]);
    let output = "";
    let peak = 0;
    child.stdout.on("data", (chunk) => {
      output += chunk;
    });
    child.stderr.resume();
    const watch = setInterval(() => {
      try {
        peak = Math.max(peak, peakMemory(child.pid!) || 0);
      } catch {
        // It has just ended.
      }
    }, 20);
    await new Promise((resolve) => child.once("close", resolve));
    clearInterval(watch);
    const seconds = (performance.now() - began) / 1000;
    const verdict = /^(PASS|FAIL|NOT PROVEN)$/m.exec(output)?.[1] ?? output;
    rows.push([name, seconds.toFixed(2), (size / seconds).toFixed(0), peak.toFixed(0), verdict]);
  }
  console.log(`\nvitrine-verifier audit: ${size} entries\n${table(rows)}`);
}
