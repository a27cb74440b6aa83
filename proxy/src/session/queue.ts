import type { Decision } from "../access/index.ts";
import type { Shown } from "../receipts/index.ts";
import type { Announced, Execution, Portal, Prepared } from "./execution.ts";

/**
 * A frontend message whose answer is still to come. With a `denial`, the server was sent a message in its place that it
 * rejects.
 */
export type Pending =
  | {
      readonly kind: "query";
      readonly text: Buffer;
      readonly executions: Execution[];
      /** The statement that the server is at. */
      next: number;
      failed: boolean;
      /** It was answered, if only that the text is empty. */
      begun?: true;
      /**
       * Copy data, or its end, was sent behind it. Bytes of what came before the server was seen to enter COPY, one number
       * for each COPY of the text.
       */
      copied?: number[];
      readonly wait: number;
      readonly unsettles: boolean;
      readonly denial?: Decision;
      /** The proxy itself answers it, and the server's EmptyQueryResponse stands for the answer. */
      readonly shown?: Shown;
    }
  | { readonly kind: "parse"; readonly name: string; readonly prepared: Prepared; readonly denial?: Decision }
  | {
      readonly kind: "bind";
      readonly name: string;
      readonly statement: string;
      readonly portal: Portal;
      readonly announced: Announced | undefined;
      readonly wait: number;
    }
  | { readonly kind: "describe"; readonly what: "statement" | "portal"; readonly name: string }
  | { readonly kind: "close"; readonly what: "statement" | "portal"; readonly name: string }
  | {
      readonly kind: "execute";
      readonly name: string;
      /** The one that the client believes to begin, or to carry on. */
      execution: Execution;
      /** It was suspended when this Execute was sent. */
      readonly carriedOn: boolean;
      /** It was announced by the Bind, and is the portal's until this is answered. */
      readonly announced?: Announced | undefined;
      resolved: boolean;
      copied?: number[];
      readonly size: number;
      readonly wait: number;
      readonly unsettles: boolean;
      readonly denial?: Decision;
    }
  | {
      readonly kind: "function";
      readonly execution: Execution;
      /** Its end is recorded; only ReadyForQuery is missing. */
      answered: boolean;
      failed: boolean;
      readonly wait: number;
      readonly unsettles: boolean;
      readonly denial?: Decision;
    }
  | { readonly kind: "sync"; failed: boolean }
  /** The proxy itself answers it, in the place of the server's CloseComplete. */
  | { readonly kind: "shown"; readonly answer: () => Buffer }
  /** CopyDone or CopyFail sent before the server was seen to enter COPY; it has no answer of its own. */
  | { readonly kind: "copy-end" };

/** First in, first out; the answers come in the order of the questions. */
export class Queue {
  #items: Pending[] = [];
  #at = 0;
  #unsettling = 0;
  #executing = 0;
  /** What copy data that is sent now is for. */
  #copying: Pending | undefined;

  push(item: Pending): void {
    this.#items.push(item);
    this.#count(item, 1);
    if (item.kind === "query" || item.kind === "execute") this.#copying = item;
  }

  /** Copy data is sent. @param ahead bytes of it that the server was not seen to ask for yet */
  copied(ahead: number): void {
    if (this.#copying?.kind !== "query" && this.#copying?.kind !== "execute") return;
    this.#copying.copied ??= [];
    const { copied } = this.#copying;
    if (ahead > 0) copied.push((copied.pop() ?? 0) + ahead);
  }

  /** The end of copy data is sent. @param ahead the server was not seen to ask for it yet: what follows is another COPY's */
  copyEnded(ahead: boolean): void {
    this.copied(0);
    if (!ahead || this.empty) return;
    this.push({ kind: "copy-end" });
    if (this.#copying?.kind !== "query" && this.#copying?.kind !== "execute") return;
    const { copied } = this.#copying;
    if (copied?.length === 0) copied.push(0);
    copied?.push(0);
  }

  /** @returns how many bytes of copy data were sent ahead of the COPY that the head enters */
  entersCopy(): number {
    const { head } = this;
    return head?.kind === "query" || head?.kind === "execute" ? (head.copied?.shift() ?? 0) : 0;
  }

  /** How many messages that execute something are unanswered. */
  get executing(): number {
    return this.#executing;
  }

  /** Whether nothing unanswered can change the settings that texts are read by, or what a name stands for. */
  get settled(): boolean {
    return this.#unsettling === 0;
  }

  get head(): Pending | undefined {
    while (this.#items[this.#at]?.kind === "copy-end") this.#at += 1;
    return this.#items[this.#at];
  }

  get empty(): boolean {
    return this.head === undefined;
  }

  /** Everything that is unanswered, oldest first. */
  get unanswered(): readonly Pending[] {
    return this.#items.slice(this.#at);
  }

  shift(): void {
    const item = this.#items[this.#at];
    if (item !== undefined) this.#count(item, -1);
    this.#at += 1;
    if (this.#at === this.#items.length) {
      this.#items.length = 0;
      this.#at = 0;
    } else if (this.#at > 1024) {
      this.#items.splice(0, this.#at);
      this.#at = 0;
    }
  }

  /** Takes out the first message whose position is `held`, and everything behind it. */
  cut(held: (wait: number) => boolean): Pending[] {
    const from = this.#items.findIndex(
      (item, i) => i >= this.#at && "wait" in item && item.wait > 0 && held(item.wait),
    );
    if (from < 0) return [];
    const behind = this.#items.splice(from);
    for (const item of behind) this.#count(item, -1);
    return behind;
  }

  /**
   * The head entered COPY FROM STDIN. The server swallows the Syncs that were sent behind it, up to the end of the
   * copy data.
   * @returns how many, and whether that end was already sent
   */
  swallowSyncs(): { readonly syncs: number; readonly ended: boolean } {
    const from = this.#at + 1;
    let to = from;
    while (this.#items[to]?.kind === "sync") to += 1;
    const ended = this.#items[to]?.kind === "copy-end";
    this.#items.splice(from, to - from + (ended ? 1 : 0));
    return { syncs: to - from, ended };
  }

  /** The server did not come to these Syncs before the COPY failed: it will answer them. */
  giveBackSyncs(count: number): void {
    const syncs = Array.from({ length: count }, () => ({ kind: "sync" as const, failed: false }));
    this.#items.splice(this.#at + 1, 0, ...syncs);
  }

  #count(item: Pending, by: 1 | -1): void {
    if (item.kind === "bind" && item.announced !== undefined) this.#executing += by;
    if (item.kind !== "query" && item.kind !== "execute" && item.kind !== "function") return;
    if (item.kind !== "execute" || item.announced === undefined) this.#executing += by;
    if (item.unsettles) this.#unsettling += by;
  }
}

/** Its executions whose end the server has not told yet. */
export function unanswered(pending: Pending): readonly Execution[] {
  switch (pending.kind) {
    case "query":
      return pending.failed ? [] : pending.executions.slice(pending.next);
    case "function":
      return pending.answered ? [] : [pending.execution];
    case "execute":
      return [pending.execution];
    case "bind":
      return pending.announced === undefined ? [] : [pending.announced.execution];
    default:
      return [];
  }
}
