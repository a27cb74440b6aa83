/**
 * A log for tests: takes submissions over HTTP and checks everything that a source must keep to, with code of its own
 * (written from spec/submission.md and spec/entry.md, sharing nothing with the recorder).
 */
import { createHash, createPublicKey, randomInt, verify } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server } from "node:http";

export interface LoggedEntry {
  readonly text: string;
  readonly json: Record<string, unknown> & { kind: string; epoch: number; seq: number };
  readonly disclosures: readonly string[];
}

export interface Reply {
  readonly status: number;
  readonly headers?: Record<string, string>;
  readonly body?: unknown;
}

const sha256 = (bytes: Uint8Array): Buffer => createHash("sha256").update(bytes).digest();

export class TestLog {
  readonly origin: string = "log.example/test";
  readonly vkey: string;
  readonly sourceName: string;
  /** The key in force. */
  sourceKey: string;
  /** Keys before it, with the place behind the entry that ended each. */
  ended: { vkey: string; epoch: number; next: number }[] = [];
  /** In the order of the log. */
  entries: LoggedEntry[] = [];
  epoch = 0;
  next = 0;
  chain: Buffer = Buffer.alloc(32);
  requests = 0;
  /** Sizes of the accepted submissions. */
  batches: number[] = [];
  /** What broke a rule, as the answer said it. */
  violations: string[] = [];
  /** Answers a submission in the log's place; undefined lets the log answer. */
  intercept: ((count: number) => Reply | undefined) | undefined;
  interceptSources: (() => Reply | undefined) | undefined;
  /** Does its work, then breaks the connection instead of answering. */
  dropAnswers = 0;
  maxBody: number = 64 * 1024 * 1024;
  #server: Server | undefined;
  #port = 0;
  #counts = { sessions: 0, statements: 0, refused: 0 };

  constructor(sourceVkey: string, logVkey: string) {
    this.sourceKey = sourceVkey;
    this.sourceName = sourceVkey.slice(0, sourceVkey.indexOf("+"));
    this.vkey = logVkey;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  async listen(): Promise<this> {
    this.#server = createServer(async (request, response) => {
      const reply = await this.#answer(request);
      if (request.method === "POST" && reply.status === 200 && this.dropAnswers > 0) {
        this.dropAnswers--;
        request.socket.destroy();
        return;
      }
      response.writeHead(reply.status, reply.headers).end(JSON.stringify(reply.body ?? {}));
    });
    // Not one that the system gives to others: it is listened on again after a while.
    for (;;) {
      const port = this.#port === 0 ? randomInt(10_081, 32_000) : this.#port;
      try {
        this.#server.listen(port, "127.0.0.1");
        await once(this.#server, "listening");
        this.#port = port;
        return this;
      } catch (error) {
        if ((error as { code?: string }).code !== "EADDRINUSE" || this.#port !== 0) throw error;
      }
    }
  }

  /** Can listen again afterwards, at the same address. */
  async close(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (server === undefined) return;
    const closed = new Promise((resolve) => server.close(resolve));
    server.closeAllConnections();
    await closed;
  }

  /** Forgets all but the first `count` entries of the current epoch. */
  rollBack(count: number): void {
    const kept = this.entries.filter(({ json }) => json.epoch < this.epoch || json.seq < count);
    this.entries = kept;
    this.next = count;
    this.chain = Buffer.alloc(32);
    for (const { text, json } of kept) if (json.epoch === this.epoch) this.#extend(text);
  }

  ofKind(kind: string): LoggedEntry[] {
    return this.entries.filter(({ json }) => json.kind === kind);
  }

  #extend(text: string): void {
    this.chain = sha256(Buffer.concat([this.chain, sha256(Buffer.concat([Buffer.of(0), Buffer.from(text)]))]));
  }

