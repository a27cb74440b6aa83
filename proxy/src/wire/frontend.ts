import { isAscii } from "node:buffer";
import { ProxyError } from "../errors.ts";
import { HEADER_BYTES } from "./framer.ts";

/** Query: one string, and nothing behind its NUL (a reader of C strings would not see it, the server might). */
export function parseQuery(message: Buffer): Buffer {
  const nul = message.length - 1;
  if (nul < HEADER_BYTES || message.indexOf(0, HEADER_BYTES) !== nul) throw violation("Query");
  return message.subarray(HEADER_BYTES, nul);
}

export interface ParseMessage {
  readonly name: string;
  readonly text: Buffer;
}

export function parseParse(message: Buffer): ParseMessage {
  const name = nameAt(message, HEADER_BYTES, "Parse");
  const nul = message.indexOf(0, name.end);
  if (nul < 0 || nul + 3 > message.length) throw violation("Parse");
  const types = message.readUInt16BE(nul + 1);
  if (message.length !== nul + 3 + 4 * types) throw violation("Parse");
  return { name: name.text, text: message.subarray(name.end, nul) };
}

export interface BindMessage {
  readonly portal: string;
  readonly statement: string;
  /** Offset of the parameter format codes: where the parameter block begins. */
  readonly block: number;
}

/** The names at the head of a Bind; `head` may be its first bytes only. */
export function parseBindNames(head: Buffer): BindMessage {
  const portal = nameAt(head, HEADER_BYTES, "Bind");
  const statement = nameAt(head, portal.end, "Bind");
  return { portal: portal.text, statement: statement.text, block: statement.end };
}

/** The parameters of a message, as a disclosure shows them (spec/entry.md, `params`). */
export interface Parameters {
  readonly count: number;
  /** Sum of the values' sizes. */
  readonly bytes: number;
  /** JSON text of an array: each is null, a string, or `{"base64":…}`. */
  readonly json: string;
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * The parameter block of a Bind or FunctionCall: format codes, then values.
 * @param text whether text-format values are UTF-8 in this session
 */
export function parseParameters(
  which: "Bind" | "FunctionCall",
  message: Buffer,
  block: number,
  text: boolean,
): Parameters {
  try {
    const formats = message.readUInt16BE(block);
    let at = block + 2 + 2 * formats;
    const count = message.readUInt16BE(at);
    at += 2;
    let json = "[";
    let bytes = 0;
    for (let i = 0; i < count; i += 1) {
      if (i > 0) json += ",";
      const length = message.readInt32BE(at);
      at += 4;
      if (length < 0) {
        json += "null";
        continue;
      }
      if (at + length > message.length) throw violation(which);
      const format = formats === 0 ? 0 : message.readUInt16BE(block + 2 + 2 * (formats === 1 ? 0 : i));
      json += showValue(message, at, at + length, format === 0 && text);
      bytes += length;
      at += length;
    }
    // Bind ends with a list of result formats, FunctionCall with one.
    const end = which === "Bind" ? at + 2 + 2 * message.readUInt16BE(at) : at + 2;
    if (end !== message.length) throw violation(which);
    return { count, bytes, json: `${json}]` };
  } catch (error) {
    if (error instanceof ProxyError) throw error;
    // A RangeError of Buffer: the message ends before its own counts say.
    throw violation(which);
  }
}

/**
 * The format asked for the first column of a Bind's result: 0 text, 1 binary; 0 as well where the message has
 * parameters, or is not whole.
 */
export function parseResultFormat(head: Buffer, block: number): number {
  try {
    const formats = head.readUInt16BE(block);
    const at = block + 2 + 2 * formats;
    if (head.readUInt16BE(at) > 0 || head.readUInt16BE(at + 2) === 0) return 0;
    return head.readUInt16BE(at + 4) === 1 ? 1 : 0;
  } catch (error) {
    // A RangeError of Buffer: what is wrong with the message is found when its parameters are read.
    if (!(error instanceof RangeError)) throw error;
    return 0;
  }
}

/** How many parameters a block has, from the head of a message. */
export function parseCount(which: "Bind" | "FunctionCall", head: Buffer, block: number): number {
  if (head.length < block + 2) throw violation(which);
  const at = block + 2 + 2 * head.readUInt16BE(block);
  if (head.length < at + 2) throw violation(which);
  return head.readUInt16BE(at);
}

/** Up to this many bytes a look at each costs less than a call of the decoder. */
const SHORT = 256;

function showValue(message: Buffer, from: number, to: number, text: boolean): string {
  if (text && to - from <= SHORT && isPlain(message, from, to)) return `"${message.toString("latin1", from, to)}"`;
  return JSON.stringify(showText(message.subarray(from, to), text));
}

/** Whether JSON says these bytes by themselves, between quotes. */
function isPlain(bytes: Buffer, from: number, to: number): boolean {
  for (let at = from; at < to; at += 1) {
    const byte = bytes[at]!;
    if (byte < 0x20 || byte > 0x7e || byte === 0x22 || byte === 0x5c) return false;
  }
  return true;
}

/** What a client sent as text, as a disclosure shows it. @param text whether it is UTF-8 by the session's settings */
export function showText(value: Buffer, text: boolean): string | { readonly base64: string } {
  if (text) {
    if (isAscii(value)) return value.toString("latin1");
    try {
      return utf8.decode(value);
    } catch {
      // Not UTF-8 after all: shown as bytes.
    }
  }
  return { base64: value.toString("base64") };
}

export interface ExecuteMessage {
  readonly portal: string;
}

export function parseExecute(message: Buffer): ExecuteMessage {
  const portal = nameAt(message, HEADER_BYTES, "Execute");
  if (message.length !== portal.end + 4) throw violation("Execute");
  return { portal: portal.text };
}

/** Describe and Close have the same form. */
export interface TargetMessage {
  readonly what: "statement" | "portal";
  readonly name: string;
}

export function parseTarget(message: Buffer, which: "Describe" | "Close"): TargetMessage {
  const kind = message[HEADER_BYTES];
  const name = nameAt(message, HEADER_BYTES + 1, which);
  if ((kind !== 0x53 && kind !== 0x50) || message.length !== name.end) throw violation(which);
  return { what: kind === 0x53 ? "statement" : "portal", name: name.text };
}

export interface FunctionCallMessage {
  readonly oid: number;
  readonly block: number;
}

export function parseFunctionCall(head: Buffer): FunctionCallMessage {
  if (head.length < HEADER_BYTES + 4) throw violation("FunctionCall");
  return { oid: head.readUInt32BE(HEADER_BYTES), block: HEADER_BYTES + 4 };
}

/** Names of statements and portals are keys only, so any byte stands for itself. */
function nameAt(bytes: Buffer, from: number, which: string): { readonly text: string; readonly end: number } {
  const nul = bytes.indexOf(0, from);
  if (nul < 0) throw violation(which);
  return { text: nul === from ? "" : bytes.toString("latin1", from, nul), end: nul + 1 };
}

function violation(which: string): ProxyError {
  return new ProxyError("protocol_violation", `invalid ${which} message: its parts do not fill its length`);
}
