import { ProxyError } from "../errors.ts";
import { encodingOf, type Statement } from "../statements/index.ts";
import { HEADER_BYTES } from "../wire/framer.ts";
import { parseBindNames, parseParse, parseQuery, parseTarget } from "../wire/frontend.ts";
import { BACKEND, FRONTEND } from "../wire/messages.ts";
import { frame } from "../wire/write.ts";
import type { Prepared } from "./answers.ts";
import { type Effects, effectsOf, PLAIN } from "./effects.ts";
import { Portals } from "./portals.ts";
import { bindHead, describeStatement, FLUSH, parseMessage } from "./rewrite.ts";
import type { PreparedText } from "./shelf.ts";
import type { TransactionLane } from "./transaction-lane.ts";
import { readyForQuery } from "./welcome.ts";

const NOTHING: Buffer = Buffer.alloc(0);
/** The names of a Bind end within so many bytes; PostgreSQL's own have 63. */
const NAMES_BYTES = 65_536;
/** Large objects are called by function number (fe-lobj.c): what they leave ends with the transaction. There is no 0. */
const LARGE_OBJECTS: ReadonlySet<number> = new Set([
  0, 715, 764, 767, 952, 953, 954, 955, 956, 957, 958, 964, 1004, 3170, 3171, 3172,
]);
const NO_CHANGE = { undo: undefined, done: undefined };
const NONE: readonly never[] = [];
/** It has to wait: for more of it, for a server connection, or for answers. */
const WAIT = -1;

/** Reads a client's messages: sends each on in the form that fits the server connection, and notes what it will answer. */
export class Asking {
  readonly #lane: TransactionLane;
  #rest: Buffer = NOTHING;
  /** Of a message that passes by in pieces: bytes still to come, and whether they go nowhere. */
  #passing = 0;
  #dropping = false;
  /** What is said when the message that goes nowhere has come to its end. */
  #after: (() => void) | undefined;
  /** What the next message is answered with. */
  #refusal: Buffer | undefined;
  readonly #portals: Portals = new Portals();
  #terminated = false;

  constructor(lane: TransactionLane) {
    this.#lane = lane;
  }

  /** Whether nothing stands between two messages, or waits. */
  get empty(): boolean {
    return this.#rest.length === 0 && this.#passing === 0;
  }

  /** Whether the server has been sent a part of a message, and waits for the rest of it. */
  get midway(): boolean {
    return this.#passing > 0 && !this.#dropping;
  }

  add(chunk: Buffer): void {
    this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
  }

  /** These bytes of the client's were taken before, and come once more. */
  rewind(bytes: Buffer): void {
    this.#rest = bytes;
    this.#passing = 0;
    this.#dropping = false;
    this.#after = undefined;
    this.#terminated = false;
    this.#portals.clear();
  }

  /** The message that comes next, which waits for a server connection, is answered with this error. */
  refuse(error: Buffer): void {
    this.#refusal = error;
  }

  /** The transaction is over, and all is answered: its portals are gone. */
  over(): void {
    this.#portals.clear();
  }

