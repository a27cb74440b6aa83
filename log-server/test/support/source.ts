import { createHash, hash } from "node:crypto";
import { handoverText } from "../../src/entries/handover.ts";
import { generateKey, parseSignerKey, type SignerKey, signNote } from "../../src/formats/note.ts";

// A source for the tests: writes entries, and submissions of them, by spec/entry.md and spec/submission.md.

export const TIME = "2026-11-22T22:10:00.123456Z";

export interface TestEntry {
  readonly bytes: Buffer;
  readonly disclosures: readonly Buffer[];
}

export function frameEntry({ bytes, disclosures }: TestEntry): Buffer {
  const head = Buffer.alloc(2);
  head.writeUInt16BE(bytes.length);
  const count = Buffer.alloc(2);
  count.writeUInt16BE(disclosures.length);
  const parts = [head, bytes, count];
  for (const disclosure of disclosures) {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(disclosure.length);
    parts.push(length, disclosure);
  }
  return Buffer.concat(parts);
}

export function frameSubmission(note: string | Buffer, payload: Buffer): Buffer {
  const noteBytes = Buffer.from(note as string);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(noteBytes.length);
  return Buffer.concat([length, noteBytes, payload]);
}

/** A sealed value and its disclosure. */
export function seal(
  name: string,
  value: unknown,
  salt: string = "AAAAAAAAAAAAAAAAAAAAAA",
): { sealed: object; disclosure: Buffer } {
  const disclosure = Buffer.from(JSON.stringify([salt, name, value]));
  const digest = createHash("sha256").update(disclosure.toString("base64url")).digest("base64url");
  return { sealed: { sealed: digest, bytes: 10 }, disclosure };
}

export class TestSource {
  readonly key: SignerKey;
  epoch = 1;
  readonly epochs: TestEntry[][] = [[]];

  constructor(name: string) {
    this.key = parseSignerKey(generateKey(name).skey)!;
  }

  get name(): string {
    return this.key.name;
  }

  /** Entries of the current epoch. */
  get entries(): TestEntry[] {
    return this.epochs[this.epoch - 1]!;
  }

  head(kind: string): Record<string, unknown> {
    return { v: 1, kind, source: this.name, epoch: this.epoch, seq: this.entries.length, time: TIME };
  }

  add(value: Record<string, unknown>, disclosures: readonly Buffer[] = []): this {
    this.entries.push({ bytes: Buffer.from(JSON.stringify(value)), disclosures });
    return this;
  }

  chain(): Buffer {
    let chain: Buffer = Buffer.alloc(32);
    for (const { bytes } of this.entries) {
      const leaf = createHash("sha256").update(Buffer.of(0)).update(bytes).digest();
      chain = createHash("sha256").update(chain).update(leaf).digest();
    }
    return chain;
  }

  /** `source.start`, of the next epoch if this one has entries. */
  start(previous?: object | null): this {
    let stated: object | null = null;
    if (this.entries.length > 0) {
      const chain = this.chain().toString("base64");
      stated = { epoch: this.epoch, next: this.entries.length, chain, clean: false, spool: "kept" };
      this.epoch += 1;
      this.epochs.push([]);
    }
    return this.add({
      ...this.head("source.start"),
      vkey: this.key.vkey,
      software: { name: "test", version: "1" },
      config: "0".repeat(64),
      durability: { reads: "before-result", others: "before-execute", window_ms: 0 },
      seals: { every_entries: 1000, every_ms: 10_000, idle_ms: 60_000 },
      previous: previous === undefined ? stated : previous,
    });
  }

  /** Entries of a kind that nobody knows, with `pad` bytes of text. */
  fill(count: number, pad: number = 0): this {
    for (let i = 0; i < count; i += 1) this.add({ ...this.head("test.event"), pad: "x".repeat(pad) });
    return this;
  }

  note(origin: string, seq: number, count: number, payload: Buffer, epoch: number = this.epoch): string {
    const digest = hash("sha256", payload, "base64");
    return signNote(
      `vitrine/submission/v1\n${origin}\n${this.name}\n${epoch}\n${seq}\n${count}\n${digest}\n`,
      this.key,
    );
  }

  /** The body that submits the entries with these sequences. */
  submission(origin: string, seq: number = 0, end: number = this.entries.length, epoch: number = this.epoch): Buffer {
    const entries = this.epochs[epoch - 1]!.slice(seq, end);
    const payload = Buffer.concat(entries.map(frameEntry));
    return frameSubmission(this.note(origin, seq, entries.length, payload, epoch), payload);
  }
}

/** Adds `source.key`, and takes the new key. @returns the old one */
export function rotate(source: TestSource, skey: string = generateKey(source.name).skey): SignerKey {
  const old = source.key;
  const key = parseSignerKey(skey)!;
  const head = source.head("source.key");
  const text = handoverText({ source: source.name, epoch: source.epoch, seq: head.seq as number, vkey: key.vkey }, old);
  const proof = `${signNote(text, old)}${signNote(text, key).split("\n\n")[1]}`;
  source.add({ ...head, vkey: key.vkey, proof });
  Object.assign(source, { key });
  return old;
}
