import { createHash } from "node:crypto";
import { type TestKey, testKey } from "./keys.ts";

function sha(...parts: Uint8Array[]): Buffer {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return hash.digest();
}

export type StatementMembers = { login?: string; session?: string } & Record<string, unknown>;

/** A source that writes entries as spec/entry.md and spec/submission.md say. */
export class TestSource {
  readonly key: TestKey;
  readonly entries: string[] = [];
  #chain: Buffer = Buffer.alloc(32);
  #counts = { sessions: 0, statements: 0, refused: 0 };
  readonly #numbers = new Map<string, number>();
  #now: number;

  /** @param now time of its first entry, milliseconds since 1970; each later one is a second younger */
  constructor(name: string, now: number, durability = "before-result") {
    this.key = testKey(name);
    this.#now = now;
    const window_ms = durability === "relaxed" ? 250 : 0;
    this.write("source.start", {
      vkey: this.key.vkey,
      software: { name: "test", version: "1" },
      config: "0".repeat(64),
      durability: { reads: durability, others: "before-execute", window_ms },
      seals: { every_entries: 1000, every_ms: 10000, idle_ms: 60000 },
      previous: null,
    });
  }

  write(kind: string, members: Record<string, unknown>): void {
    const time = new Date(this.#now).toISOString().replace("Z", "000Z");
    this.#now += 1000;
    const seq = this.entries.length;
    const entry = JSON.stringify({ v: 1, kind, source: this.key.name, epoch: 1, seq, time, ...members });
    this.entries.push(entry);
    this.#chain = sha(this.#chain, sha(Buffer.of(0), Buffer.from(entry)));
    if (kind === "session.start") this.#counts.sessions++;
    if (kind === "statement") this.#counts.statements++;
    if (kind === "access.refused") this.#counts.refused++;
  }

  session(login: string, session = "1.1", database = "shop"): void {
    const client = { address: "192.0.2.7:4711", tls: true };
    const actor = { login, auth: "trust" };
    this.write("session.start", {
      session,
      actor,
      database,
      client,
      server: { version: "18.1", pid: 1 },
      protocol: "3.0",
    });
  }

  statement({ login = "alice", session = "1.1", ...members }: StatementMembers = {}): void {
    const n = (this.#numbers.get(session) ?? 0) + 1;
    this.#numbers.set(session, n);
    this.write("statement", {
      session,
      actor: { login, auth: "trust" },
      database: "shop",
      n,
      client: { address: "192.0.2.7:4711" },
      protocol: "simple",
      operation: "SELECT",
      class: "read",
      relations: [],
      functions: [],
      complete: true,
      sql: "SELECT 1",
      tx: "I",
      start: new Date(this.#now).toISOString().replace("Z", "000Z"),
      duration_us: 5,
      outcome: "completed",
      tag: "SELECT 1",
      rows: 1,
      bytes_in: 10,
      bytes_out: 20,
      ...members,
    });
  }

  refused(login: string, error = "no"): void {
    const client = { address: "192.0.2.7:4711", tls: false };
    this.write("access.refused", { actor: { login }, database: "shop", client, by: "proxy", sqlstate: "42501", error });
  }

  seal(kind: "source.seal" | "source.stop" = "source.seal"): void {
    const { sessions, statements, refused } = this.#counts;
    const text = `vitrine/${kind === "source.stop" ? "stop" : "seal"}/v1\n${this.key.name}\n1\n${this.entries.length}\n${this.#chain.toString("base64")}\nsessions ${sessions}\nstatements ${statements}\nrefused ${refused}\n`;
    this.write(kind, { ...(kind === "source.stop" ? { reason: "shutdown" } : {}), seal: this.key.sign(text) });
  }
}
