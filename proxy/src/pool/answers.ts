import type { Effects } from "./effects.ts";
import type { PreparedText } from "./shelf.ts";

/** A prepared statement of a session: what its name, or having none, stands for. */
export interface Prepared {
  /** Undefined for the unnamed statement, which each server connection has as it is. */
  readonly text: PreparedText | undefined;
  /** What stands behind the name in its Parse message. */
  body: Buffer;
  readonly effects: Effects;
  /** The statement's own text, latin1; only where it has effects. */
  readonly sql: string;
}

/** What a message changed in the belief about names, to be taken back when the server skips it. */
export type Undo = () => void;

/**
 * A message on its way to the server, or one that needs not go there, whose answer is still to come. `hidden`: the
 * client has not sent it and is not told of its answer. `own`: the server is not asked, the answer is ours.
 */
export type Asked =
  | {
      readonly kind: "query";
      /** For each statement in it; none where all are plain. */
      readonly effects: readonly Effects[];
      readonly texts: readonly string[];
      readonly undo: Undo;
      /** The server has come to it. */
      readonly done: Undo;
      /** It has answered with an error, and to no statement of it besides. */
      readonly failedAtOnce: Undo | undefined;
      next: number;
      failed: boolean;
      /** It was answered, if only that the text is empty. */
      begun?: true;
      /** Copy data, or its end, was sent behind it. */
      copied?: true;
    }
  | {
      readonly kind: "parse" | "close";
      readonly way: "sent" | "hidden" | "own";
      readonly undo: Undo | undefined;
      /** The server has answered that it did. */
      readonly done: Undo | undefined;
      /** It has answered with an error; `undo` when left out. */
      readonly failed?: Undo;
      /** In errors, its name on the server and the client's. */
      readonly text: PreparedText | undefined;
      readonly name: string;
    }
  | {
      readonly kind: "bind" | "describe";
      readonly text: PreparedText | undefined;
      readonly name: string;
      readonly undo: Undo | undefined;
    }
  | { readonly kind: "execute"; readonly effects: Effects; readonly sql: string; copied?: true }
  | { readonly kind: "function" }
  | { readonly kind: "sync" }
  /** The pool's own: when it is answered, so is everything before it. */
  | { readonly kind: "fence" }
  /** CopyDone or CopyFail sent before the server was seen to enter COPY; it has no answer of its own. */
  | { readonly kind: "copy-end" };

/** First in, first out. */
export class Answers {
  #items: Asked[] = [];
  #at = 0;
  /** What was answered, as long as it may have to be asked again. */
  #gone: Asked[] | undefined;
  #unended = false;
  /** What copy data that is sent now is for. */
  #copying: Asked | undefined;

  push(item: Asked): void {
    this.#items.push(item);
    if (item.kind === "query" || item.kind === "execute") this.#copying = item;
    if (item.kind === "sync" || item.kind === "query" || item.kind === "function") this.#unended = false;
    else if (isServed(item) && item.kind !== "fence") this.#unended = true;
  }

  /** Copy data, or its end, is sent. */
  copied(): void {
    if (this.#copying?.kind === "query" || this.#copying?.kind === "execute") this.#copying.copied = true;
  }

  /**
   * Whether the server was sent something behind the last message that a ReadyForQuery answers: all may be answered, and
   * the implicit transaction that it stands in is still open.
   */
  get unended(): boolean {
    return this.#unended;
  }

  get head(): Asked | undefined {
    while (this.#items[this.#at]?.kind === "copy-end") this.#at += 1;
    return this.#items[this.#at];
  }

  get empty(): boolean {
    return this.head === undefined;
  }

  /** Whether the server has something to answer. */
  get served(): boolean {
    return this.#items.slice(this.#at).some(isServed);
  }

  get size(): number {
    return this.#items.length - this.#at;
  }

  /** What was sent last, if it is unanswered. */
  get last(): Asked | undefined {
    return this.#at < this.#items.length ? this.#items.at(-1) : undefined;
  }

  shift(): void {
    this.#gone?.push(this.#items[this.#at]!);
    this.#at += 1;
    if (this.#at >= this.#items.length) {
      this.#items = [];
      this.#at = 0;
    } else if (this.#at > 1024) {
      this.#items.splice(0, this.#at);
      this.#at = 0;
    }
  }

  /** From here on what is answered is remembered, for `takeBack`. */
  remember(): void {
    this.#gone = [];
  }

  forget(): void {
    this.#gone = undefined;
  }

  /** Nothing that was asked since `remember` counts any more. @returns it, the last one first */
  takeBack(): readonly Asked[] {
    const all = [...(this.#gone ?? []), ...this.#items.slice(this.#at)].reverse();
    this.#items = [];
    this.#at = 0;
    this.#gone = [];
    this.#unended = false;
    return all;
  }

  /**
   * The server skips what stands before the next Sync.
   * @returns what it skips, the last one first; and whether that Sync was sent already
   */
  skip(): { readonly skipped: readonly Asked[]; readonly synced: boolean } {
    let to = this.#at;
    while (to < this.#items.length && this.#items[to]!.kind !== "sync") to += 1;
    const skipped = this.#items.splice(this.#at, to - this.#at).reverse();
    return { skipped, synced: this.#items.length > this.#at };
  }

  /**
   * The head entered COPY FROM STDIN: the server swallows the Syncs that were sent behind it, up to the end of the copy
   * data (section "COPY Operations").
   * @returns how many, and whether that end was already sent
   */
  swallowSyncs(): { readonly syncs: number; readonly ended: boolean } {
    const from = this.#at + 1;
    let to = from;
    while (this.#items[to]?.kind === "sync") to += 1;
    const ended = this.#items[to]?.kind === "copy-end";
    if (to > from && this.#items.length === to + (ended ? 1 : 0)) this.#unended = this.head?.kind !== "query";
    this.#items.splice(from, to - from + (ended ? 1 : 0));
    return { syncs: to - from, ended };
  }

  /** The server did not come to these Syncs before the COPY failed: it will answer them. */
  giveBackSyncs(count: number): void {
    if (count > 0 && this.#items.length === this.#at + 1) this.#unended = false;
    this.#items.splice(this.#at + 1, 0, ...Array.from({ length: count }, () => ({ kind: "sync" as const })));
  }
}

/** Whether its answer comes from the server. */
function isServed(item: Asked): boolean {
  return item.kind !== "copy-end" && !("way" in item && item.way === "own");
}
