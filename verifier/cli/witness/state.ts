import { createHash } from "node:crypto";
import { VerifierError } from "../../src/errors.ts";
import { parseTreeHead } from "../../src/formats/checkpoint.ts";
import type { CosignerKey } from "../../src/formats/key.ts";
import { parseNote } from "../../src/formats/note.ts";
import { decodeUtf8, parseDecimal } from "../../src/formats/text.ts";
import { printable } from "../printable.ts";
import type { WitnessHooks } from "./hooks.ts";
import { Journal } from "./journal.ts";

/** A checkpoint that the witness cosigned, or is about to. */
export type Head = {
  readonly size: number;
  /** 32 bytes. */
  readonly root: Uint8Array;
  /** Of the cosignature, seconds since 1970. */
  readonly time: number;
  /** The checkpoint's text, with its final newline. */
  readonly text: string;
  /** The lines of the log that were verified, each with its newline; no others are ever kept. */
  readonly logLines: string;
  /** The line of the witness, once it was needed: it is the same whenever it is made. */
  line?: string;
};

/** What the witness knows of one log. */
export class LogState {
  readonly origin: string;
  /** The one that the next is held against; it may not be durable yet. */
  latest: Head | undefined;
  /** The latest one that is durable: the only one that anybody is told of. */
  durable: Head | undefined;
  /** Settles when `latest` is durable. */
  settled: Promise<void> = Promise.resolve();

  constructor(origin: string) {
    this.origin = origin;
  }
}

const format = "vitrine/witness-state/v1";
const defaultCompactAt = 1024 * 1024;

/** @returns lower-case hex of the origin's SHA-256, by which logs are asked for (C2SP tlog-witness). */
export function originHash(origin: string): string {
  return createHash("sha256").update(origin).digest("hex");
}

/** The latest cosigned checkpoint of every log that ever was, kept in one file (spec/witness.md, state). */
export class WitnessState {
  readonly #logs = new Map<string, LogState>();
  readonly #byHash = new Map<string, LogState>();
  readonly #vkey: CosignerKey;
  #journal: Journal | undefined;

  private constructor(vkey: CosignerKey) {
    this.#vkey = vkey;
  }

  /**
   * Reads the file.
   * @returns undefined when there is none
   * @throws VerifierError `state_corrupt`, `usage`
   */
  static async open(
    path: string,
    vkey: CosignerKey,
    hooks: WitnessHooks,
    compactAt: number = defaultCompactAt,
  ): Promise<WitnessState | undefined> {
    const state = new WitnessState(vkey);
    const options = { path, hooks, compactAt, snapshot: () => state.#snapshot() };
    const opened = await Journal.open(options);
    if (opened === undefined) return undefined;
    state.#journal = opened.journal;
    try {
      const [first, ...rest] = opened.payloads;
      const [kind, owner] = (decodeUtf8(first ?? Buffer.alloc(0)) ?? "").split("\n");
      if (kind !== format) throw corrupt(path, "it is not the state of a witness, or of another version");
      if (owner !== vkey.text)
        throw corrupt(path, `it belongs to the key ${printable(owner ?? "")}, not ${printable(vkey.text)}`);
      for (const payload of rest) state.#recover(payload, path);
    } catch (error) {
      await opened.journal.close();
      throw error;
    }
    return state;
  }

  /**
   * Makes the file of a witness that has cosigned nothing.
   * @throws an error of the system
   */
  static async create(
    path: string,
    vkey: CosignerKey,
    hooks: WitnessHooks,
    compactAt: number = defaultCompactAt,
  ): Promise<WitnessState> {
    const state = new WitnessState(vkey);
    const options = { path, hooks, compactAt, snapshot: () => state.#snapshot() };
    state.#journal = await Journal.create(options);
    return state;
  }

  /**
   * @returns how many records of a checkpoint a file has, whosever it is; 0 when there is none
   * @throws VerifierError `state_corrupt`, `usage`
   */
  static async cosignedCount(path: string, hooks: WitnessHooks): Promise<number> {
    const opened = await Journal.open({ path, hooks, compactAt: 0, snapshot: () => [] });
    await opened?.journal.close();
    return Math.max(0, (opened?.payloads.length ?? 0) - 1);
  }

  get journal(): Journal {
    return this.#journal!;
  }

  /** Every log of which a checkpoint is durable. */
  get logs(): Iterable<LogState> {
    return this.#byHash.values();
  }

  /** @returns what is known of a log; of one that is not known yet, that there is nothing */
  log(origin: string): LogState {
    let log = this.#logs.get(origin);
    if (log === undefined) {
      log = new LogState(origin);
      this.#logs.set(origin, log);
    }
    return log;
  }

  /** @param hash as {@link originHash} gives it */
  logByHash(hash: string): LogState | undefined {
    return this.#byHash.get(hash);
  }

  /**
   * Makes this the log's latest checkpoint. Whoever calls has just held it against the latest, with nothing awaited
   * between: so of two that build on the same one, one comes second and sees the other.
   * @returns when it is durable
   */
  advance(log: LogState, head: Head): Promise<void> {
    log.latest = head;
    log.settled = new Promise((resolve) => {
      this.journal.append(encodeHead(head), () => {
        this.#settle(log, head);
        resolve();
      });
    });
    return log.settled;
  }

  *#snapshot(): Iterable<Buffer> {
    yield Buffer.from(`${format}\n${this.#vkey.text}\n`);
    for (const { durable } of this.#byHash.values()) if (durable !== undefined) yield encodeHead(durable);
  }

  #recover(payload: Buffer, path: string): void {
    const { origin, head } = decodeHead(payload, path);
    const log = this.log(origin);
    if (log.durable !== undefined && head.size < log.durable.size) {
      throw corrupt(path, `the tree of ${printable(origin)} becomes smaller in it`);
    }
    log.latest = head;
    this.#settle(log, head);
  }

  #settle(log: LogState, head: Head): void {
    if (log.durable === undefined) this.#byHash.set(originHash(log.origin), log);
    log.durable = head;
  }
}

function encodeHead({ time, text, logLines }: Head): Buffer {
  return Buffer.from(`time ${time}\n${text}\n${logLines}`);
}

function decodeHead(payload: Buffer, path: string): { origin: string; head: Head } {
  const cut = payload.indexOf(10);
  const line = payload.toString("latin1", 0, cut);
  const time = line.startsWith("time ") ? parseDecimal(line.slice("time ".length)) : undefined;
  if (time === undefined) throw corrupt(path, "a record has no time");
  try {
    const note = parseNote(payload.subarray(cut + 1));
    const { origin, size, root } = parseTreeHead(note.text);
    const logLines = payload.toString("utf8").slice(line.length + 1 + note.text.length + 1);
    return { origin, head: { size, root, time, text: note.text, logLines } };
  } catch (error) {
    if (!(error instanceof VerifierError)) throw error;
    throw corrupt(path, `a record holds no checkpoint: ${error.message}`);
  }
}

function corrupt(path: string, why: string): VerifierError {
  return new VerifierError("state_corrupt", `the state ${printable(path)} cannot be used: ${why}`);
}
