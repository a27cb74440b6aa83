/** A source that writes what a proxy writes under `pgbench -S -M prepared`, as spec/submission.md has it, and fast. */
import { createPrivateKey, hash, type KeyObject, randomFillSync, sign } from "node:crypto";
import { createKey } from "@vitrine/log-server";

/** Entries between two seals, as a proxy has them. */
const SEAL_EVERY = 1000;
const SESSIONS = 16;
/** Statements of a session before another one takes its place. */
const SESSION_LENGTH = 5000;
const LOOKED_UP_EVERY = 101;
const SQL = "SELECT abalance FROM pgbench_accounts WHERE aid = $1;";
const BYTES_IN = 37;
const BYTES_OUT = 12;

interface Session {
  readonly id: string;
  readonly address: string;
  readonly start: string;
  statements: number;
}

/** Random bytes, many at a time. */
const pool = Buffer.alloc(65_536);
let taken = pool.length;

function salt(): string {
  if (taken === pool.length) {
    randomFillSync(pool);
    taken = 0;
  }
  taken += 16;
  return pool.toString("base64url", taken - 16, taken);
}

/** @returns what stands in the entry for a value, and puts its disclosure into the list */
function seal(name: string, value: string, bytes: number, disclosures: string[]): string {
  const disclosure = `["${salt()}","${name}",${value}]`;
  disclosures.push(disclosure);
  const digest = hash("sha256", Buffer.from(disclosure, "latin1").toString("base64url"), "buffer");
  return `{"sealed":"${digest.toString("base64url")}","bytes":${bytes}}`;
}

export class BenchSource {
  readonly name: string;
  readonly vkey: string;
  readonly #origin: string;
  readonly #key: KeyObject;
  readonly #keyId: Buffer;
  readonly #sessions: Session[] = [];
  /** SHA-256 is asked for c(n) || leaf hash; the first half is c(n). */
  readonly #chain: Buffer = Buffer.alloc(64);
  #micros = 0;
  #seq = 0;
  #started = 0;
  #statements = 0;
  #turn = 0;

  /** @param origin of the log that it will write to */
  constructor(origin: string, number: number) {
    this.#origin = origin;
    this.name = `${origin}/proxy-${number}`;
    const { vkey, skey } = createKey(this.name);
    this.vkey = vkey;
    // PRIVATE+KEY+<name>+<key id>+<base64>
    const seed = Buffer.from(/\+[0-9a-f]{8}\+(.*)$/.exec(skey)![1]!, "base64").subarray(1);
    const der = Buffer.concat([Buffer.from("302e020100300506032b657004220420", "hex"), seed]);
    this.#key = createPrivateKey({ key: der, format: "der", type: "pkcs8" });
    this.#keyId = Buffer.from(/\+([0-9a-f]{8})\+/.exec(vkey)![1]!, "hex");
  }

  /** The leaf hash of some of the entries, for those who look them up. */
  readonly leaves: Buffer[] = [];

  /** Entries written so far. */
  get entries(): number {
    return this.#seq;
  }

  /** @returns a signed submission of the next `count` entries, with their disclosures. */
  submission(count: number): Buffer {
    return this.#submission(count, (disclosures) => this.#next(disclosures));
  }

  /** @returns a submission of a seal, which covers all before it. */
  sealing(): Buffer {
    return this.#submission(1, () => this.#seal("source.seal", this.#time(), ""));
  }

