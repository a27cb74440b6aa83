import { type TestKey, testKey } from "./keys.ts";
import { naiveLeaf, sha256 } from "./naive-tree.ts";

type Members = Record<string, unknown>;

/** A source that writes good entries, at one a millisecond from {@link epochStart} on. */
export const epochStart: number = Date.UTC(2026, 10, 22, 22, 10, 0);

export class TestSource {
  key: TestKey;
  epoch = 0;
  seq = 0;
  chain: Uint8Array = new Uint8Array(32);
  /** The entries it wrote, in order. */
  readonly entries: string[] = [];
  /** Its clock, milliseconds since 1970. */
  now: number = epochStart;
  #counts = { sessions: 0, statements: 0, refused: 0 };
  #stopped = false;
  readonly #totals = new Map<string, { n: number; bytes: number }>();

  constructor(name = "proxy-a.example") {
    this.key = testKey(name);
  }

  /** Writes any entry at the next place. */
  write(kind: string, members: Members): string {
    this.now += 1;
    const time = `${new Date(this.now).toISOString().slice(0, 23)}000Z`;
    const common = { v: 1, kind, source: this.key.name, epoch: this.epoch, seq: this.seq, time };
    const entry = JSON.stringify({ ...common, ...members });
    this.entries.push(entry);
    this.seq++;
    this.chain = sha256(this.chain, naiveLeaf(Buffer.from(entry)));
    if (kind === "session.start") this.#counts.sessions++;
    if (kind === "statement") this.#counts.statements++;
    if (kind === "access.refused") this.#counts.refused++;
    return entry;
  }

  start(members: Members = {}): void {
    const end = { epoch: this.epoch, next: this.seq, chain: Buffer.from(this.chain).toString("base64") };
    const previous = this.epoch === 0 ? null : { ...end, clean: this.#stopped, spool: "kept" };
    this.epoch++;
    this.seq = 0;
    this.chain = new Uint8Array(32);
    this.#counts = { sessions: 0, statements: 0, refused: 0 };
    this.#stopped = false;
    this.write("source.start", {
      vkey: this.key.vkey,
      software: { name: "test", version: "0.1.0" },
      config: "00".repeat(32),
      durability: { reads: "before-result", others: "before-execute", window_ms: 0 },
      seals: { every_entries: 1000, every_ms: 10000, idle_ms: 60000 },
      previous,
      ...members,
    });
  }

  sealText(what: "seal" | "stop" = "seal"): string {
    const { sessions, statements, refused } = this.#counts;
    const head = [
      `vitrine/${what}/v1`,
      this.key.name,
      this.epoch,
      this.seq,
      Buffer.from(this.chain).toString("base64"),
    ];
    return `${head.join("\n")}\nsessions ${sessions}\nstatements ${statements}\nrefused ${refused}\n`;
  }

  seal(): void {
    this.write("source.seal", { seal: this.key.note(this.sealText()) });
  }

  /** Hands over to another key of the same name. */
  rotate(next: TestKey): void {
    const place = `${this.key.name}\n${this.epoch}\n${this.seq}`;
    const text = `vitrine/source-key/v1\n${place}\n${this.key.vkey}\n${next.vkey}\n`;
    this.write("source.key", { vkey: next.vkey, proof: this.key.note(text) + next.line(text) });
    this.key = next;
  }

  stop(): void {
    this.write("source.stop", { reason: "shutdown", seal: this.key.note(this.sealText("stop")) });
    this.#stopped = true;
  }

  session(n: number): void {
    this.#totals.set(`${this.epoch}.${n}`, { n: 0, bytes: 0 });
    this.write("session.start", {
      session: `${this.epoch}.${n}`,
      ...who,
      client: { address: "127.0.0.1:40000", tls: false },
      server: { version: "18.0", pid: 4711 },
      protocol: "3.0",
    });
  }

  statement(n: number, members: Members = {}): string {
    const session = `${this.epoch}.${n}`;
    const totals = this.#totals.get(session)!;
    totals.n++;
    totals.bytes += 21;
    return this.write("statement", {
      session,
      ...who,
      n: totals.n,
      client: { address: "127.0.0.1:40000" },
      protocol: "simple",
      operation: "SELECT",
      class: "read",
      relations: [{ schema: "public", name: "account", access: "read" }],
      functions: [],
      complete: true,
      sql: "SELECT 1",
      tx: "I",
      start: "2026-11-22T22:10:00.000000Z",
      duration_us: 700,
      outcome: "completed",
      tag: "SELECT 1",
      rows: 1,
      bytes_in: 21,
      bytes_out: 40,
      ...members,
    });
  }

  sessionEnd(n: number): void {
    const { n: statements, bytes } = this.#totals.get(`${this.epoch}.${n}`)!;
    this.write("session.end", {
      session: `${this.epoch}.${n}`,
      ...who,
      start: "2026-11-22T22:10:00.000000Z",
      duration_us: 9000,
      statements,
      failed: 0,
      rows: statements,
      bytes_in: bytes,
      bytes_out: 40 * statements,
      reason: "client-terminated",
    });
  }

  /** A whole epoch: `statements` of them in one session, a seal after every 100 entries. */
  run(statements: number): void {
    this.start();
    this.session(1);
    for (let i = 0; i < statements; i++) {
      this.statement(1);
      if (this.seq % 100 === 99) this.seal();
    }
    this.sessionEnd(1);
    this.stop();
  }
}

const who = { actor: { login: "alice", auth: "trust" }, database: "shop" };
