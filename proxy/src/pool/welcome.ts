import { randomBytes, randomInt } from "node:crypto";
import type { BackendKey } from "../backend.ts";
import { BACKEND } from "../wire/messages.ts";
import { frame } from "../wire/write.ts";

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