  /** Takes as many messages as it can. @throws ProxyError for what is not a message */
  run(): void {
    const bytes = this.#rest;
    let at = 0;
    while (at < bytes.length && !this.#terminated) {
      if (this.#passing > 0) {
        const n = Math.min(this.#passing, bytes.length - at);
        if (!this.#dropping) this.#lane.send(bytes.subarray(at, at + n));
        at += n;
        this.#passing -= n;
        if (this.#passing > 0) break;
        this.#passed();
        // It may not have been possible in the middle of the message.
        this.#lane.fence();
        if (this.#lane.waitsForAnswers) break;
        continue;
      }
      if (bytes.length - at < HEADER_BYTES) break;
      const size = 1 + bytes.readUInt32BE(at + 1);
      const taken = this.#take(bytes, at, bytes[at]!, size);
      if (taken === WAIT) break;
      at += taken;
    }
    this.#rest = at === bytes.length || this.#terminated ? NOTHING : bytes.subarray(at);
  }

  /** @returns how many bytes are done with, or WAIT; 0 where `#pass` says what becomes of the message */
  #take(bytes: Buffer, at: number, type: number, size: number): number {
    const lane = this.#lane;
    const whole = bytes.length - at >= size;
    switch (type) {
      case FRONTEND.terminate:
        this.#terminated = true;
        lane.terminated();
        return size;
      case FRONTEND.sync:
        return whole ? this.#sync(bytes.subarray(at, at + size)) : WAIT;
      case FRONTEND.copyData:
        lane.answers.copied();
        return this.#pass(size, lane.skipping || lane.server === undefined);
      case FRONTEND.copyDone:
      case FRONTEND.copyFail:
        lane.answers.copied();
        if (lane.copyIn) lane.copyIn = false;
        else if (!lane.answers.empty) lane.answers.push({ kind: "copy-end" });
        return this.#pass(size, lane.skipping || lane.server === undefined);
      default:
    }
    if (lane.skipping) return this.#pass(size, true);
    if (type === FRONTEND.flush) {
      if (whole && lane.server !== undefined) lane.send(bytes.subarray(at, at + size));
      return whole ? size : WAIT;
    }
    // The server does not read it: it says that it did not expect it, and ends.
    if (lane.copyIn) return this.#pass(size, false);
    if (this.#refusal !== undefined) return this.#refuseMessage(type, size);
    if (type === FRONTEND.bind ? !hasNames(bytes, at, size) : type !== FRONTEND.functionCall && !whole) return WAIT;
    if (type === FRONTEND.functionCall && bytes.length - at < HEADER_BYTES + 4) return WAIT;
    const message = bytes.subarray(at, Math.min(bytes.length, at + size));
    switch (type) {
      case FRONTEND.query:
        return this.#query(message);
      case FRONTEND.parse:
        return this.#parse(message);
      case FRONTEND.bind:
        return this.#bind(message, size);
      case FRONTEND.describe:
        return this.#describe(message);
      case FRONTEND.close:
        return this.#close(message);
      case FRONTEND.execute:
        return this.#execute(message);
      case FRONTEND.functionCall:
        return this.#functionCall(message, size);
      default:
        throw new ProxyError("protocol_violation", "a message that a pooled session cannot send");
    }
  }

  // --- one message each --------------------------------------------------------------------------------

  #sync(message: Buffer): number {
    const lane = this.#lane;
    if (lane.copyIn) {
      lane.swallowed += 1;
      lane.send(message);
      return message.length;
    }
    lane.skipping = false;
    lane.names.segment += 1;
    if (lane.server === undefined) {
      // Nobody was asked anything since the last one.
      lane.tell(readyForQuery("I"));
      return message.length;
    }
    lane.send(message);
    lane.answers.push({ kind: "sync" });
    return message.length;
  }

  #query(message: Buffer): number {
    const lane = this.#lane;
    const text = parseQuery(message);
    const statements = this.#analyze(text);
    const only = statements.length === 1 ? statements[0]! : undefined;
    const effect = only?.effect;
    const deallocated =
      effect?.kind === "deallocate" && effect.name !== undefined ? lane.names.get(latin1(effect.name)) : undefined;
    if (deallocated !== undefined && effect?.kind === "deallocate") {
      // What it names is not known to the server by that name.
      if (!this.#settled()) return WAIT;
      if (lane.status !== "E") {
        const { done } = lane.names.delete(latin1(effect.name!));
        done();
        lane.tell(frame(BACKEND.commandComplete, Buffer.from("DEALLOCATE\0")));
        lane.tell(readyForQuery(lane.status as "I" | "T"));
        return message.length;
      }
    }
    if (!lane.lease()) return WAIT;
    let plain = true;
    const effects = statements.map((statement) => {
      const found = effectsOf(statement);
      if (found !== PLAIN) plain = false;
      lane.state.sent(found);
      return found;
    });
    // It makes the server forget the unnamed statement.
    const { undo, done } = lane.names.dropUnnamed(lane.shelf);
    const restore = this.#portals.set("", undefined);
    if (lane.answers.unended) lane.mixed = true;
    lane.send(message);
    lane.answers.push({
      kind: "query",
      effects: plain ? NONE : effects,
      texts: plain ? NONE : statements.map((statement, i) => textOf(text, statement, effects[i]!)),
      undo: both(undo, restore),
      done,
      // It may have failed before the old unnamed portal was replaced.
      failedAtOnce: restore,
      next: 0,
      failed: false,
    });
    return message.length;
  }

  #parse(message: Buffer): number {
    const lane = this.#lane;
    const { name, text } = parseParse(message);
    const { names, answers } = lane;
    // Whatever the unnamed one was, it is replaced.
    if (name !== "" && names.uncertain(name)) return this.#unsettled();
    if (!lane.lease()) return WAIT;
    const { shelf } = lane;
    const body = message.subarray(HEADER_BYTES + name.length + 1);
    const statements = this.#analyze(text);
    const only = statements[0];
    const effects = only === undefined ? PLAIN : effectsOf(only);
    const sql = only === undefined ? "" : textOf(text, only, effects);
    if (name === "") {
      const prepared: Prepared = { text: undefined, body, effects, sql };
      const change = names.setUnnamed(shelf, prepared);
      lane.send(message);
      answers.push({ kind: "parse", way: "sent", ...change, text: undefined, name });
      return message.length;
    }
    // What stands before it may have the server forget the name, or read the text otherwise.
    if (lane.state.moving && !answers.empty) return this.#unsettled();
    const shared = lane.texts.of(body, lane.environment);
    const there = names.get(name);
    if (there?.text !== undefined) {
      // The server refuses to replace it (42P05), as long as it has it.
      const text = this.#place(name, there.text);
      if (text === "later" || text === undefined) return this.#unsettled();
      lane.send(parseMessage(text.serverName, body));
      const done = (): void => names.replaced(shelf, name, text, { text: shared, body: shared.body, effects, sql });
      answers.push({ kind: "parse", way: "sent", undo: undefined, done, text, name });
      return message.length;
    }
    if (names.uncertainOn(shelf, shared)) return this.#unsettled();
    const named = names.set(name, { text: shared, body: shared.body, effects, sql });
    // In a transaction that has failed, or may have by then, the server would refuse.
    if (lane.status !== "I" || !answers.empty) names.evict(shelf, shared);
    if (shelf.named.has(shared)) {
      answers.push({ kind: "parse", way: "own", ...named, text: shared, name });
      lane.settleOwn();
      return message.length;
    }
    names.makeRoom(shelf, lane.shelfSize, shared);
    const placed = names.shelve(shelf, shared);
    lane.send(parseMessage(shared.serverName, body));
    answers.push({
      kind: "parse",
      way: "sent",
      undo: both(named.undo, placed.undo),
      done: both(named.done, placed.done),
      text: shared,
      name,
    });
    return message.length;
  }

  #bind(message: Buffer, size: number): number {
    const lane = this.#lane;
    const { portal, statement, block } = parseBindNames(message);
    const { names } = lane;
    if (names.uncertain(statement)) return this.#unsettled();
    if (!lane.lease()) return WAIT;
    const prepared = names.get(statement);
    const text = this.#place(statement, prepared?.text);
    if (text === "later") return this.#unsettled();
    const plain = prepared === undefined || prepared.effects === PLAIN;
    if (!plain) lane.state.sent(prepared.effects);
    const undo = this.#portals.set(portal, plain ? undefined : prepared);
    lane.answers.push({ kind: "bind", text, name: statement, undo });
    if (text === undefined) return this.#pass(size, false);
    lane.send(bindHead(message, size, portal, text.serverName, block));
    this.#passing = size - block;
    return block;
  }

  #describe(message: Buffer): number {
    const lane = this.#lane;
    const { what, name } = parseTarget(message, "Describe");
    if (what === "portal") {
      if (!lane.lease()) return WAIT;
      lane.send(message);
      lane.answers.push({ kind: "describe", text: undefined, name, undo: undefined });
      return message.length;
    }
    const { names } = lane;
    if (names.uncertain(name)) return this.#unsettled();
    if (!lane.lease()) return WAIT;
    const text = this.#place(name, names.get(name)?.text);
    if (text === "later") return this.#unsettled();
    lane.send(text === undefined ? message : describeStatement(text.serverName));
    lane.answers.push({ kind: "describe", text, name, undo: undefined });
    return message.length;
  }

