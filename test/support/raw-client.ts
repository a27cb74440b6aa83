/** A client that sends exactly the bytes it is told to, and keeps exactly the bytes it gets. */
import { connect, type Socket } from "node:net";

export interface Message {
  readonly type: string;
  readonly bytes: Buffer;
}

export function message(type: string, body: Buffer | string = ""): Buffer {
  const content = Buffer.from(body as string);
  const head = Buffer.alloc(5);
  head.write(type, 0, "latin1");
  head.writeInt32BE(content.length + 4, 1);
  return Buffer.concat([head, content]);
}

const u16 = (n: number): Buffer => Buffer.from([Math.floor(n / 256), n % 256]);
const i32 = (n: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(n);
  return bytes;
};

/** The frontend messages, as the protocol's chapter "Message Formats" lays them out. */
export const send = {
  query: (sql: string): Buffer => message("Q", `${sql}\0`),
  parse: (sql: string, name = ""): Buffer => message("P", Buffer.concat([Buffer.from(`${name}\0${sql}\0`), u16(0)])),
  bind: (values: readonly (string | Buffer | null)[] = [], statement = "", portal = ""): Buffer => {
    const parts = values.map((value) => {
      if (value === null) return i32(-1);
      const bytes = Buffer.from(value as string);
      return Buffer.concat([i32(bytes.length), bytes]);
    });
    const names = Buffer.from(`${portal}\0${statement}\0`);
    return message("B", Buffer.concat([names, u16(0), u16(values.length), ...parts, u16(0)]));
  },
  describe: (what: "S" | "P", name = ""): Buffer => message("D", `${what}${name}\0`),
  execute: (portal = "", rows = 0): Buffer => message("E", Buffer.concat([Buffer.from(`${portal}\0`), i32(rows)])),
  close: (what: "S" | "P", name = ""): Buffer => message("C", `${what}${name}\0`),
  sync: (): Buffer => message("S"),
  flush: (): Buffer => message("H"),
  copyData: (data: string | Buffer): Buffer => message("d", data),
  copyDone: (): Buffer => message("c"),
  copyFail: (why: string): Buffer => message("f", `${why}\0`),
  functionCall: (oid: number, args: readonly string[]): Buffer => {
    const parts = args.map((value) => Buffer.concat([i32(Buffer.byteLength(value)), Buffer.from(value)]));
    return message("F", Buffer.concat([i32(oid), u16(0), u16(args.length), ...parts, u16(0)]));
  },
  terminate: (): Buffer => message("X"),
} as const;

export function startupPacket(parameters: Record<string, string>, version = 196608): Buffer {
  const text = Object.entries(parameters).map(([name, value]) => `${name}\0${value}\0`);
  const body = Buffer.from(`${text.join("")}\0`);
  return Buffer.concat([i32(8 + body.length), i32(version), body]);
}

export class RawClient {
  readonly socket: Socket;
  readonly messages: Message[] = [];
  closed = false;
  #rest: Buffer = Buffer.alloc(0);
  #changed: (() => void) | undefined;

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on("data", (chunk: Buffer) => this.#read(chunk));
    socket.on("error", () => undefined);
    socket.on("close", () => {
      this.closed = true;
      this.#changed?.();
    });
  }

  static async open(port: number): Promise<RawClient> {
    const socket = connect({ host: "127.0.0.1", port, noDelay: true });
    await new Promise<void>((resolve, reject) => {
      socket.once("connect", resolve);
      socket.once("error", reject);
    });
    return new RawClient(socket);
  }

  /** Logs in as a role that needs no password. */
  static async login(port: number, parameters: Record<string, string>): Promise<RawClient> {
    const client = await RawClient.open(port);
    client.write(startupPacket(parameters));
    await client.until((messages) => messages.some(({ type }) => type === "Z"));
    return client;
  }

  write(...parts: Buffer[]): void {
    this.socket.write(Buffer.concat(parts));
  }

  /** Sends with a pause after each piece, so that each arrives as a read of its own. */
  async writeSlowly(bytes: Buffer, size: number): Promise<void> {
    for (let at = 0; at < bytes.length; at += size) {
      this.socket.write(bytes.subarray(at, at + size));
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  /** Waits until the messages so far are as wanted, or the server has closed. */
  async until(wanted: (messages: readonly Message[]) => boolean, withinMs = 30_000): Promise<Message[]> {
    const deadline = Date.now() + withinMs;
    while (!wanted(this.messages) && !this.closed) {
      const left = deadline - Date.now();
      if (left <= 0) throw new Error(`waited in vain; got ${this.types()}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, Math.min(left, 200));
        this.#changed = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    return this.messages.splice(0);
  }

  /** Waits for so many ReadyForQuery. */
  ready(count = 1, withinMs?: number): Promise<Message[]> {
    return this.until((messages) => messages.filter(({ type }) => type === "Z").length >= count, withinMs);
  }

  types(): string {
    return this.messages.map(({ type }) => type).join("");
  }

  async end(): Promise<void> {
    this.socket.end(send.terminate());
    await this.until(() => this.closed);
  }

  #read(chunk: Buffer): void {
    let bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    while (bytes.length >= 5 && bytes.length >= 1 + bytes.readInt32BE(1)) {
      const size = 1 + bytes.readInt32BE(1);
      this.messages.push({ type: String.fromCharCode(bytes[0]!), bytes: bytes.subarray(0, size) });
      bytes = bytes.subarray(size);
    }
    this.#rest = bytes;
    this.#changed?.();
  }
}

/** The value of an ErrorResponse's field. */
export function errorField(error: Message, field: string): string | undefined {
  const fields = error.bytes.toString("utf8", 5).split("\0");
  return fields.find((text) => text.startsWith(field))?.slice(1);
}
