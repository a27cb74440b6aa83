import { ProxyError } from "../errors.ts";
import { HEADER_BYTES } from "./framer.ts";

/** The fields of an ErrorResponse that an entry takes note of. */
export interface ServerError {
  readonly severity: string;
  readonly sqlstate: string;
  readonly message: string;
  readonly detail: string | undefined;
  readonly hint: string | undefined;
  /** Where the server raised it, in its source. */
  readonly routine: string | undefined;
}

/** Reads what there is: `head` may be cut off behind the first fields, which come in the server's order S V C M D H. */
export function parseError(head: Buffer): ServerError {
  const fields = new Map<number, string>();
  let at = HEADER_BYTES;
  while (at < head.length && head[at] !== 0) {
    const nul = head.indexOf(0, at + 1);
    const end = nul < 0 ? head.length : nul;
    fields.set(head[at]!, head.toString("utf8", at + 1, end));
    at = end + 1;
  }
  const code = fields.get(0x43) ?? "";
  return {
    // V is never localized; servers before 9.6 send S only.
    severity: fields.get(0x56) ?? fields.get(0x53) ?? "ERROR",
    sqlstate: /^[0-9A-Z]{5}$/.test(code) ? code : "XX000",
    message: fields.get(0x4d) ?? "",
    detail: fields.get(0x44),
    hint: fields.get(0x48),
    routine: fields.get(0x52),
  };
}

/** COMPLETION_TAG_BUFSIZE in PostgreSQL. */
const TAG_BYTES = 64;

/** CommandComplete: the command tag. */
export function parseTag(message: Buffer): string {
  const nul = message.indexOf(0, HEADER_BYTES);
  if (nul < 0 || nul - HEADER_BYTES > TAG_BYTES) throw violation("CommandComplete");
  return message.toString("latin1", HEADER_BYTES, nul);
}

/** ReadyForQuery: the transaction status, `I`, `T` or `E`. */
export function parseReady(message: Buffer): string {
  const status = message.toString("latin1", HEADER_BYTES);
  if (status !== "I" && status !== "T" && status !== "E") throw violation("ReadyForQuery");
  return status;
}

/** The row count that a command tag ends with: `INSERT 0 3` has 3, `BEGIN` none. */
export function rowsOf(tag: string): number | undefined {
  const space = tag.lastIndexOf(" ");
  if (space < 0) return undefined;
  const digits = tag.slice(space + 1);
  if (!/^[0-9]{1,15}$/.test(digits)) return undefined;
  return Number(digits);
}

/** ParameterStatus: name and value; of a very long value its beginning. */
export function parseParameterStatus(message: Buffer): { readonly name: string; readonly value: string } {
  const nul = message.indexOf(0, HEADER_BYTES);
  if (nul < 0) throw violation("ParameterStatus");
  const end = message.indexOf(0, nul + 1);
  return {
    name: message.toString("utf8", HEADER_BYTES, nul),
    value: message.toString("utf8", nul + 1, end < 0 ? message.length : end),
  };
}

/** BackendKeyData; the key has 4 bytes in protocol 3.0 and 4 to 256 in 3.2. */
export function parseKeyData(message: Buffer): { readonly pid: number; readonly key: Buffer } {
  if (message.length < HEADER_BYTES + 8 || message.length > HEADER_BYTES + 4 + 256) throw violation("BackendKeyData");
  return { pid: message.readUInt32BE(HEADER_BYTES), key: Buffer.from(message.subarray(HEADER_BYTES + 4)) };
}

/** NegotiateProtocolVersion: the newest minor version the server speaks. */
export function parseNegotiated(message: Buffer): string {
  if (message.length < HEADER_BYTES + 8) throw violation("NegotiateProtocolVersion");
  const version = message.readUInt32BE(HEADER_BYTES);
  // The message carries the minor alone up to PostgreSQL 17's documentation, and the whole version in fact.
  return version >= 0x10000 ? `${Math.floor(version / 0x10000)}.${version % 0x10000}` : `3.${version}`;
}

export type AuthenticationRequest =
  | { readonly kind: "ok" }
  | { readonly kind: "method"; readonly name: string }
  | { readonly kind: "sasl"; readonly mechanisms: readonly string[] }
  | { readonly kind: "step" };

/** Authentication messages, by the code that follows the header. */
export function parseAuthentication(message: Buffer): AuthenticationRequest {
  const code = message.length < HEADER_BYTES + 4 ? -1 : message.readInt32BE(HEADER_BYTES);
  switch (code) {
    case 0:
      return { kind: "ok" };
    case 3:
      return { kind: "method", name: "password" };
    case 5:
      return { kind: "method", name: "md5" };
    case 10:
      return {
        kind: "sasl",
        mechanisms: message
          .toString("latin1", HEADER_BYTES + 4)
          .split("\0")
          .filter(Boolean),
      };
    case 8: // GSSContinue
    case 11: // SASLContinue
    case 12: // SASLFinal
      return { kind: "step" };
    default:
      return { kind: "method", name: `other:${code}` };
  }
}

/** SASLInitialResponse begins with the mechanism that the client chose. */
export function parseSaslMechanism(message: Buffer): string {
  const nul = message.indexOf(0, HEADER_BYTES);
  return message.toString("latin1", HEADER_BYTES, nul < 0 ? message.length : nul);
}

/**
 * Whether a SASLInitialResponse says that the client can bind to its TLS connection and takes the server for one that
 * cannot (RFC 5802 section 6, the flag `y`). A server that offered it refuses that, for the offer must have been removed.
 */
export function expectsNoBinding(message: Buffer): boolean {
  const nul = message.indexOf(0, HEADER_BYTES);
  return nul >= 0 && message.toString("latin1", nul + 5, nul + 7) === "y,";
}

function violation(which: string): ProxyError {
  return new ProxyError("protocol_violation", `the server sent an invalid ${which} message`);
}
