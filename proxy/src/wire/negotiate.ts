import { HEADER_BYTES } from "./framer.ts";
import { BACKEND } from "./messages.ts";
import type { Startup } from "./startup.ts";
import { frame } from "./write.ts";

/** The newest minor version of protocol 3 that is spoken here (PostgreSQL 18). */
const NEWEST_MINOR = 2;
/** Names of options of the protocol, of which none is known here. */
const OPTION = "_pq_.";
const MAJOR = 3 * 0x10000;

/** What a startup packet asks for beyond what is spoken here. */
export interface Negotiated {
  readonly minor: number;
  /** NegotiateProtocolVersion, when it is another than asked for. */
  readonly message?: Buffer;
}

/** What is said of a startup packet that asks for more than is spoken here: a later minor version, or protocol options. */
export function negotiate({ protocol, parameters }: Startup): Negotiated {
  const asked = minorOf(protocol);
  const unknown = [...parameters.keys()].filter((name) => name.startsWith(OPTION));
  const minor = Math.min(asked, NEWEST_MINOR);
  if (asked <= NEWEST_MINOR && unknown.length === 0) return { minor };
  return { minor, message: negotiateMessage(minor, unknown) };
}

/**
 * A server that is newer than this proxy must not be asked for a protocol that the proxy cannot read.
 * @returns the startup packet without what is not spoken here; undefined when that is the packet as it came
 */
export function spokenStartup(startup: Startup): Buffer | undefined {
  const { minor, message } = negotiate(startup);
  if (message === undefined) return undefined;
  const kept = [...startup.parameters].filter(([name]) => !name.startsWith(OPTION));
  const body = Buffer.from(`${kept.map(([name, value]) => `${name}\0${value}\0`).join("")}\0`);
  const head = Buffer.alloc(8);
  head.writeUInt32BE(head.length + body.length);
  head.writeUInt32BE(MAJOR + minor, 4);
  return Buffer.concat([head, body]);
}

/**
 * Says in the server's place what was not passed on to it.
 * @param bytes the server's first ones
 * @returns them with a NegotiateProtocolVersion of both; undefined when more of them is needed
 */
export function withNegotiated(bytes: Buffer, startup: Startup): Buffer | undefined {
  const { minor, message } = negotiate(startup);
  if (message === undefined) return bytes;
  if (bytes.length < HEADER_BYTES) return undefined;
  if (bytes[0] === BACKEND.errorResponse) return bytes;
  if (bytes[0] !== BACKEND.negotiateProtocolVersion) return Buffer.concat([message, bytes]);
  // An older server speaks less still. It was asked for no options, so it names none.
  const end = 1 + bytes.readUInt32BE(1);
  if (end < HEADER_BYTES + 8 || end > MAX_BYTES) return bytes;
  if (bytes.length < end) return undefined;
  const version = bytes.readUInt32BE(HEADER_BYTES);
  const both = Math.min(minor, version >= 0x10000 ? version % 0x10000 : version);
  const options = [...startup.parameters.keys()].filter((name) => name.startsWith(OPTION));
  return Buffer.concat([negotiateMessage(both, options), bytes.subarray(end)]);
}

/** A longer one is not PostgreSQL's: a startup packet has no more to name. */
const MAX_BYTES = 16_384;

function negotiateMessage(minor: number, options: readonly string[]): Buffer {
  const head = Buffer.alloc(8);
  head.writeUInt32BE(MAJOR + minor);
  head.writeUInt32BE(options.length, 4);
  const names = Buffer.from(options.map((name) => `${name}\0`).join(""));
  return frame(BACKEND.negotiateProtocolVersion, Buffer.concat([head, names]));
}

function minorOf(protocol: string): number {
  return Number(protocol.slice(protocol.indexOf(".") + 1));
}
