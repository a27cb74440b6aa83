import { ProxyError } from "../errors.ts";
import { HEADER_BYTES } from "../wire/framer.ts";
import { BACKEND, FRONTEND } from "../wire/messages.ts";
import { frame } from "../wire/write.ts";

/** Authentication messages, PostgreSQL's chapter "Message Formats". */

function authentication(code: number, rest: string = ""): Buffer {
  const head = Buffer.alloc(4);
  head.writeUInt32BE(code);
  return frame(BACKEND.authentication, Buffer.concat([head, Buffer.from(rest)]));
}

export const AUTHENTICATION_OK: Buffer = authentication(0);
export const CLEARTEXT_PASSWORD: Buffer = authentication(3);
export const saslRequest = (mechanisms: readonly string[]): Buffer =>
  authentication(10, `${mechanisms.join("\0")}\0\0`);
export const saslContinue = (data: string): Buffer => authentication(11, data);
export const saslFinal = (data: string): Buffer => authentication(12, data);

export function passwordMessage(password: string): Buffer {
  return frame(FRONTEND.password, Buffer.from(`${password}\0`));
}

export function saslInitialResponse(mechanism: string, data: string): Buffer {
  const size = Buffer.alloc(4);
  size.writeUInt32BE(Buffer.byteLength(data));
  return frame(FRONTEND.password, Buffer.concat([Buffer.from(`${mechanism}\0`), size, Buffer.from(data)]));
}

export function saslResponse(data: string): Buffer {
  return frame(FRONTEND.password, Buffer.from(data));
}

/**
 * PasswordMessage.
 * @returns the password, without its NUL
 * @throws ProxyError `protocol_violation`
 */
export function parsePassword(message: Buffer): Buffer {
  const nul = message.length - 1;
  if (nul < HEADER_BYTES || message.indexOf(0, HEADER_BYTES) !== nul) {
    throw new ProxyError("protocol_violation", "invalid password packet: it does not end where its password does");
  }
  return message.subarray(HEADER_BYTES, nul);
}

/**
 * SASLInitialResponse.
 * @returns `data` undefined when the client sent none, and the mechanism has to ask for it
 * @throws ProxyError `protocol_violation`
 */
export function parseSaslInitial(message: Buffer): { readonly mechanism: string; readonly data: Buffer | undefined } {
  const nul = message.indexOf(0, HEADER_BYTES);
  const at = nul + 5;
  if (nul < 0 || message.length < at) throw invalidSasl();
  const size = message.readInt32BE(nul + 1);
  if (size === -1 ? message.length !== at : size !== message.length - at) throw invalidSasl();
  return {
    mechanism: message.toString("latin1", HEADER_BYTES, nul),
    data: size === -1 ? undefined : message.subarray(at),
  };
}

function invalidSasl(): ProxyError {
  return new ProxyError("protocol_violation", "invalid SASL response: its parts do not fill its length");
}
