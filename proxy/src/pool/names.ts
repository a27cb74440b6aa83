import type { Answers, Prepared, Undo } from "./answers.ts";
import { closeStatement, parseMessage } from "./rewrite.ts";
import type { PreparedText, Shelf, Standing } from "./shelf.ts";

/** What is kept of texts for one server connection. A large one makes room for itself. */
const SHELF_BYTES = 16 << 20;
const LARGE_BYTES = 1 << 16;

/** A change of the unnamed statement: how it is taken back, and what its answer makes of it. */
export interface UnnamedChange {
  readonly undo: Undo;
  readonly done: Undo;
  readonly failed: Undo;
}

/** A name of the session's, and whether the server has answered that it is so. */
interface Entry {
  readonly prepared: Prepared;
  readonly segment: number;
  confirmed: boolean;
}

/**
 * The prepared statements of one session, which believes them to be on its server connection, and those of the
 * connection it is on. Beliefs run ahead of the answers: each message says how to take back what it changed. What an
 * earlier segment, still unanswered, may not have done is not built upon (`uncertain`): an error there skips it.
 */
export class Names {
  readonly #answers: Answers;
  readonly #send: (message: Buffer) => void;
  readonly #names: Map<string, Entry> = new Map();
  /** Names that were closed in a segment that is not answered. */
  readonly #closed: Map<string, number> = new Map();
  #unnamed: Prepared | undefined;
  /** The same, and whose the server's is, as of the last answer; meant only while there are changes. */
  #confirmed: { prepared: Prepared | undefined; owner: object | undefined } = { prepared: undefined, owner: undefined };
  /** What was sent since and may change them. */
  readonly #changes: {
    readonly prepared: Prepared | undefined;
    readonly owner: object | undefined;
    readonly segment: number;
  }[] = [];
  /** Grows with each Sync. */
  segment = 0;

  constructor(answers: Answers, send: (message: Buffer) => void) {
    this.#answers = answers;
    this.#send = send;
  }

  get size(): number {
    return this.#names.size;
  }

  get(name: string): Prepared | undefined {
    return name === "" ? this.#unnamed : this.#names.get(name)?.prepared;
  }

  /** Whether it is known only when what was sent is answered what this name stands for. */
  uncertain(name: string): boolean {
    if (name === "") return (this.#changes.at(-1)?.segment ?? this.segment) !== this.segment;
    const entry = this.#names.get(name);
    const closed = this.#closed.get(name);
    return isPending(entry, this.segment) || (closed !== undefined && closed !== this.segment);
  }

  /** The same of a statement on the server. */
  uncertainOn(shelf: Shelf, text: PreparedText): boolean {
    if (isPending(shelf.named.get(text), this.segment)) return true;
    for (const one of shelf.closing) if (one.text === text && one.segment !== this.segment) return true;
    return false;
  }

  /** A Parse of the unnamed statement was sent. */
  setUnnamed(shelf: Shelf, prepared: Prepared): UnnamedChange {
    return this.#changeUnnamed(shelf, prepared, prepared);
  }

  /** A simple Query was sent: it makes the server forget the unnamed statement. */
  dropUnnamed(shelf: Shelf): UnnamedChange {
    return this.#changeUnnamed(shelf, undefined, undefined);
  }

  /** The session closed its unnamed statement, which the server keeps. */
  closeUnnamed(shelf: Shelf): UnnamedChange {
    return this.#changeUnnamed(shelf, undefined, shelf.unnamed);
  }

  /** What holds is the last change that was not taken back, else what the server has confirmed. */
  #changeUnnamed(shelf: Shelf, prepared: Prepared | undefined, owner: object | undefined): UnnamedChange {
    if (this.#changes.length === 0) this.#confirmed = { prepared: this.#unnamed, owner: shelf.unnamed };
    const change = { prepared, owner, segment: this.segment };
    this.#changes.push(change);
    const hold = (): void => {
      const now = this.#changes.at(-1) ?? this.#confirmed;
      this.#unnamed = now.prepared;
      shelf.unnamed = now.owner;
    };
    const settle = (confirmed: { prepared: Prepared | undefined; owner: object | undefined }): void => {
      const at = this.#changes.indexOf(change);
      if (at < 0) return;
      this.#confirmed = confirmed;
      this.#changes.splice(0, at + 1);
      hold();
    };
    hold();
    return {
      undo: () => {
        const at = this.#changes.indexOf(change);
        if (at >= 0) this.#changes.splice(at, 1);
        hold();
      },
      done: () => settle(change),
      // PostgreSQL forgets the old one before it looks at the new one.
      failed: () => settle({ prepared: undefined, owner: undefined }),
    };
  }

  set(name: string, prepared: Prepared): { readonly undo: Undo; readonly done: Undo } {
    const entry: Entry = { prepared, segment: this.segment, confirmed: false };
    this.#names.set(name, entry);
    return {
      undo: () => {
        if (this.#names.get(name) === entry) this.#names.delete(name);
      },
      done: () => {
        entry.confirmed = true;
      },
    };
  }

  /**
   * A Parse of a name that was there has replaced it: the server had lost it behind our back. What is there now by the
   * name of the old text is not that text, and nobody else's.
   */
  replaced(shelf: Shelf, name: string, old: PreparedText, prepared: Prepared): void {
    shelf.named.delete(old);
    shelf.stale.push(old);
    this.set(name, prepared).done();
  }

  delete(name: string): { readonly undo: Undo; readonly done: Undo } {
    const entry = this.#names.get(name)!;
    this.#names.delete(name);
    const { segment } = this;
    this.#closed.set(name, segment);
    const settled = (): void => {
      if (this.#closed.get(name) === segment) this.#closed.delete(name);
    };
    return {
      undo: () => {
        settled();
        if (!this.#names.has(name)) this.#names.set(name, entry);
      },
      done: settled,
    };
  }

  /** DEALLOCATE ALL, DISCARD ALL: told when the server did it, so what was sent behind it stays. */
  clear(shelf: Shelf): void {
    for (const [name, { confirmed }] of this.#names) if (confirmed) this.#names.delete(name);
    shelf.clear();
  }

  /** Parses it on the server unless it is there. */
  place(shelf: Shelf, text: PreparedText, limit: number, name: string): void {
    const there = shelf.named.get(text);
    if (there !== undefined) {
      // The least recently used one is the first.
      shelf.named.delete(text);
      shelf.named.set(text, there);
      return;
    }
    this.makeRoom(shelf, limit, text);
    this.#send(parseMessage(text.serverName, text.body));
    const { undo, done } = this.shelve(shelf, text);
    this.#answers.push({ kind: "parse", way: "hidden", undo, done, failed: undo, text, name });
  }

  /** A Parse of it is on its way to the server. */
  shelve(shelf: Shelf, text: PreparedText): { readonly undo: Undo; readonly done: Undo } {
    const entry: Standing = { segment: this.segment, confirmed: false };
    shelf.named.set(text, entry);
    return {
      undo: () => {
        if (shelf.named.get(text) === entry) shelf.named.delete(text);
      },
      done: () => {
        entry.confirmed = true;
      },
    };
  }

  /** Closes what was used least recently, so that one more has room. */
  makeRoom(shelf: Shelf, limit: number, more: PreparedText): void {
    for (const stale of shelf.stale.splice(0)) this.#close(shelf, stale, undefined);
    let bytes = more.body.length;
    // Small ones are not worth counting: as many as are kept fit.
    if (bytes > LARGE_BYTES) for (const { body } of shelf.named.keys()) bytes += body.length;
    for (const [text, entry] of shelf.named) {
      if ((shelf.named.size < limit && bytes <= SHELF_BYTES) || !entry.confirmed) return;
      bytes -= text.body.length;
      shelf.named.delete(text);
      this.#close(shelf, text, entry);
    }
  }

  /** Has the server forget one that it has, so that it looks at the text again. */
  evict(shelf: Shelf, text: PreparedText): void {
    const entry = shelf.named.get(text);
    if (entry === undefined) return;
    shelf.named.delete(text);
    this.#close(shelf, text, entry);
  }

  /** Makes the server's unnamed statement the session's. */
  placeUnnamed(shelf: Shelf): void {
    const wanted = this.#unnamed;
    if (shelf.unnamed === wanted) return;
    const change = this.#changeUnnamed(shelf, wanted, wanted);
    this.#send(wanted === undefined ? closeStatement("") : parseMessage("", wanted.body));
    const kind = wanted === undefined ? "close" : "parse";
    const failed = (): void => {
      // The session has it still, and hears the same when it asks again; the server has none.
      change.undo();
      this.#confirmed = { ...this.#confirmed, owner: undefined };
      if (this.#changes.length === 0) shelf.unnamed = undefined;
    };
    this.#answers.push({ kind, way: "hidden", ...change, failed, text: undefined, name: "" });
  }

  /** The connection is given back: what is kept must not keep the chunk alive that it came in. */
  detach(): void {
    const prepared = this.#unnamed;
    if (prepared !== undefined && prepared.body.buffer.byteLength > 2 * prepared.body.length) {
      prepared.body = Buffer.from(prepared.body);
    }
  }

  #close(shelf: Shelf, text: PreparedText, standing: Standing | undefined): void {
    this.#send(closeStatement(text.serverName));
    const closing = { text, standing, segment: this.segment };
    shelf.closing.add(closing);
    const done = (): void => {
      shelf.closing.delete(closing);
    };
    const undo = (): void => {
      // What the server has forgotten meanwhile does not come back.
      if (!shelf.closing.delete(closing)) return;
      if (standing === undefined) shelf.stale.push(text);
      else shelf.named.set(text, standing);
    };
    this.#answers.push({ kind: "close", way: "hidden", undo, done, text: undefined, name: "" });
  }
}

function isPending(entry: { segment: number; confirmed: boolean } | undefined, segment: number): boolean {
  return entry !== undefined && !entry.confirmed && entry.segment !== segment;
}
