/** Searching: what following the tree costs the log, how large the index is, how long a page takes, and a rebuild. */
import { createPrivateKey, hash, type KeyObject, sign } from "node:crypto";
import { mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { Agent, request } from "node:http";
import { join } from "node:path";
import { createKey } from "@vitrine/log-server";
import { freePort, Part, temporaryFolder } from "../support/stack.ts";
import { cpuSeconds, peakMemory, percentile, table } from "./machine.ts";

const ORIGIN = "bench.example/log";
const BATCH = 1024;
const TABLES = 40;
const USERS = 400;
/** Statements of a session, and sessions at a time. */
const SESSION = 25;
const AT_A_TIME = 50;

/** Numbers that look like chance and are the same every time. */
function noise(n: number): number {
  return Math.imul(n + 1, 2_654_435_761) >>> 0;
}

/** A source whose statements are those of an application and of some hundred people, in short sessions. */
class MixedSource {
  readonly name = `${ORIGIN}/mixed`;
  readonly vkey: string;
  readonly #key: KeyObject;
  readonly #keyId: Buffer;
  #seq = 0;

  constructor() {
    const { vkey, skey } = createKey(this.name);
    this.vkey = vkey;
    // PRIVATE+KEY+<name>+<key id>+<base64>
    const seed = Buffer.from(/\+[0-9a-f]{8}\+(.*)$/.exec(skey)![1]!, "base64").subarray(1);
    const der = Buffer.concat([Buffer.from("302e020100300506032b657004220420", "hex"), seed]);
    this.#key = createPrivateKey({ key: der, format: "der", type: "pkcs8" });
    this.#keyId = Buffer.from(/\+([0-9a-f]{8})\+/.exec(vkey)![1]!, "hex");
  }

  submission(count: number): Buffer {
    const first = this.#seq;
    const parts: Buffer[] = [];
    for (let i = 0; i < count; i += 1) {
      const entry = Buffer.from(this.#entry());
      this.#seq += 1;
      const length = Buffer.alloc(2);
      length.writeUInt16BE(entry.length);
      parts.push(length, entry, Buffer.alloc(2));
    }
    const payload = Buffer.concat(parts);
    const digest = hash("sha256", payload, "base64");
    const text = `vitrine/submission/v1\n${ORIGIN}\n${this.name}\n1\n${first}\n${count}\n${digest}\n`;
    const signature = Buffer.concat([this.#keyId, sign(null, Buffer.from(text), this.#key)]).toString("base64");
    const note = Buffer.from(`${text}\n— ${this.name} ${signature}\n`);
    const length = Buffer.alloc(4);
    length.writeUInt32BE(note.length);
    return Buffer.concat([length, note, payload]);
  }

  #entry(): string {
    const seq = this.#seq;
    const head = { v: 1, kind: "statement", source: this.name, epoch: 1, seq, time: timeOf(seq) };
    if (seq === 0) {
      const seals = { every_entries: 1000, every_ms: 10_000, idle_ms: 60_000 };
      const durability = { reads: "before-result", others: "before-execute", window_ms: 0 };
      const software = { name: "bench", version: "1" };
      const start = { vkey: this.vkey, software, config: "0".repeat(64), durability, seals, previous: null };
      return JSON.stringify({ ...head, kind: "source.start", ...start });
    }
    const chance = noise(seq);
    const round = Math.floor(seq / (SESSION * AT_A_TIME));
    const session = round * AT_A_TIME + (seq % AT_A_TIME);
    const who = noise(session);
    const login = who % 10 < 8 ? "app" : `user${who % USERS}`;
    const [operation, effect] = [
      ["SELECT", "read"],
      ["SELECT", "read"],
      ["UPDATE", "write"],
      ["INSERT", "write"],
    ][chance % 4] as [string, string];
    const name = `table_${Math.min(chance % TABLES, (chance >>> 8) % TABLES)}`;
    const sealed = (n: number): object => ({ sealed: hash("sha256", `${seq} ${n}`, "base64url"), bytes: 55 });
    return JSON.stringify({
      ...head,
      session: `1.${session}`,
      actor: { login, auth: "scram-sha-256" },
      database: who % 3 === 0 ? "billing" : "shop",
      client: { address: sealed(who % 100), application: "bench" },
      protocol: "extended",
      operation: chance % 5003 === 0 ? "DROP TABLE" : operation,
      class: chance % 5003 === 0 ? "ddl" : effect,
      relations: [{ schema: "public", name, access: effect === "read" ? "read" : "write" }],
      functions: [],
      fingerprint: "348bee4e67e86ca6",
      complete: true,
      sql: sealed(1),
      params: sealed(2),
      params_count: 1,
      start: timeOf(seq),
      n: 1 + (Math.floor(seq / AT_A_TIME) % SESSION),
      tx: "I",
      duration_us: chance % 5000,
      outcome: chance % 211 === 0 ? "failed" : "completed",
      rows: 1,
      bytes_in: 37,
      bytes_out: 12,
    });
  }
}

/** A statement each 10 ms. */
function timeOf(seq: number): string {
  return new Date(Date.UTC(2026, 10, 1) + seq * 10).toISOString().replace("Z", "000Z");
}

function exchange(url: string, agent: Agent, body?: Buffer): Promise<string> {
  return new Promise((resolve, reject) => {
    const headers =
      body === undefined ? {} : { "content-type": "application/octet-stream", "content-length": body.length };
    const call = request(url, { method: body === undefined ? "GET" : "POST", agent, headers }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (chunk: string) => {
        text += chunk;
      });
      response.on("end", () => (response.statusCode === 200 ? resolve(text) : reject(new Error(text))));
    });
    call.on("error", reject);
    call.end(body);
  });
}

function folderBytes(folder: string): number {
  return readdirSync(folder).reduce((sum, name) => sum + statSync(join(folder, name)).size, 0);
}

/** Queries as people ask them, with a number to vary them. */
const QUERIES: Readonly<Record<string, (n: number) => string>> = {
  "newest entries": () => "",
  "one user": (n) => `actor=user${(n * 10 + 8) % USERS}`,
  "one table, writes": (n) => `relation=public.table_${n % TABLES}&class=write`,
  "ddl, everywhere": () => "class=ddl",
  "one user, one table": (n) => `actor=user${(n * 10 + 9) % USERS}&relation=table_${n % TABLES}`,
  "failed, in an hour": (n) => `outcome=failed&since=${timeOf(n * 3000)}&until=${timeOf(n * 3000 + 360_000)}`,
  "one session": (n) => `session=1.${n * 37}`,
  "a user that is not there": () => "actor=nobody",
  "two that never meet": () => "class=ddl&operation=select",
};

async function until(url: string, agent: Agent, size: number): Promise<void> {
  for (;;) {
    const health = JSON.parse(await exchange(`${url}/healthz`, agent)) as { size: number; search_lag: number };
    if (health.size >= size && health.search_lag === 0) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

export async function benchSearch(options: { readonly entries: number; readonly rounds: number }): Promise<void> {
  const folder = temporaryFolder("bench-search");
  const key = createKey(ORIGIN);
  const source = new MixedSource();
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  writeFileSync(join(folder, "log.key"), `${key.skey}\n`, { mode: 0o600 });
  mkdirSync(join(folder, "guard"));
  const config = join(folder, "log.yaml");
  writeFileSync(
    config,
    `listen: 127.0.0.1:${port}\norigin: ${ORIGIN}\nkey: log.key\nstore: store\nindex: index\nsearch_index: search\n` +
      `guard: guard/checkpoint\nlimits: { requests_per_second: 0 }\nsources:\n  - ${source.vkey}\n`,
  );
  const log = new Part("log-server", config);
  const agent = new Agent({ keepAlive: true });
  try {
    await log.start();
    let began = performance.now();
    for (let sent = 0; sent < options.entries; sent += BATCH) {
      await exchange(`${url}/api/v1/submissions`, agent, source.submission(Math.min(BATCH, options.entries - sent)));
    }
    const filled = (performance.now() - began) / 1000;
    await until(url, agent, options.entries);
    const followed = (performance.now() - began) / 1000;

    const rows = [["a page of 50, ms", "p50", "p99", "max", "CPU", "hits", "pages"]];
    const all: number[] = [];
    for (const [name, query] of Object.entries(QUERIES)) {
      const times: number[] = [];
      let hits = 0;
      const before = cpuSeconds(log.pid!);
      for (let n = 0; n < options.rounds; n += 1) {
        let next: string | null = "";
        // Of those that end early, every page counts; of the others the first.
        for (let found = 0; next !== null && found === 0; ) {
          const sent = performance.now();
          const cursor: string = next === "" ? "" : `&cursor=${next}`;
          const answer = await exchange(`${url}/api/v1/search?${query(n)}${cursor}`, agent);
          times.push(performance.now() - sent);
          const page = JSON.parse(answer) as { hits: unknown[]; next: string | null };
          found = page.hits.length;
          next = page.next;
          hits += found;
        }
      }
      all.push(...times);
      const cpu = ((cpuSeconds(log.pid!) - before) * 1000) / times.length;
      times.sort((a, b) => a - b);
      const ms = (p: number): string => percentile(times, p).toFixed(1);
      rows.push([
        name,
        ms(0.5),
        ms(0.99),
        times.at(-1)!.toFixed(1),
        cpu.toFixed(1),
        String(hits),
        String(times.length),
      ]);
    }
    all.sort((a, b) => a - b);
    rows.push([
      "all of them",
      percentile(all, 0.5).toFixed(1),
      percentile(all, 0.99).toFixed(1),
      all.at(-1)!.toFixed(1),
    ]);
    rows.at(-1)!.push("", "", String(all.length));
    const memory = peakMemory(log.pid!);

    await log.end("SIGTERM");
    const bytes = folderBytes(join(folder, "search"));
    const store = folderBytes(join(folder, "store"));
    rmSync(join(folder, "search"), { recursive: true });
    await log.start();
    began = performance.now();
    await until(url, agent, options.entries);
    const rebuilt = (performance.now() - began) / 1000;
    const per = (total: number): string => (total / options.entries).toFixed(1);
    console.log(`\nsearch: ${options.entries} entries, of an application and ${USERS / 5} people, ${TABLES} tables`);
    console.log(
      table([
        ["filled, entries/s", "indexed, entries/s", "rebuilt, entries/s", "index, bytes/entry", "store", "peak MiB"],
        [
          (options.entries / filled).toFixed(0),
          (options.entries / followed).toFixed(0),
          (options.entries / rebuilt).toFixed(0),
          per(bytes),
          per(store),
          memory.toFixed(0),
        ],
      ]),
    );
    console.log(`\n${table(rows)}`);
  } finally {
    agent.destroy();
    await log.end("SIGTERM");
    rmSync(folder, { recursive: true, force: true });
  }
}
