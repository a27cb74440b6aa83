/** The entries of one epoch: their common members, their chain, and what a seal says of them. Keeps nothing on disk. */
import { Chain } from "./chain.ts";
import { formatTimestamp, nowMicros } from "./clock.ts";
import type { SigningKey } from "./keys.ts";
import { isRelaxed, type RecorderOptions, sealsOf } from "./options.ts";
import { RecentChain } from "./recent-chain.ts";
import type { RecordBuffer } from "./record.ts";
import {
  KIND_CODES,
  KIND_KEY,
  KIND_REFUSED,
  KIND_SESSION,
  KIND_STATEMENT,
  KIND_STOP,
  type SpoolHead,
} from "./state.ts";

export class Epoch {
  readonly number: number;
  #key: SigningKey;
  #nextKey: SigningKey | undefined;
  readonly #chain = new Chain();
  readonly recent: RecentChain;
  readonly #prefixes = new Map<string, string>();
  #next = 0;
  #leaf = "";
  #clean = false;
  #sessions = 0;
  #statements = 0;
  #refused = 0;

  constructor(key: SigningKey, number: number) {
    this.#key = key;
    this.number = number;
    this.recent = new RecentChain(number);
  }

  /** How many entries it has. */
  get next(): number {
    return this.#next;
  }

  /** The leaf hash of the last one, as a latin1 string. */
  get leaf(): string {
    return this.#leaf;
  }

  /**
   * Adds an entry.
   * @param into where it is written
   * @param members JSON text of the members after the common six, without braces
   * @param intent the intent that it ends, 0 if none
   * @throws Error when the entry is too long; nothing was added then
   */
  write(into: RecordBuffer, kind: string, members: string, disclosures: readonly Uint8Array[], intent: number): void {
    const code = KIND_CODES[kind] ?? 0;
    const micros = nowMicros();
    const text = `${this.#prefix(kind)}${this.#next},"time":"${formatTimestamp(micros)}",${members}}`;
    this.#leaf = into.entry(this.number, this.#next, intent, micros, code, text, disclosures);
    this.#chain.add(this.#leaf);
    this.recent.add(this.#chain);
    this.#next += 1;
    this.#clean = code === KIND_STOP;
    if (code === KIND_STATEMENT) this.#statements += 1;
    else if (code === KIND_SESSION) this.#sessions += 1;
    else if (code === KIND_REFUSED) this.#refused += 1;
    else if (code === KIND_KEY) this.#key = this.#nextKey!;
  }

  /** The members of the `source.key` that has to come next, and brings `next` into force (spec/entry.md). */
  keyMembers(next: SigningKey): string {
    const old = this.#key;
    const text = `vitrine/source-key/v1\n${old.name}\n${this.number}\n${this.#next}\n${old.vkey}\n${next.vkey}\n`;
    this.#nextKey = next;
    const proof = `${text}\n${old.signature(text)}${next.signature(text)}`;
    return `"vkey":${JSON.stringify(next.vkey)},"proof":${JSON.stringify(proof)}`;
  }

  /** The `seal` member of the entry that comes next, which has that kind (spec/submission.md, seal). */
  seal(kind: "source.seal" | "source.stop"): string {
    const { name } = this.#key;
    const note = this.#key.note(
      `vitrine/${kind === "source.stop" ? "stop" : "seal"}/v1\n${name}\n${this.number}\n${this.#next}\n${this.#chain.value}\n` +
        `sessions ${this.#sessions}\nstatements ${this.#statements}\nrefused ${this.#refused}\n`,
    );
    return `"seal":${JSON.stringify(note)}`;
  }

  /** Where the spool stands with the entries so far. */
  head({ acknowledged, nextId }: Pick<SpoolHead, "acknowledged" | "nextId">): SpoolHead {
    return {
      vkey: this.#key.vkey,
      epoch: this.number,
      next: this.#next,
      chain: this.#chain.value,
      clean: this.#clean,
      lost: false,
      sessions: this.#sessions,
      statements: this.#statements,
      refused: this.#refused,
      acknowledged,
      nextId,
    };
  }

  #prefix(kind: string): string {
    let prefix = this.#prefixes.get(kind);
    if (prefix === undefined) {
      const source = JSON.stringify(this.#key.name);
      prefix = `{"v":1,"kind":${JSON.stringify(kind)},"source":${source},"epoch":${this.number},"seq":`;
      this.#prefixes.set(kind, prefix);
    }
    return prefix;
  }
}

/** The members of `source.start` (spec/entry.md) of the epoch that follows on `previous`. */
export function startMembers(options: RecorderOptions, key: SigningKey, previous: SpoolHead): string {
  const { software, configDigest, durability } = options;
  const { everyEntries, everyMs, idleMs } = sealsOf(options);
  const { epoch, next, chain, clean, lost } = previous;
  const json = JSON.stringify({
    vkey: key.vkey,
    software: { name: software.name, version: software.version },
    config: configDigest,
    durability: {
      reads: durability.reads,
      others: durability.others,
      window_ms: isRelaxed(options) ? durability.windowMs : 0,
    },
    seals: { every_entries: everyEntries, every_ms: everyMs, idle_ms: idleMs },
    previous: epoch === 0 ? null : { epoch, next, chain, clean, spool: lost ? "lost" : "kept" },
  });
  return json.slice(1, -1);
}
