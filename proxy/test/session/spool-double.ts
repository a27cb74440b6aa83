import type { Intent, Recorder } from "../../src/audit/index.ts";
import { ProxyError } from "../../src/errors.ts";

export interface Entry {
  readonly kind: string;
  readonly [member: string]: unknown;
}

/** What an entry may have, less what every entry has in front. */
const ROOM = 65_535 - 400;

interface Open extends Intent {
  readonly id: number;
  readonly kind: string;
  readonly members: string;
  readonly lazy: boolean;
}

/**
 * A recorder that keeps its entries in memory, becomes durable when it is told, and holds its user to the rules: every
 * intent ends exactly once, every entry is JSON that fits, nothing comes after the stop.
 */
export class SpoolDouble {
  readonly entries: Entry[] = [];
  /** How each intent ended, in order: `operation outcome`, or `operation dropped`. */
  readonly ends: string[] = [];
  readonly open: Set<Open> = new Set<Open>();
  state: Recorder["state"] = "open";
  full = false;
  stopped = false;
  position = 0;
  durable = 0;
  /** Everything is durable at once. */
  instant = true;
  #ids = 0;
  #waiting: { position: number; then: () => void }[] = [];

  /** As the part of the proxy that is tested sees it. */
  get recorder(): Recorder {
    return this as unknown as Recorder;
  }

  intend(kind: string, members: string, _disclosures: readonly Uint8Array[], lazy = false): Intent {
    if (this.stopped) throw new Error("an intent after the stop");
    if (this.full) throw new ProxyError("spool_full", "full");
    check(members);
    const intent: Open = { id: ++this.#ids, kind, members, lazy, position: lazy ? Infinity : this.#next() };
    this.open.add(intent);
    return intent;
  }

  complete(intent: Intent, members: string, _disclosures: readonly Uint8Array[]): number {
    const known = this.#end(intent);
    if (this.stopped) return 0;
    this.#entry(known.kind, `${known.members},${members}`);
    this.ends.push(`${this.entries.at(-1)!.operation} ${this.entries.at(-1)!.outcome}`);
    return this.#next();
  }

  source = "test.example/source";
  epoch = 1;

  get written(): { seq: number; leaf: string } {
    return { seq: this.entries.length - 1, leaf: "" };
  }

  /** Names the entry by its operation, which tells more to a test than a hash. */
  receipt(seq: number): string {
    return `${seq} ${this.entries[seq]!.operation} ${this.entries[seq]!.outcome}`;
  }

  drop(intent: Intent): void {
    const { members } = this.#end(intent);
    this.ends.push(`${JSON.parse(`{${members}}`).operation} dropped`);
  }

  record(kind: string, members: string, _disclosures: readonly Uint8Array[]): number {
    if (this.stopped) throw new Error(`the entry ${kind} came after the recorder was stopped`);
    this.#entry(kind, members);
    return this.#next();
  }

  isDurable(position: number): boolean {
    return position <= this.durable;
  }

  whenDurable(position: number, then: () => void): void {
    if (this.isDurable(position)) then();
    else this.#waiting.push({ position, then });
  }

  /** The disk did its work. */
  sync(through: number = this.position): void {
    this.durable = Math.max(this.durable, through);
    const ready = this.#waiting.filter(({ position }) => position <= this.durable);
    this.#waiting = this.#waiting.filter(({ position }) => position > this.durable);
    for (const { then } of ready) then();
  }

  statements(): Entry[] {
    return this.entries.filter(({ kind }) => kind === "statement");
  }

  /** Operation, outcome and SQLSTATE of the statements, in order. */
  told(): string[] {
    return this.statements().map(({ operation, outcome, sqlstate }) =>
      [operation, outcome, ...(sqlstate === undefined ? [] : [sqlstate])].join(" "),
    );
  }

  #next(): number {
    this.position += 1;
    if (this.instant) this.durable = this.position;
    return this.position;
  }

  #end(intent: Intent): Open {
    const known = intent as Open;
    if (!this.open.delete(known)) throw new Error("an intent was ended twice");
    return known;
  }

  #entry(kind: string, members: string): void {
    check(members);
    this.entries.push({ kind, ...JSON.parse(`{${members}}`) });
  }
}

function check(members: string): void {
  if (Buffer.byteLength(members) > ROOM) throw new Error(`an entry of ${Buffer.byteLength(members)} bytes`);
  const text = `{${members}}`;
  if (JSON.stringify(JSON.parse(text)) !== text) throw new Error(`not in compact form: ${text}`);
}