  #close(message: Buffer): number {
    const lane = this.#lane;
    const { what, name } = parseTarget(message, "Close");
    const { names } = lane;
    if (what === "statement" && names.uncertain(name)) return this.#unsettled();
    const known = what === "statement" && (name === "" || names.get(name) !== undefined);
    const way = known || lane.server === undefined ? "own" : "sent";
    const change =
      what === "portal"
        ? { undo: this.#portals.set(name, undefined), done: undefined }
        : !known
          ? NO_CHANGE
          : name === ""
            ? names.closeUnnamed(lane.shelf)
            : names.delete(name);
    lane.answers.push({ kind: "close", way, ...change, text: undefined, name });
    // A portal, or a statement that SQL may have prepared: the server knows. Those of the shelf stay there for others.
    if (way === "sent") lane.send(message);
    else lane.settleOwn();
    return message.length;
  }

  #execute(message: Buffer): number {
    const lane = this.#lane;
    if (!lane.lease()) return WAIT;
    const nul = message.indexOf(0, HEADER_BYTES);
    const prepared = this.#portals.empty ? undefined : this.#portals.get(message.toString("latin1", HEADER_BYTES, nul));
    lane.send(message);
    lane.answers.push({ kind: "execute", effects: prepared?.effects ?? PLAIN, sql: prepared?.sql ?? "" });
    return message.length;
  }

  #functionCall(message: Buffer, size: number): number {
    const lane = this.#lane;
    if (!lane.lease()) return WAIT;
    if (!LARGE_OBJECTS.has(message.readUInt32BE(HEADER_BYTES))) lane.state.pin("unknown");
    if (lane.answers.unended) lane.mixed = true;
    lane.answers.push({ kind: "function" });
    return this.#pass(size, false);
  }

  // --- inside ------------------------------------------------------------------------------------------------------

  /** The message goes on as it is, or nowhere, in the pieces in which it comes. */
  #pass(size: number, dropping: boolean): number {
    this.#passing = size;
    this.#dropping = dropping;
    return 0;
  }

  #passed(): void {
    const after = this.#after;
    this.#after = undefined;
    this.#dropping = false;
    after?.();
  }

  #refuseMessage(type: number, size: number): number {
    const lane = this.#lane;
    const error = this.#refusal!;
    this.#refusal = undefined;
    this.#after = () => {
      lane.tell(error);
      if (type === FRONTEND.query || type === FRONTEND.functionCall) lane.tell(readyForQuery("I"));
      else lane.skipping = true;
    };
    return this.#pass(size, true);
  }

  /**
   * Sees to it that the server has a statement of the session's.
   * @param known undefined for the unnamed statement, and for a name that stands for nothing
   * @returns what it is on the server; `later` when that is known only behind the answers
   */
  #place(name: string, known: PreparedText | undefined): PreparedText | undefined | "later" {
    const { names, shelf, texts, state, answers, shelfSize } = this.#lane;
    if (name === "") names.placeUnnamed(shelf);
    if (known === undefined) return undefined;
    let text = known;
    if (!shelf.named.has(known)) {
      if (state.moving && !answers.empty) return "later";
      const { environment } = this.#lane;
      // Prepared only now, it means what names mean now: others, who prepared the same there and then, do not get it.
      if (known.environment !== environment) text = texts.of(known.body, `${known.environment}\0later\0${environment}`);
    }
    if (names.uncertainOn(shelf, text)) return "later";
    names.place(shelf, text, shelfSize, name);
    return text;
  }

  /** @returns whether everything sent is answered; when not, it is waited for */
  #settled(): boolean {
    if (this.#lane.answers.empty) return true;
    this.#unsettled();
    return false;
  }

  #unsettled(): number {
    this.#lane.send(FLUSH);
    this.#lane.waitForAnswers();
    return WAIT;
  }

  #analyze(text: Buffer): readonly Statement[] {
    return this.#lane.analyzer.analyze(
      text,
      encodingOf(this.#lane.parameter("client_encoding"), this.#lane.parameter("server_encoding")),
      this.#lane.parameter("standard_conforming_strings") !== "off",
    );
  }
}

function both(a: () => void, b: (() => void) | undefined): () => void {
  if (b === undefined) return a;
  return () => {
    a();
    b();
  };
}

/** Names stand as latin1 in messages, and as text in what the analyzer says. */
function latin1(name: string): string {
  return Buffer.from(name).toString("latin1");
}

function textOf(text: Buffer, { start, end }: Statement, { effect }: Effects): string {
  return effect?.kind === "set" || effect?.kind === "set-config" ? text.toString("latin1", start, end) : "";
}

function hasNames(bytes: Buffer, at: number, size: number): boolean {
  const end = Math.min(bytes.length, at + size);
  const portal = bytes.indexOf(0, at + HEADER_BYTES);
  const statement = portal < 0 ? -1 : bytes.indexOf(0, portal + 1);
  if (portal >= 0 && statement >= 0 && statement < end) return true;
  if (end - at >= Math.min(size, NAMES_BYTES))
    throw new ProxyError("protocol_violation", "a Bind message without its names");
  return false;
}
