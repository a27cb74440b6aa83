import { randomBytes, randomInt } from "node:crypto";
import type { BackendKey } from "../backend.ts";
import { BACKEND } from "../wire/messages.ts";
import { frame } from "../wire/write.ts";
import { signatureOf } from "./server.ts";

export const AUTHENTICATION_OK: Buffer = frame(BACKEND.authentication, Buffer.alloc(4));

export function parameterStatus(name: string, value: string): Buffer {
  return frame(BACKEND.parameterStatus, Buffer.from(`${name}\0${value}\0`));
}

export function readyForQuery(status: "I" | "T" | "E"): Buffer {
  return frame(BACKEND.readyForQuery, Buffer.from(status));
}

/** What a client is told of its session. One object for all who are told the same: nobody changes it. */
export interface Welcome {
  readonly parameters: ReadonlyMap<string, string>;
  /** The ParameterStatus messages. */
  readonly bytes: Buffer;
  readonly signature: string;
}

export function welcome(parameters: ReadonlyMap<string, string>): Welcome {
  const messages = [...parameters].map(([name, value]) => parameterStatus(name, value));
  return { parameters, bytes: Buffer.concat(messages), signature: signatureOf(parameters) };
}

/** So many names of applications are remembered for a pool; others are welcomed with a little more work. */
const REMEMBERED = 64;

/** Greets those who come to a pool whose servers' reports are known, before they have a server. */
export class Welcomes {
  readonly #baseline: ReadonlyMap<string, string>;
  readonly #known: Map<string, Welcome> = new Map();

  constructor(baseline: ReadonlyMap<string, string>) {
    this.#baseline = baseline;
  }

  of(application: string): Welcome {
    const known = this.#known.get(application);
    if (known !== undefined) return known;
    const made = welcome(new Map([...this.#baseline, ["application_name", application]]));
    if (this.#known.size < REMEMBERED) this.#known.set(application, made);
    return made;
  }
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
