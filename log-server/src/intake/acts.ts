import { hash, randomBytes } from "node:crypto";
import { disclosureDigest, makeBlock, sealedValues } from "../entries/disclosure.ts";
import { blockOf, checkDisclosures } from "../entries/disclosure-check.ts";
import { parseEntry } from "../entries/entry.ts";
import { LogServerError } from "../errors.ts";
import { HASH_BYTES, leafHash } from "../formats/merkle.ts";
import { type SignerKey, signNote } from "../formats/note.ts";
import type { SourcePosition } from "../store/store.ts";
import type { CheckedSubmission, EffectOf } from "./check.ts";
import { CHAIN_START } from "./sources.ts";

/** The intervals that the log promises for the seals over its own entries. A quiet log grows by one entry an hour. */
export interface ActsSeals {
  readonly everyEntries: number;
  readonly everyMs: number;
  readonly idleMs: number;
}

const SEALS: ActsSeals = { everyEntries: 1000, everyMs: 10_000, idleMs: 3_600_000 };

/** What an act says besides what every entry does. */
export interface Act {
  readonly kind: string;
  /** Members of the kind, without `reason`. */
  readonly members: Readonly<Record<string, unknown>>;
  /** Is sealed. */
  readonly reason?: string;
  readonly effect?: EffectOf;
}

export interface ActsOptions {
  readonly key: SignerKey;
  readonly software: { readonly name: string; readonly version: string };
  /** Hex SHA-256 of the effective configuration. */
  readonly config: string;
  /** Verifier keys that the log signs checkpoints with, when an epoch begins. */
  readonly logKeys: () => readonly string[];
  /** Where the log stands with itself; epoch 0 when it never did anything. */
  readonly position: SourcePosition;
  /** Whether the last epoch ended with `source.stop`. */
  readonly clean: boolean;
  /** Makes a submission durable. @returns the index of its first entry */
  readonly submit: (submission: CheckedSubmission) => Promise<number>;
  readonly seals?: ActsSeals;
}

const REASON_BYTES = 512;

/** @returns whether a text can be the reason of an act: 1 to 512 bytes without control characters. */
export function isReason(text: string): boolean {
  return /^[^\p{Cc}\p{Surrogate}]+$/u.test(text) && Buffer.byteLength(text) <= REASON_BYTES;
}

function now(): string {
  return new Date().toISOString().replace("Z", "000Z");
}

/**
 * The log as a source of its own (spec/entry.md, "Acts of the log"). An epoch is one run, and begins with the first act
 * of it: a log that did nothing stays as it is. Each act is durable before it takes effect.
 */
