import { ProxyError } from "../errors.ts";
import { HEADER_BYTES } from "../wire/framer.ts";
import { BACKEND, FRONTEND } from "../wire/messages.ts";
import { frame } from "../wire/write.ts";
import { HOT_STANDBY, READ_ONLY, type Reported } from "./target.ts";

/** Servers before version 14 do not report what they are: as libpq does, they are asked. */
export const ROLE_QUESTION: Buffer = frame(
  FRONTEND.query,
  Buffer.from("SELECT pg_catalog.pg_is_in_recovery(); SHOW transaction_read_only\0"),
);

/** Of a message during the login, and of the whole answer. */
const MAX_BYTES = 65_536;

export interface Role {
  /** What a server of version 14 would have reported; empty when it did not say. */
  readonly reported: Reported;
  /** What else it said meanwhile, and what stands behind the answer: that is for the client. */
  readonly others: Buffer;
}

/**
 * Reads the answer to {@link ROLE_QUESTION}.
 * @param bytes from its beginning
 * @returns undefined when its end is not there yet
 * @throws ProxyError `protocol_violation` when it is none
 */
export function readRole(bytes: Buffer): Role | undefined {
  const values: string[] = [];
  const others: Buffer[] = [];
  for (let at = 0; ; ) {
    const end = endOfMessage(bytes, at);
    if (end === undefined) {
      if (bytes.length > MAX_BYTES) throw tooLong();
      return undefined;
    }
    const message = bytes.subarray(at, end);
    at = end;
    switch (message[0]) {
      case BACKEND.dataRow:
        // One column: its number, its length, its text.
        values.push(message.toString("latin1", HEADER_BYTES + 6));
        break;
      case BACKEND.parameterStatus:
      case BACKEND.noticeResponse:
      case BACKEND.notificationResponse:
        others.push(message);
        break;
      case BACKEND.readyForQuery:
        return { reported: roleOf(values), others: Buffer.concat([...others, bytes.subarray(at)]) };
    }
  }
}

function roleOf([recovers, readOnly]: readonly string[]): Reported {
  if ((recovers !== "t" && recovers !== "f") || (readOnly !== "on" && readOnly !== "off")) return new Map();
  return new Map([
    [HOT_STANDBY, recovers === "t" ? "on" : "off"],
    [READ_ONLY, readOnly],
  ]);
}

/**
 * Stands between a server and its client during a login that is relayed, and asks the server what it is when it has let
 * the client in and not reported it. The client sees nothing of that.
 */
export class RoleSift {
  readonly #ask: () => void;
  readonly #onRole: (reported: Reported) => void;
  #bytes: Buffer = Buffer.alloc(0);
  /** The first ReadyForQuery, which the client gets when the server has answered. */
  #ready: Buffer | undefined;
  #over = false;

  /**
   * @param ask sends {@link ROLE_QUESTION}
   * @param onRole told what it is, if it was asked and said so
   */
  constructor(ask: () => void, onRole: (reported: Reported) => void) {
    this.#ask = ask;
    this.#onRole = onRole;
  }

  /** Nothing more is kept back or looked at. */
  get over(): boolean {
    return this.#over;
  }

  /**
   * @returns what of the server's bytes is for the client by now
   * @throws ProxyError `protocol_violation`
   */
  feed(chunk: Buffer): Buffer {
    if (this.#over) return chunk;
    const bytes = this.#bytes.length === 0 ? chunk : Buffer.concat([this.#bytes, chunk]);
    if (this.#ready !== undefined) return this.#onAnswer(bytes, this.#ready);
    let at = 0;
    for (let end = endOfMessage(bytes, at); end !== undefined; end = endOfMessage(bytes, at)) {
      const message = bytes.subarray(at, end);
      if (message[0] === BACKEND.readyForQuery) {
        this.#ready = message;
        this.#bytes = bytes.subarray(end);
        this.#ask();
        return bytes.subarray(0, at);
      }
      if (message[0] === BACKEND.parameterStatus && nameIn(message) === HOT_STANDBY) return this.#done(bytes);
      at = end;
    }
    // Whoever reads it next says what is wrong with it.
    if (bytes.length - at > MAX_BYTES) return this.#done(bytes);
    this.#bytes = bytes.subarray(at);
    return bytes.subarray(0, at);
  }

  #onAnswer(bytes: Buffer, ready: Buffer): Buffer {
    const role = readRole(bytes);
    if (role === undefined) {
      this.#bytes = bytes;
      return Buffer.alloc(0);
    }
    this.#onRole(role.reported);
    return this.#done(Buffer.concat([ready, role.others]));
  }

  #done(bytes: Buffer): Buffer {
    this.#over = true;
    this.#bytes = Buffer.alloc(0);
    return bytes;
  }
}

/** @returns where the message that begins here ends; undefined when not all of it is there */
function endOfMessage(bytes: Buffer, at: number): number | undefined {
  if (bytes.length - at < HEADER_BYTES) return undefined;
  const end = at + 1 + bytes.readUInt32BE(at + 1);
  if (end < at + HEADER_BYTES) throw new ProxyError("protocol_violation", "the server sent a message of no length");
  return end > bytes.length ? undefined : end;
}

function nameIn(message: Buffer): string {
  return message.toString("latin1", HEADER_BYTES, message.indexOf(0, HEADER_BYTES));
}

function tooLong(): ProxyError {
  return new ProxyError("protocol_violation", `the server answers with more than ${MAX_BYTES} bytes what it is`);
}
