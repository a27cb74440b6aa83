import { ProxyError, toldAs } from "../errors.ts";
import { readyForQuery } from "../pool/index.ts";
import { HEADER_BYTES } from "../wire/framer.ts";
import { parseBindNames, parseExecute, parseParse, parseQuery, parseTarget } from "../wire/frontend.ts";
import { FRONTEND } from "../wire/messages.ts";
import { errorResponse } from "../wire/write.ts";
import { type Command, parseCommand } from "./command.ts";
import type { Desk } from "./desk.ts";
import { ALL_TEXT, EMPTY, type Formats, NO_PARAMETERS, rowDescription } from "./messages.ts";
import { answerQuery, ConsolePortal, columnsOf, type Operator } from "./script.ts";

/** Names that a client may keep. */
const NAMES = 1000;

type Say = (answer: Buffer) => void;

/** The simple and the extended protocol, as far as commands without parameters need them. */
export class Dialogue {
  readonly #operator: Operator;
  readonly #desk: Desk;
  readonly #prepared = new Map<string, Command | undefined>();
  readonly #portals = new Map<string, ConsolePortal>();
  /** An error of the extended protocol: everything up to Sync is skipped. */
  #skipping = false;
  #under: AbortController | undefined;

  constructor(operator: Operator, desk: Desk) {
    this.#operator = operator;
    this.#desk = desk;
  }

  /** What is under way is not waited for any more. */
  cancel(): void {
    this.#under?.abort();
  }

  /** One message after the other. @throws ProxyError `protocol_violation` for one that is malformed */
  async take(type: number, message: Buffer, say: Say): Promise<void> {
    if (type === FRONTEND.sync) {
      this.#skipping = false;
      // Without transactions, portals live up to here.
      this.#portals.clear();
      say(readyForQuery("I"));
      return;
    }
    if (this.#skipping) return;
    try {
      await this.#answer(type, message, say);
    } catch (error) {
      if (!(error instanceof ProxyError) || error.code === "protocol_violation") throw error;
      say(errorResponse("ERROR", toldAs(error), error.message));
      if (type === FRONTEND.query || type === FRONTEND.functionCall) say(readyForQuery("I"));
      else this.#skipping = true;
    }
  }

  async #answer(type: number, message: Buffer, say: Say): Promise<void> {
    switch (type) {
      case FRONTEND.query: {
        const text = parseQuery(message).toString("utf8");
        say(await this.#run((signal) => answerQuery(text, this.#operator, this.#desk, signal)));
        say(readyForQuery("I"));
        return;
      }
      case FRONTEND.parse: {
        const { name, text } = parseParse(message);
        const command = parseCommand(text.toString("utf8"));
        if (this.#prepared.size >= NAMES)
          throw new ProxyError("console_state", `there are ${NAMES} statements already`);
        this.#prepared.set(name, command);
        say(EMPTY.parsed);
        return;
      }
      case FRONTEND.bind: {
        const { portal, statement, block } = parseBindNames(message);
        if (!this.#prepared.has(statement)) throw unknown("prepared statement");
        if (this.#portals.size >= NAMES) throw new ProxyError("console_state", `there are ${NAMES} portals already`);
        this.#portals.set(portal, new ConsolePortal(this.#prepared.get(statement), resultFormats(message, block)));
        say(EMPTY.bound);
        return;
      }
      case FRONTEND.describe: {
        const { what, name } = parseTarget(message, "Describe");
        this.#describe(what, name, say);
        return;
      }
      case FRONTEND.execute: {
        const portal = this.#portals.get(parseExecute(message).portal);
        if (portal === undefined) throw unknown("portal");
        const limit = Math.max(0, message.readInt32BE(message.length - 4));
        say(await this.#run((signal) => portal.execute(limit, this.#operator, this.#desk, signal)));
        return;
      }
      case FRONTEND.close: {
        const { what, name } = parseTarget(message, "Close");
        if (what === "statement") this.#prepared.delete(name);
        else this.#portals.delete(name);
        say(EMPTY.closed);
        return;
      }
      case FRONTEND.functionCall:
        throw new ProxyError("not_supported", "the console has no functions");
      default:
      // Flush: everything is sent at once. Copy data: nothing has asked for it, and a server ignores it as well.
    }
  }

  #describe(what: "statement" | "portal", name: string, say: Say): void {
    if (what === "statement") {
      if (!this.#prepared.has(name)) throw unknown("prepared statement");
      say(NO_PARAMETERS);
      say(described(this.#prepared.get(name), ALL_TEXT));
      return;
    }
    const portal = this.#portals.get(name);
    if (portal === undefined) throw unknown("portal");
    say(described(portal.command, portal.formats));
  }

  async #run(work: (signal: AbortSignal) => Promise<Buffer>): Promise<Buffer> {
    const under = new AbortController();
    this.#under = under;
    try {
      return await work(under.signal);
    } finally {
      this.#under = undefined;
    }
  }
}

function described(command: Command | undefined, formats: Formats): Buffer {
  const columns = columnsOf(command);
  return columns === undefined ? EMPTY.noData : rowDescription(columns, formats);
}

/** The result formats that a Bind ends with: one for all columns, one for each, or none for text. */
function resultFormats(message: Buffer, block: number): Formats {
  try {
    let at = block + 2 + 2 * message.readUInt16BE(block);
    const parameters = message.readUInt16BE(at);
    if (parameters > 0) throw new ProxyError("console_syntax", "the console's commands have no parameters");
    at += 2;
    const count = message.readUInt16BE(at);
    if (message.length !== at + 2 + 2 * count || block < HEADER_BYTES) throw new RangeError("too short");
    const formats = Array.from({ length: count }, (_, i) => message.readUInt16BE(at + 2 + 2 * i) === 1);
    return formats.length === 0 ? ALL_TEXT : (column) => formats[formats.length === 1 ? 0 : column] === true;
  } catch (error) {
    if (error instanceof ProxyError) throw error;
    throw new ProxyError("protocol_violation", "invalid Bind message: its parts do not fill its length");
  }
}

function unknown(what: string): ProxyError {
  return new ProxyError("console_state", `there is no ${what} of this name`);
}