export class Acts {
  readonly #options: ActsOptions;
  readonly #seals: ActsSeals;
  #epoch: number;
  #next: number;
  #chain: Buffer;
  #running = false;
  #closed = false;
  /** Entries since the last seal, which no seal covers. */
  #unsealed = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: ActsOptions) {
    this.#options = options;
    this.#seals = options.seals ?? SEALS;
    this.#epoch = options.position.epoch;
    this.#next = options.position.next;
    this.#chain = options.position.chain;
  }

  /**
   * Begins an epoch at once when the one before did not stop: nobody can tell otherwise that the log runs again, and
   * that nothing is missing.
   * @param otherKeys whether other keys sign checkpoints from here on: then it begins as well, with an entry that says so
   */
  async open(otherKeys: boolean): Promise<void> {
    if (otherKeys || (this.#epoch > 0 && !this.#options.clean)) await this.#begin();
  }

  /**
   * @returns the entry's index, once it is durable
   * @throws LogServerError `stopping` when the log is being closed; `internal` when it cannot write: nothing may be
   * done then of what was to be recorded
   */
  async record(act: Act): Promise<number> {
    if (this.#closed) throw new LogServerError("stopping", "the log is shutting down; nothing was done, retry later");
    // Not awaited one by one: entries are numbered in the order in which they are made, and become durable in it.
    const begun = this.#running ? undefined : this.#begin();
    const written = this.#write(act);
    await Promise.all([begun, written]);
    return written;
  }

  /** Ends the epoch, if this run has one, with `source.stop`. Nothing is recorded any more. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#timer);
    if (this.#running) {
      await this.#write({ kind: "source.stop", members: { reason: "shutdown", seal: this.#sealNote("stop") } });
    }
  }

  /** Writes nothing more: another part of the log has failed, or it never came to serve. */
  halt(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }

  async #begin(): Promise<void> {
    this.#running = true;
    const { key, software, config, clean, logKeys } = this.#options;
    const end = { epoch: this.#epoch, next: this.#next, chain: this.#chain.toString("base64"), clean, spool: "kept" };
    const { everyEntries, everyMs, idleMs } = this.#seals;
    this.#epoch += 1;
    this.#next = 0;
    this.#chain = CHAIN_START;
    const members = {
      vkey: key.vkey,
      software,
      config,
      durability: { reads: "before-execute", others: "before-execute", window_ms: 0 },
      seals: { every_entries: everyEntries, every_ms: everyMs, idle_ms: idleMs },
      previous: end.epoch === 0 ? null : end,
    };
    const start = this.#write({ kind: "source.start", members });
    const keys = this.#write({ kind: "log.keys", members: { keys: logKeys() } });
    await Promise.all([start, keys]);
  }

  /** Numbers an entry at once, and hands it on. */
  async #write({ kind, members, reason, effect }: Act): Promise<number> {
    const disclosure = reason === undefined ? undefined : makeDisclosure("reason", reason);
    const sealed = disclosure === undefined ? {} : { reason: sealedBy(disclosure, reason!) };
    const { name, vkey } = this.#options.key;
    const [epoch, seq] = [this.#epoch, this.#next];
    const entry = { v: 1, kind, source: name, epoch, seq, time: now(), ...members, ...sealed };
    const bytes = Buffer.from(JSON.stringify(entry));
    // What the log says of itself is held to the same form as what others send.
    const parsed = parseEntry(bytes, 0);
    const block = makeBlock(disclosure === undefined ? [] : [disclosure]);
    const { block: own } = checkDisclosures(blockOf(block), sealedValues(parsed), 0);
    const leaf = leafHash(bytes);
    const length = Buffer.alloc(2);
    length.writeUInt16BE(bytes.length);
    this.#next += 1;
    this.#chain = hash("sha256", Buffer.concat([this.#chain, leaf], 2 * HASH_BYTES), "buffer");
    this.#sealLater(kind);
    return this.#options.submit({
      payload: Buffer.concat([length, bytes, block]),
      starts: [2],
      ends: [2 + bytes.length],
      blocks: own === undefined ? [] : [{ position: 0, block: own }],
      shared: [],
      source: name,
      vkey,
      epoch,
      seq,
      count: 1,
      leaves: leaf,
      ...(effect === undefined ? {} : { effect }),
      ...(kind === "source.start"
        ? { previous: members.previous as Exclude<CheckedSubmission["previous"], undefined> }
        : {}),
    });
  }

  #sealNote(what: "seal" | "stop"): string {
    const { key } = this.#options;
    const place = `${key.name}\n${this.#epoch}\n${this.#next}\n${this.#chain.toString("base64")}`;
    return signNote(`vitrine/${what}/v1\n${place}\nsessions 0\nstatements 0\nrefused 0\n`, key);
  }

  /** Sees to the next seal (spec/submission.md, "Seal"). */
  #sealLater(kind: string): void {
    if (kind === "source.seal") {
      this.#unsealed = 0;
      this.#sealIn(this.#seals.idleMs);
      return;
    }
    this.#unsealed += 1;
    if (this.#unsealed >= this.#seals.everyEntries) this.#sealIn(0);
    else if (this.#unsealed === 1) this.#sealIn(this.#seals.everyMs);
  }

  #sealIn(ms: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      if (this.#closed) return;
      // A write that fails ends the log, which says so itself.
      this.#write({ kind: "source.seal", members: { seal: this.#sealNote("seal") } }).catch(() => undefined);
    }, ms).unref();
  }
}

function makeDisclosure(name: string, value: string): Buffer {
  return Buffer.from(JSON.stringify([randomBytes(16).toString("base64url"), name, value]));
}

function sealedBy(disclosure: Buffer, value: string): { sealed: string; bytes: number } {
  return { sealed: disclosureDigest(disclosure), bytes: Buffer.byteLength(value) };
}