  async #answer(request: IncomingMessage): Promise<Reply> {
    this.requests++;
    const pieces: Buffer[] = [];
    for await (const piece of request) pieces.push(piece as Buffer);
    const body = Buffer.concat(pieces);
    if (request.method === "GET" && request.url === "/api/v1/sources") {
      const chain = this.chain.toString("base64");
      const source = { name: this.sourceName, vkey: this.sourceKey, epoch: this.epoch, next: this.next, chain };
      return this.interceptSources?.() ?? { status: 200, body: { sources: [source] } };
    }
    if (request.method !== "POST" || request.url !== "/api/v1/submissions") return { status: 404 };
    if (request.headers["content-type"] !== "application/octet-stream")
      return this.#no(415, "unsupported_media_type", "");
    if (body.length > this.maxBody) return { status: 413, body: { error: { code: "body_too_large", message: "" } } };
    const noteEnd = 4 + body.readUInt32BE(0);
    const note = body.toString("utf8", 4, noteEnd);
    const lines = this.#signedFor(note);
    if (lines === undefined) return this.#no(403, "bad_signature", "the note's signature is wrong");
    const payload = body.subarray(noteEnd);
    const [title, origin, source, epochText, firstText, countText, digest, ...more] = lines;
    if (title !== "vitrine/submission/v1" || source !== this.sourceName || more.length > 0)
      return this.#no(400, "bad_submission", `note ${lines.join("|")}`);
    if (origin !== this.origin) return this.#no(403, "bad_signature", `origin ${origin}`);
    if (digest !== sha256(payload).toString("base64")) return this.#no(400, "bad_submission", "digest");
    const [epoch, first, count] = [Number(epochText), Number(firstText), Number(countText)];
    const instead = this.intercept?.(count);
    if (instead !== undefined) return instead;
    const entries: LoggedEntry[] = [];
    let at = 0;
    while (at < payload.length) {
      const end = at + 2 + payload.readUInt16BE(at);
      const text = payload.toString("utf8", at + 2, end);
      const disclosures: string[] = [];
      at = end + 2;
      for (let n = payload.readUInt16BE(end); n > 0; n--) {
        const next = at + 4 + payload.readUInt32BE(at);
        disclosures.push(payload.toString("utf8", at + 4, next));
        at = next;
      }
      const wrong = this.#wrongEntry(text, epoch, first + entries.length, disclosures);
      if (wrong !== undefined) return this.#no(400, "bad_entry", wrong);
      entries.push({ text, json: JSON.parse(text), disclosures });
    }
    if (at !== payload.length || entries.length !== count || count < 1 || count > 4096)
      return this.#no(400, "bad_submission", `${entries.length} entries, announced ${count}`);
    return this.#place(epoch, first, entries);
  }

  #place(epoch: number, first: number, entries: LoggedEntry[]): Reply {
    const expected = { epoch: this.epoch, seq: this.next, chain: this.chain.toString("base64") };
    const refuse = (code: string): Reply => ({
      status: 409,
      body: { error: { code, message: `${code} here`, expected } },
    });
    if (epoch === this.epoch + 1 && first === 0) {
      const previous = entries[0]!.json.previous as { epoch: number; next: number; chain: string } | null;
      const fits =
        previous === null
          ? this.epoch === 0
          : previous.epoch === this.epoch && previous.next === this.next && previous.chain === expected.chain;
      if (!fits) return refuse("epoch_conflict");
    } else if (epoch > this.epoch || (epoch === this.epoch && first > this.next)) return refuse("sequence_gap");
    const indexes: number[] = [];
    const changes = entries.findIndex(({ json }) => json.kind === "source.key");
    const isNew = first + entries.length > this.next || epoch > this.epoch;
    if (changes !== -1 && changes !== entries.length - 1 && isNew)
      return this.#no(400, "bad_entry", "a source.key in the middle");
    for (const [i, entry] of entries.entries()) {
      const known = this.entries.findIndex(({ json }) => json.epoch === epoch && json.seq === first + i);
      if (known !== -1) {
        if (this.entries[known]!.text !== entry.text) return refuse("sequence_conflict");
        indexes.push(known);
        continue;
      }
      if (epoch < this.epoch) return refuse("sequence_conflict");
      if (epoch > this.epoch) {
        this.epoch = epoch;
        this.next = 0;
        this.chain = Buffer.alloc(32);
        this.#counts = { sessions: 0, statements: 0, refused: 0 };
      }
      const wrong = this.#wrongSeal(entry) ?? this.#wrongKey(entry);
      if (wrong !== undefined) return this.#no(400, "bad_seal", wrong);
      indexes.push(this.entries.length);
      this.entries.push(entry);
      this.next++;
      this.#extend(entry.text);
      if (entry.json.kind === "source.key") {
        this.ended.push({ vkey: this.sourceKey, epoch, next: this.next });
        this.sourceKey = entry.json.vkey as string;
      }
      if (entry.json.kind === "session.start") this.#counts.sessions++;
      if (entry.json.kind === "statement") this.#counts.statements++;
      if (entry.json.kind === "access.refused") this.#counts.refused++;
    }
    this.batches.push(entries.length);
    const ranges: { seq: number; index: number; count: number }[] = [];
    for (const [i, index] of indexes.entries()) {
      const last = ranges.at(-1);
      if (last !== undefined && last.index + last.count === index) last.count++;
      else ranges.push({ seq: first + i, index, count: 1 });
    }
    return { status: 200, body: { source: this.sourceName, epoch: this.epoch, next: this.next, ranges } };
  }

  #wrongEntry(text: string, epoch: number, seq: number, disclosures: readonly string[]): string | undefined {
    if (Buffer.byteLength(text) > 65_535) return "too long";
    const json = JSON.parse(text) as Record<string, unknown>;
    if (JSON.stringify(json) !== text) return `not compact: ${text}`;
    if (Object.keys(json).slice(0, 6).join() !== "v,kind,source,epoch,seq,time") return "members";
    if (json.v !== 1 || json.source !== this.sourceName || json.epoch !== epoch || json.seq !== seq) return "common";
    if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/.test(json.time as string)) return `time ${json.time}`;
    if ((json.kind === "source.start") !== (seq === 0)) return "start";
    for (const disclosure of disclosures) {
      const base64url = Buffer.from(disclosure).toString("base64url");
      const digest = sha256(Buffer.from(base64url)).toString("base64url");
      const [, name] = JSON.parse(disclosure) as [string, string, unknown];
      let member: unknown = json;
      for (const step of name.split(".")) member = (member as Record<string, unknown>)[step];
      if ((member as { sealed?: string }).sealed !== digest) return `disclosure of ${name}`;
    }
    return undefined;
  }

  #wrongSeal({ json }: LoggedEntry): string | undefined {
    if (json.kind !== "source.seal" && json.kind !== "source.stop") return undefined;
    const lines = this.#open(json.seal as string);
    const { sessions, statements, refused } = this.#counts;
    const expected = [
      json.kind === "source.stop" ? "vitrine/stop/v1" : "vitrine/seal/v1",
      this.sourceName,
      String(json.epoch),
      String(json.seq),
      this.chain.toString("base64"),
      `sessions ${sessions}`,
      `statements ${statements}`,
      `refused ${refused}`,
    ];
    return lines?.join("\n") === expected.join("\n")
      ? undefined
      : `seal ${lines?.join("|")}, not ${expected.join("|")}`;
  }

  /** spec/submission.md, keys. */
  #signedFor(note: string): string[] | undefined {
    const lines = this.#open(note);
    if (lines !== undefined) return lines;
    for (const { vkey, epoch, next } of this.ended) {
      const old = this.#open(note, vkey);
      if (old === undefined) continue;
      const [at, end] = [Number(old[3]), Number(old[4]) + Number(old[5])];
      return at < epoch || (at === epoch && end <= next) ? old : undefined;
    }
    return undefined;
  }

  #wrongKey({ json }: LoggedEntry): string | undefined {
    if (json.kind === "source.start" && json.vkey !== this.sourceKey) return `start with the key ${json.vkey}`;
    if (json.kind !== "source.key") return undefined;
    const text = `vitrine/source-key/v1\n${this.sourceName}\n${json.epoch}\n${json.seq}\n${this.sourceKey}\n${json.vkey}\n`;
    const lines = (json.proof as string).slice(text.length + 1).match(/.*\n/g) ?? [];
    const used = [this.sourceKey, ...this.ended.map(({ vkey }) => vkey)];
    const good =
      !used.includes(json.vkey as string) &&
      lines.length === 2 &&
      this.#open(`${text}\n${lines[0]}`) !== undefined &&
      this.#open(`${text}\n${lines[1]}`, json.vkey as string) !== undefined;
    return good && (json.proof as string).startsWith(`${text}\n`) ? undefined : `proof ${json.proof}`;
  }

  /** The lines of a note that the source signed; undefined for a wrong signature. */
  #open(note: string, vkey: string = this.sourceKey): string[] | undefined {
    const split = note.lastIndexOf("\n\n");
    const text = note.slice(0, split + 1);
    const [, name, blob] = /^— ([^ ]+) ([^ ]+)\n$/.exec(note.slice(split + 2)) ?? [];
    const [, id, base64] = /^[^+]+\+([0-9a-f]{8})\+(.+)$/.exec(vkey) ?? [];
    const signature = Buffer.from(blob ?? "", "base64");
    if (name !== this.sourceName || signature.length !== 68 || signature.toString("hex", 0, 4) !== id) return undefined;
    const der = Buffer.concat([
      Buffer.from("302a300506032b6570032100", "hex"),
      Buffer.from(base64!, "base64").subarray(1),
    ]);
    const key = createPublicKey({ key: der, format: "der", type: "spki" });
    return verify(null, Buffer.from(text), key, signature.subarray(4)) ? text.slice(0, -1).split("\n") : undefined;
  }

  #no(status: number, code: string, message: string): Reply {
    this.violations.push(`${code}: ${message}`);
    return { status, body: { error: { code, message } } };
  }
}
