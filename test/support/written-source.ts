/** A source that writes entries, seals and submissions by spec/entry.md and spec/submission.md, without a proxy. */
import { hash, randomBytes } from "node:crypto";
import { newSigner, note, type Signer } from "./lying-note.ts";
import { leafHash, sha256 } from "./lying-tree.ts";

function u16(n: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(n);
  return bytes;
}

function u32(n: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(n);
  return bytes;
}

interface Written {
  readonly entry: Buffer;
  readonly disclosures: readonly Buffer[];
}

export class WrittenSource {
  readonly #key: Signer;
  readonly #origin: string;
  #epoch = 0;
  #chain: Buffer = Buffer.alloc(32);
  #refused = 0;
  /** Of the current epoch. */
  #written: Written[] = [];
  #address: { sealed: object; disclosure: Buffer };

  /** @param origin of the log that it submits to */
  constructor(name: string, origin: string) {
    this.#key = newSigner(name);
    this.#origin = origin;
    this.#address = this.#seal("client.address", "192.0.2.1:5432");
    this.#begin();
  }

  get vkey(): string {
    return this.#key.vkey;
  }

  get name(): string {
    return this.#key.name;
  }

  get epoch(): number {
    return this.#epoch;
  }

  /** Entries of the current epoch. */
  get length(): number {
    return this.#written.length;
  }

  entry(seq: number): Buffer {
    return this.#written[seq]!.entry;
  }

  #seal(name: string, value: unknown): { sealed: object; disclosure: Buffer } {
    const disclosure = Buffer.from(JSON.stringify([randomBytes(16).toString("base64url"), name, value]));
    const digest = hash("sha256", disclosure.toString("base64url"), "base64url");
    return { sealed: { sealed: digest, bytes: Buffer.byteLength(String(value)) }, disclosure };
  }

  #write(kind: string, members: object, disclosures: readonly Buffer[] = []): void {
    const time = new Date().toISOString().replace("Z", "000Z");
    const head = { v: 1, kind, source: this.name, epoch: this.#epoch, seq: this.length, time };
    const entry = Buffer.from(JSON.stringify({ ...head, ...members }));
    this.#written.push({ entry, disclosures });
    this.#chain = sha256(this.#chain, leafHash(entry));
  }

  /** Begins an epoch; the one before ended as it ended. */
  #begin(previous: object | null = null): void {
    this.#epoch += 1;
    this.#chain = Buffer.alloc(32);
    this.#written = [];
    this.#refused = 0;
    this.#write("source.start", {
      vkey: this.vkey,
      software: { name: "test", version: "1" },
      config: "0".repeat(64),
      durability: { reads: "before-result", others: "before-execute", window_ms: 0 },
      seals: { every_entries: 1000, every_ms: 10_000, idle_ms: 60_000 },
      previous,
    });
  }

  /** A new epoch after this one, which has to be submitted whole. */
  restart(clean: boolean): this {
    const chain = this.#chain.toString("base64");
    this.#begin({ epoch: this.#epoch, next: this.length, chain, clean, spool: "kept" });
    return this;
  }

  /** Refused accesses, each with disclosures of its own. */
  refuse(count: number): this {
    for (let i = 0; i < count; i += 1) {
      const error = this.#seal("error", `password authentication failed for user "user ${this.length}"`);
      this.#refused += 1;
      const client = { address: this.#address.sealed, tls: false };
      const members = { actor: { login: "a" }, database: "d", client, by: "server", sqlstate: "28P01" };
      this.#write("access.refused", { ...members, error: error.sealed }, [error.disclosure, this.#address.disclosure]);
    }
    return this;
  }

  /** Seals and ends the epoch. */
  stop(): this {
    const counts = `sessions 0\nstatements 0\nrefused ${this.#refused}\n`;
    const at = `${this.name}\n${this.#epoch}\n${this.length}\n${this.#chain.toString("base64")}\n`;
    this.#write("source.stop", { reason: "shutdown", seal: note(`vitrine/stop/v1\n${at}${counts}`, this.#key) });
    return this;
  }

  /** The body that submits the entries of the current epoch from one sequence up to another. */
  submission(from: number, to: number = this.length): Buffer {
    const parts = this.#written.slice(from, to).flatMap(({ entry, disclosures }) => {
      const framed = disclosures.flatMap((each) => [u32(each.length), each]);
      return [u16(entry.length), entry, u16(disclosures.length), ...framed];
    });
    const payload = Buffer.concat(parts);
    const digest = hash("sha256", payload, "base64");
    const position = `${this.#origin}\n${this.name}\n${this.#epoch}\n${from}\n${to - from}\n`;
    const announcement = Buffer.from(note(`vitrine/submission/v1\n${position}${digest}\n`, this.#key));
    return Buffer.concat([u32(announcement.length), announcement, payload]);
  }
}
