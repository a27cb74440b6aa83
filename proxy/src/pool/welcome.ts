import { randomBytes, randomInt } from "node:crypto";
import type { BackendKey } from "../backend.ts";
import { BACKEND } from "../wire/messages.ts";
import type { Startup } from "../wire/startup.ts";
import { frame } from "../wire/write.ts";

/** The newest minor version of protocol 3 that is spoken here (PostgreSQL 18). */
const NEWEST_MINOR = 2;

export const AUTHENTICATION_OK: Buffer = frame(BACKEND.authentication, Buffer.alloc(4));

export function parameterStatus(name: string, value: string): Buffer {
  return frame(BACKEND.parameterStatus, Buffer.from(`${name}\0${value}\0`));
}

export function readyForQuery(status: "I" | "T" | "E"): Buffer {
  return frame(BACKEND.readyForQuery, Buffer.from(status));
}

/** A key of our own: 4 bytes in protocol 3.0, 32 from 3.2 on (section "Canceling Requests in Progress"). */
export function makeKey(minor: number): BackendKey {
  return { pid: randomInt(1, 0x7fffffff), key: randomBytes(minor >= 2 ? 32 : 4) };
}

export function backendKeyData({ pid, key }: BackendKey): Buffer {
  const body = Buffer.alloc(4 + key.length);
  body.writeUInt32BE(pid);
  key.copy(body, 4);
  return frame(BACKEND.backendKeyData, body);
}

/**
 * What is said of a startup packet that asks for more than is spoken here: a later minor version, or protocol options.
 * @returns the minor version that is spoken, and the message that says so when it is another than asked for
 */
export function negotiate({ protocol, parameters }: Startup): { readonly minor: number; readonly message?: Buffer } {
  const asked = Number(protocol.slice(protocol.indexOf(".") + 1));
  const unknown = [...parameters.keys()].filter((name) => name.startsWith("_pq_."));
  const minor = Math.min(asked, NEWEST_MINOR);
  if (asked <= NEWEST_MINOR && unknown.length === 0) return { minor };
  const head = Buffer.alloc(8);
  head.writeUInt32BE(3 * 0x10000 + minor);
  head.writeUInt32BE(unknown.length, 4);
  const names = Buffer.from(unknown.map((name) => `${name}\0`).join(""));
  return { minor, message: frame(BACKEND.negotiateProtocolVersion, Buffer.concat([head, names])) };
}