  /** @returns the last submission: what is open ends. */
  ending(): Buffer {
    return this.#submission(this.#sessions.length + 1, () => {
      const time = this.#time();
      return this.#sessions.length > 0
        ? this.#sessionEnd(time)
        : this.#seal("source.stop", time, '"reason":"shutdown",');
    });
  }

  #submission(count: number, next: (disclosures: string[]) => string): Buffer {
    const first = this.#seq;
    const parts: Buffer[] = [];
    for (let i = 0; i < count; i += 1) {
      const disclosures: string[] = [];
      const entry = Buffer.from(`\0${next(disclosures)}`);
      const leaf = hash("sha256", entry, "buffer");
      if (this.#seq % LOOKED_UP_EVERY === 0) this.leaves.push(leaf);
      leaf.copy(this.#chain, 32);
      hash("sha256", this.#chain, "buffer").copy(this.#chain);
      this.#seq += 1;
      const length = entry.length - 1;
      parts.push(Buffer.of(length >>> 8, length & 255), entry.subarray(1), Buffer.of(0, disclosures.length));
      for (const text of disclosures) parts.push(Buffer.of(0, 0, 0, text.length), Buffer.from(text, "latin1"));
    }
    const payload = Buffer.concat(parts);
    const digest = hash("sha256", payload, "base64");
    const text = `vitrine/submission/v1\n${this.#origin}\n${this.name}\n1\n${first}\n${count}\n${digest}\n`;
    const note = Buffer.from(this.#note(text));
    const length = Buffer.alloc(4);
    length.writeUInt32BE(note.length);
    return Buffer.concat([length, note, payload]);
  }

  #next(disclosures: string[]): string {
    const time = this.#time();
    if (this.#seq === 0) return this.#start(time);
    if (this.#seq % SEAL_EVERY === 0) return this.#seal("source.seal", time, "");
    if (this.#sessions.length < SESSIONS) return this.#sessionStart(time, disclosures);
    if (this.#sessions[0]!.statements >= SESSION_LENGTH) return this.#sessionEnd(time);
    return this.#statement(time, disclosures);
  }

  #note(text: string): string {
    const signature = sign(null, Buffer.from(text), this.#key);
    return `${text}\n— ${this.name} ${Buffer.concat([this.#keyId, signature]).toString("base64")}\n`;
  }

  /** The real time, in microseconds that never stand still. */
  #time(): string {
    this.#micros = Math.max(this.#micros + 1, Date.now() * 1000);
    const text = new Date(Math.floor(this.#micros / 1000)).toISOString();
    return `${text.slice(0, -1)}${String(this.#micros % 1000).padStart(3, "0")}Z`;
  }

  #head(kind: string, time: string): string {
    return `{"v":1,"kind":"${kind}","source":"${this.name}","epoch":1,"seq":${this.#seq},"time":"${time}",`;
  }

  #start(time: string): string {
    const durability = '"durability":{"reads":"before-result","others":"before-execute","window_ms":0}';
    const seals = `"seals":{"every_entries":${SEAL_EVERY},"every_ms":10000,"idle_ms":3600000}`;
    const software = '"software":{"name":"bench","version":"1"}';
    const config = `"config":"${"0".repeat(64)}"`;
    const members = `"vkey":"${this.vkey}",${software},${config},${durability},${seals},"previous":null`;
    return `${this.#head("source.start", time)}${members}}`;
  }

  #seal(kind: string, time: string, members: string): string {
    const counts = `sessions ${this.#started}\nstatements ${this.#statements}\nrefused 0\n`;
    const chain = this.#chain.toString("base64", 0, 32);
    const note = this.#note(
      `vitrine/${kind === "source.stop" ? "stop" : "seal"}/v1\n${this.name}\n1\n${this.#seq}\n${chain}\n${counts}`,
    );
    return `${this.#head(kind, time)}${members}"seal":${JSON.stringify(note)}}`;
  }

  #who(id: string): string {
    return `"session":"${id}","actor":{"login":"alice","auth":"scram-sha-256"},"database":"bench",`;
  }

  #sessionStart(time: string, disclosures: string[]): string {
    this.#started += 1;
    const id = `1.${this.#started}`;
    const address = seal("client.address", '"127.0.0.1:45678"', 15, disclosures);
    this.#sessions.push({ id, address, start: time, statements: 0 });
    const client = `"client":{"address":${address},"application":"pgbench","tls":false}`;
    const server = '"server":{"version":"18.4","pid":21121},"protocol":"3.0"';
    return `${this.#head("session.start", time)}${this.#who(id)}${client},${server}}`;
  }

  #sessionEnd(time: string): string {
    const { id, start, statements: n } = this.#sessions.shift()!;
    const totals = `"statements":${n},"failed":0,"rows":${n},"bytes_in":${n * BYTES_IN},"bytes_out":${n * BYTES_OUT}`;
    const members = `"start":"${start}","duration_us":114787,${totals},"reason":"client-terminated"`;
    return `${this.#head("session.end", time)}${this.#who(id)}${members}}`;
  }

  #statement(time: string, disclosures: string[]): string {
    this.#turn = (this.#turn + 1) % this.#sessions.length;
    const session = this.#sessions[this.#turn]!;
    session.statements += 1;
    this.#statements += 1;
    const sql = seal("sql", `"${SQL}"`, SQL.length, disclosures);
    const params = seal("params", `["${1 + (this.#seq % 100_000)}"]`, 5, disclosures);
    return (
      `${this.#head("statement", time)}${this.#who(session.id)}"client":{"address":${session.address},"application":"pgbench"},` +
      '"protocol":"extended","operation":"SELECT","class":"read","relations":[{"name":"pgbench_accounts","access":"read"}],' +
      `"functions":[],"fingerprint":"348bee4e67e86ca6","complete":true,"sql":${sql},"params":${params},` +
      `"params_count":1,"start":"${time}","n":${session.statements},"tx":"I","duration_us":${700 + (this.#seq % 900)},` +
      `"outcome":"completed","tag":"SELECT 1","rows":1,"bytes_in":${BYTES_IN},"bytes_out":${BYTES_OUT}}`
    );
  }
}
