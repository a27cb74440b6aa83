import { createHash, type Hash } from "node:crypto";
import type { Decision } from "../access/index.ts";
import { ProxyError } from "../errors.ts";
import { type FrameSink, HEADER_BYTES } from "../wire/framer.ts";
import {
  parseBindNames,
  parseCount,
  parseExecute,
  parseFunctionCall,
  parseParameters,
  parseParse,
  parseQuery,
  parseResultFormat,
  parseTarget,
} from "../wire/frontend.ts";
import { FRONTEND_NAMES, type FrontendName, showType } from "../wire/messages.ts";
import type { Parameters } from "./execution.ts";
import type { Session } from "./session.ts";
import { FRONTEND_TABLE } from "./table.ts";

/** PQ_SMALL_MESSAGE_LIMIT and PG_MAX_AUTH_TOKEN_LENGTH in PostgreSQL, with the type byte. */
const SMALL = 10_001;
const AUTH_TOKEN = 65_536;
/** Of a Bind or FunctionCall that is too large to be gathered: its names, formats (at most 65,535), and the count. */
const HEAD = 16_384 + 2 * 65_535 + 4;

/** Where the client's bytes go. */
export interface Outlet {
  /**
   * Pass these bytes on to the server, not before `wait` (a spool position, 0 for none) is durable. `whole`: a message
   * ends with them.
   */
  forward(bytes: Buffer, wait: number, whole: boolean): void;
  /** The message whose pieces were forwarded ends here: its last piece must wait for this. */
  completed(wait: number): void;
  /** The client said Terminate; it is forwarded like the rest. */
  terminated(): void;
}

/** Reads the client's messages: tells the session of them, and passes them on. */
export class FrontendSide implements FrameSink {
  readonly #session: Session;
  readonly #outlet: Outlet;
  readonly #statementBytes: number;
  /** Of the message that is passing by in pieces. */
  #digest: Hash | undefined;
  #digestSkip = 0;
  #dropping = false;
  /** What the access rules say to the FunctionCall that is coming. */
  #call: Decision | undefined;
  #terminated = false;

  constructor(session: Session, outlet: Outlet, limits: { readonly statementBytes: number }) {
    this.#session = session;
    this.#outlet = outlet;
    this.#statementBytes = limits.statementBytes;
  }

  begin(type: number, size: number): number {
    const name = FRONTEND_NAMES[type];
    if (name === undefined) throw new ProxyError("protocol_violation", `unknown frontend message ${showType(type)}`);
    const action = FRONTEND_TABLE[this.#session.phase][name];
    if (action === "refuse") {
      throw new ProxyError("protocol_violation", `unexpected ${name} message while ${this.#session.phase}`);
    }
    // Nothing that stands behind a Terminate is read by the server.
    this.#dropping = action === "drop" || this.#terminated;
    if (name !== "sync" && name !== "terminate") this.#dropping ||= this.#session.tracker.requests.withholds;
    if (this.#dropping) return 0;
    switch (name) {
      case "query":
      case "parse":
        if (size > this.#statementBytes) {
          this.#session.tracker.ledger.oversized(name === "query" ? "simple" : "extended");
          throw new ProxyError(
            "statement_too_large",
            `the statement has ${size} bytes, and the proxy's limit is ${this.#statementBytes}`,
          );
        }
        return size;
      case "bind":
      case "functionCall":
        if (size <= this.#session.values.limit) return size;
        // Its pieces are passed on before it ends, so it is decided before it begins, and before its function is known.
        if (name === "functionCall") this.#call = this.#session.tracker.requests.decideCall(undefined);
        this.#digest = createHash("sha256");
        this.#digestSkip = HEADER_BYTES;
        // Never all of it: a message that is asked for whole is not passed by in pieces.
        return Math.min(size - 1, HEAD);
      case "copyData":
        return 0;
      case "password":
        return limited(name, size, AUTH_TOKEN);
      default:
        return limited(name, size, SMALL);
    }
  }

  pass(piece: Buffer): void {
    if (this.#dropping) return;
    if (this.#digest !== undefined) {
      const skip = Math.min(this.#digestSkip, piece.length);
      this.#digestSkip -= skip;
      this.#digest.update(piece.subarray(skip));
    }
    // The message that goes in place of a denied call is sent when it ends.
    if (this.#call?.allowed !== false) this.#outlet.forward(piece, 0, false);
  }

  end(type: number, size: number, head: Buffer): void {
    if (this.#dropping) return;
    const name = FRONTEND_NAMES[type]!;
    const streamed = this.#digest !== undefined || name === "copyData";
    const wait = this.#tell(name, size, head);
    this.#digest = undefined;
    const withheld = this.#call?.allowed === false;
    this.#call = undefined;
    const instead = this.#session.tracker.requests.takeInstead();
    if (instead !== undefined) this.#outlet.forward(instead, wait, true);
    // It was denied, and before it ended the server failed: it skips what comes, so nothing need stand for it.
    else if (withheld) return;
    else if (streamed) this.#outlet.completed(wait);
    else this.#outlet.forward(head, wait, true);
    if (name === "terminate") {
      this.#terminated = true;
      this.#outlet.terminated();
    }
  }

  /** @returns the spool position to wait for before forwarding */
  #tell(name: FrontendName, size: number, head: Buffer): number {
    const { requests } = this.#session.tracker;
    switch (name) {
      case "query":
        return requests.query(parseQuery(head), size);
      case "parse": {
        const { name: statement, text } = parseParse(head);
        return requests.parse(statement, text);
      }
      case "bind": {
        const { portal, statement, block } = parseBindNames(head);
        const format = requests.isShown(statement) ? parseResultFormat(head, block) : 0;
        return requests.bind(portal, statement, this.#parameters("Bind", head, block, size), size, format);
      }
      case "functionCall": {
        const { oid, block } = parseFunctionCall(head);
        if (this.#digest === undefined) this.#call = requests.decideCall(oid);
        return requests.functionCall(oid, this.#parameters("FunctionCall", head, block, size), size, this.#call);
      }
      case "describe": {
        const { what, name: target } = parseTarget(head, "Describe");
        return requests.describe(what, target);
      }
      case "close": {
        const { what, name: target } = parseTarget(head, "Close");
        return requests.close(what, target);
      }
      case "execute":
        return requests.execute(parseExecute(head).portal, size);
      case "sync":
        return requests.sync();
      case "copyDone":
      case "copyFail":
        requests.copyEnd();
        return 0;
      case "password":
        this.#session.password(head);
        return 0;
      case "copyData":
        requests.copyData(size);
        return 0;
      case "flush":
      case "terminate":
        return 0;
    }
  }

  #parameters(which: "Bind" | "FunctionCall", head: Buffer, block: number, size: number): Parameters | undefined {
    const { values, utf8 } = this.#session;
    if (this.#digest !== undefined) {
      const member = values.digestMember("params", size - HEADER_BYTES, this.#digest.digest("hex"));
      return { count: parseCount(which, head, block), member };
    }
    const { count, bytes, json } = parseParameters(which, head, block, utf8);
    if (count === 0) return undefined;
    return { count, member: values.bytesMember("params", head.subarray(HEADER_BYTES), bytes, () => json) };
  }
}

function limited(name: FrontendName, size: number, limit: number): number {
  if (size > limit) throw new ProxyError("protocol_violation", `a ${name} message of ${size} bytes`);
  return size;
}
