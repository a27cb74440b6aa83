/** The acts that were announced and whose outcome is not known yet. */
import { ProxyError } from "../errors.ts";
import type { Placed } from "./group-commit.ts";
import { disclosuresLength } from "./record.ts";

/** UTF-8 bytes that the members of an intent may have; the rest of an entry is for its outcome and the common members. */
export const MAX_INTENT_BYTES: number = 60 * 1024;
/** What an intent may have with its disclosures: a submission of 16 MiB is what every log takes (spec/submission.md). */
export const MAX_DISCLOSED_BYTES: number = 15 * 1024 * 1024;
/** What an intent is expected to grow by when it becomes an entry. */
const OUTCOME_BYTES = 1024;

/** An intended act whose outcome is not known yet. */
export interface Intent {
  /** For `Recorder.whenDurable`. Infinity for a lazy intent that was not written yet. */
  readonly position: number;
}

export class OpenIntent implements Intent, Placed {
  readonly id: number;
  readonly kind: string;
  readonly members: string;
  readonly disclosures: readonly Uint8Array[];
  /** What it may need in the spool once more, as an entry. */
  readonly reserved: number;
  position: number = Number.POSITIVE_INFINITY;
  segment: number = Number.POSITIVE_INFINITY;
  /** Its neighbours among the open ones. */
  before: OpenIntent | undefined;
  after: OpenIntent | undefined;
  isOpen = true;

  constructor(id: number, kind: string, members: string, disclosures: readonly Uint8Array[]) {
    this.id = id;
    this.kind = kind;
    this.members = members;
    this.disclosures = disclosures;
    this.reserved = members.length + disclosuresLength(disclosures) + OUTCOME_BYTES;
  }

  /** Whether the spool knows of it, or will with the next batch. */
  get written(): boolean {
    return this.position !== Number.POSITIVE_INFINITY;
  }
}

/**
 * Those that are open are linked with each other in their order, and one that is closed keeps no link. A Set would do,
 * but each table that it outgrows refers to the next one: once one of them is old, all that ever stood in those behind it
 * counts as alive until the collector looks at everything, which costs more than the statement itself.
 */
export class Intents {
  #first: OpenIntent | undefined;
  #last: OpenIntent | undefined;
  #count = 0;
  readonly #lazyMs: number;
  readonly #write: (intent: OpenIntent) => number;
  readonly #onLazy: () => void;
  #timer: NodeJS.Timeout | undefined;
  #nextId: number;
  #reserved = 0;

  /**
   * @param lazyMs how long a lazy intent may stay unwritten
   * @param write writes one and says its position
   * @param onLazy after lazy ones were written
   */
  constructor(nextId: number, lazyMs: number, write: (intent: OpenIntent) => number, onLazy: () => void) {
    this.#nextId = nextId;
    this.#lazyMs = lazyMs;
    this.#write = write;
    this.#onLazy = onLazy;
  }

  get nextId(): number {
    return this.#nextId;
  }

  get count(): number {
    return this.#count;
  }

  /** Bytes that the open ones may still need in the spool. */
  get reserved(): number {
    return this.#reserved;
  }

  /** @throws ProxyError `statement_too_large` */
  open(kind: string, members: string, disclosures: readonly Uint8Array[], lazy: boolean): OpenIntent {
    if (members.length * 3 > MAX_INTENT_BYTES && Buffer.byteLength(members) > MAX_INTENT_BYTES)
      throw tooLarge(kind, "members", MAX_INTENT_BYTES);
    const intent = new OpenIntent(this.#nextId, kind, members, disclosures);
    if (intent.reserved > MAX_DISCLOSED_BYTES) throw tooLarge(kind, "disclosures", MAX_DISCLOSED_BYTES);
    this.#nextId += 1;
    this.#link(intent);
    this.#reserved += intent.reserved;
    if (lazy) this.#timer ??= setTimeout(() => this.writeLazy(), this.#lazyMs);
    else intent.position = this.#write(intent);
    return intent;
  }

  close(intent: OpenIntent): void {
    if (!intent.isOpen) throw new Error("an intent was ended twice");
    this.#unlink(intent);
    this.#reserved -= intent.reserved;
  }

  /** Writes the lazy ones that are still open. */
  writeLazy(): void {
    this.stop();
    let wrote = false;
    for (let intent = this.#first; intent !== undefined; intent = intent.after) {
      if (intent.written) continue;
      intent.position = this.#write(intent);
      wrote = true;
    }
    if (wrote) this.#onLazy();
  }

  /** Writes those that stand in this segment, or an older one, once more. */
  carryFrom(segment: number): void {
    for (let intent = this.#first; intent !== undefined; intent = intent.after)
      if (intent.segment <= segment) this.#write(intent);
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #link(intent: OpenIntent): void {
    intent.before = this.#last;
    if (this.#last === undefined) this.#first = intent;
    else this.#last.after = intent;
    this.#last = intent;
    this.#count += 1;
  }

  #unlink(intent: OpenIntent): void {
    const { before, after } = intent;
    if (before === undefined) this.#first = after;
    else before.after = after;
    if (after === undefined) this.#last = before;
    else after.before = before;
    intent.before = undefined;
    intent.after = undefined;
    intent.isOpen = false;
    this.#count -= 1;
  }
}

function tooLarge(kind: string, what: string, limit: number): ProxyError {
  return new ProxyError("statement_too_large", `the ${what} of one ${kind} have more than ${limit} bytes together`);
}
