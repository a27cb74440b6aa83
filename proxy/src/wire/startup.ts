import { ProxyError } from "../errors.ts";

/** MAX_STARTUP_PACKET_LENGTH in PostgreSQL. */
export const MAX_STARTUP_BYTES = 10_000;

/** Of a login or database name, in UTF-8: longer ones are not even recorded. */
export const MAX_NAME_BYTES = 256;

/** NAMEDATALEN - 1 in PostgreSQL. */
const SERVER_NAME_BYTES = 63;

const SSL_REQUEST = 80877103;
const GSSENC_REQUEST = 80877104;
const CANCEL_REQUEST = 80877102;
const TLS_HANDSHAKE = 0x16;

/** The first packet of a connection: it has a length but no type. */
export type FirstPacket =
  | { readonly kind: "ssl" }
  | { readonly kind: "gssenc" }
  | { readonly kind: "tls" }
  | { readonly kind: "cancel"; readonly pid: number; readonly key: Buffer }
  | { readonly kind: "startup"; readonly raw: Buffer; readonly startup: Startup }
  /** It cannot be passed on, but says who asked. */
  | { readonly kind: "refused"; readonly startup: Startup; readonly error: ProxyError };

export interface Startup {
  /** `3.0`, as asked for; the server may negotiate it down. */
  readonly protocol: string;
  readonly user: string;
  /** The user's name when the client gave none, as PostgreSQL does. */
  readonly database: string;
  readonly parameters: ReadonlyMap<string, string>;
}

/** Gathers the first packet, however it is split. Feed it until it answers. */
export class StartupReader {
  #bytes: Buffer = Buffer.alloc(0);

  /**
   * @returns the packet once it is complete
   * @throws ProxyError `protocol_violation`, when there is nobody to name: bytes behind the packet (for an SSLRequest
   *   they would be data smuggled in before encryption, CVE-2021-23214), a length out of bounds, a malformed parameter
   *   list
   */
  feed(chunk: Buffer): FirstPacket | undefined {
    this.#bytes = this.#bytes.length === 0 ? chunk : Buffer.concat([this.#bytes, chunk]);
    const bytes = this.#bytes;
    if (bytes[0] === TLS_HANDSHAKE) return { kind: "tls" };
    if (bytes.length < 4) return undefined;
    const length = bytes.readUInt32BE(0);
    if (length < 8 || length > MAX_STARTUP_BYTES) throw violation(`the first packet claims ${length} bytes`);
    if (bytes.length < length) return undefined;
    this.#bytes = Buffer.alloc(0);
    const packet = parseFirstPacket(bytes.subarray(0, length));
    if (bytes.length === length) return packet;
    const error = violation(`${bytes.length - length} bytes behind the first packet`);
    if (packet.kind === "startup") return { kind: "refused", startup: packet.startup, error };
    if (packet.kind === "refused") return packet;
    throw error;
  }
}

function parseFirstPacket(packet: Buffer): FirstPacket {
  const code = packet.readUInt32BE(4);
  switch (code) {
    case SSL_REQUEST:
    case GSSENC_REQUEST:
      if (packet.length !== 8) throw violation("an encryption request of the wrong size");
      return { kind: code === SSL_REQUEST ? "ssl" : "gssenc" };
    case CANCEL_REQUEST:
      // Protocol 3.2: the key has 4 to 256 bytes.
      if (packet.length < 16 || packet.length > 12 + 256) throw violation("a cancel request of the wrong size");
      return { kind: "cancel", pid: packet.readUInt32BE(8), key: Buffer.from(packet.subarray(12)) };
    default:
      return parseStartup(packet, code);
  }
}

function parseStartup(packet: Buffer, version: number): FirstPacket {
  const major = Math.floor(version / 0x10000);
  if (major !== 3) throw violation(`protocol version ${major}.${version % 0x10000}; this proxy speaks 3`);
  const parameters = new Map<string, string>();
  const error = readParameters(packet, parameters);
  const user = parameters.get("user");
  if (user === undefined || user === "") throw error ?? violation("no user name in the startup packet");
  const database = parameters.get("database");
  const startup = {
    protocol: `3.${version % 0x10000}`,
    user,
    database: database === undefined || database === "" ? user : database,
    parameters,
  };
  for (const name of [startup.user, startup.database]) {
    const bytes = Buffer.byteLength(name);
    if (bytes > MAX_NAME_BYTES) throw violation(`a name of ${bytes} bytes, where ${MAX_NAME_BYTES} are the limit`);
  }
  const refusal = error ?? refusedName("database", startup.database);
  if (refusal !== undefined) return { kind: "refused", startup, error: refusal };
  return { kind: "startup", raw: Buffer.from(packet), startup };
}

/**
 * PostgreSQL cuts a name that is too long, and lets in whom the rest of it names: somebody else than the access rules were
 * asked about, and the log tells of.
 * @returns why a server must not be given this name; undefined when it may
 */
export function refusedName(what: "user" | "database", name: string): ProxyError | undefined {
  const bytes = Buffer.byteLength(name);
  if (bytes <= SERVER_NAME_BYTES) return undefined;
  return violation(`a ${what} name of ${bytes} bytes, of which PostgreSQL would read ${SERVER_NAME_BYTES}`);
}

/** @returns what is wrong with them, if anything is; what stands before it was read */
function readParameters(packet: Buffer, into: Map<string, string>): ProxyError | undefined {
  let at = 8;
  try {
    for (;;) {
      const name = cString(packet, at);
      at = name.end;
      if (name.text === "") break;
      const value = cString(packet, at);
      at = value.end;
      if (into.has(name.text)) return violation(`startup parameter ${JSON.stringify(name.text)} given twice`);
      into.set(name.text, value.text);
    }
  } catch (error) {
    if (error instanceof ProxyError) return error;
    throw error;
  }
  return at === packet.length ? undefined : violation("bytes behind the startup parameters");
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** A string up to its NUL. Names end up in entries, which are UTF-8: one that is not cannot be recorded as it is. */
function cString(bytes: Buffer, from: number): { readonly text: string; readonly end: number } {
  const nul = bytes.indexOf(0, from);
  if (nul < 0) throw violation("a startup parameter without its end");
  try {
    return { text: utf8.decode(bytes.subarray(from, nul)), end: nul + 1 };
  } catch {
    throw violation("a startup parameter that is not UTF-8");
  }
}

function violation(what: string): ProxyError {
  return new ProxyError("protocol_violation", `invalid startup packet: ${what}`);
}
