import { once } from "node:events";
import { connect, type Socket } from "node:net";

/** What the server said to one text. */
export interface Answer {
  /** Command tags, one for each statement that ended. */
  readonly tags: readonly string[];
  /** Of the last result that had rows: the columns of each, as text. */
  readonly rows: readonly (readonly (string | null)[])[];
  /** The primary messages of its notices. */
  readonly notices: readonly string[];
  /** Of the transaction afterwards: I, T or E. */
  readonly status: string;
  /** SQLSTATE and message. */
  readonly error?: { readonly code: string; readonly message: string };
}

/** A client of its own for the tests: what it takes to send a text and to read the answer. */
export class Client {
  readonly #socket: Socket;
  #received: Buffer = Buffer.alloc(0);
  #wake: () => void = () => {};

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("data", (chunk) => {
      this.#received = Buffer.concat([this.#received, chunk]);
      this.#wake();
    });
    socket.on("close", () => this.#wake());
  }

  static async connect(path: string, user: string): Promise<Client> {
    for (let attempt = 0; ; attempt++) {
      const socket = connect(path);
      try {
        await once(socket, "connect");
      } catch (error) {
        // The file is there a little before anybody listens.
        if ((error as { code?: string }).code !== "ECONNREFUSED" || attempt > 200) throw error;
        await new Promise((resolve) => setTimeout(resolve, 50));
        continue;
      }
      const client = new Client(socket);
      const body = Buffer.from(`\0\x03\0\0user\0${user}\0database\0postgres\0\0`, "latin1");
      const length = Buffer.alloc(4);
      length.writeInt32BE(body.length + 4);
      socket.write(Buffer.concat([length, body]));
      const { error } = await client.#answer();
      if (error === undefined) return client;
      socket.destroy();
      // 57P03: it is still starting
      if (error.code !== "57P03" || attempt > 1200) throw new Error(`${error.code} ${error.message}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  query(sql: string): Promise<Answer> {
    this.#socket.write(message("Q", Buffer.from(`${sql}\0`)));
    return this.#answer();
  }

  /** Parse and Sync: the server reads the text and executes nothing. */
  parse(sql: string): Promise<Answer> {
    this.#socket.write(Buffer.concat([message("P", Buffer.from(`\0${sql}\0\0\0`)), message("S", Buffer.alloc(0))]));
    return this.#answer();
  }

  end(): void {
    // A server that is stopped now may be gone before it has read this, which resets the connection.
    this.#socket.on("error", () => {});
    this.#socket.end(message("X", Buffer.alloc(0)));
  }

  async #answer(): Promise<Answer> {
    const tags: string[] = [];
    const rows: (string | null)[][] = [];
    const notices: string[] = [];
    let error: Answer["error"];
    let status = "";
    for (;;) {
      const { type, body } = await this.#next();
      if (type === "C") tags.push(body.toString("utf8", 0, body.length - 1));
      else if (type === "T") rows.length = 0;
      else if (type === "D") rows.push(columns(body));
      else if (type === "E") error = fields(body);
      else if (type === "N") notices.push(fields(body).message);
      // COPY FROM STDIN: there is nothing
      else if (type === "G") this.#socket.write(message("c", Buffer.alloc(0)));
      if (type === "Z") status = body.toString("latin1", 0, 1);
      // No ReadyForQuery follows what ends the session.
      if (type === "Z" || error?.code.startsWith("57P")) break;
    }
    return { tags, rows, notices, status, ...(error === undefined ? {} : { error }) };
  }

  async #next(): Promise<{ type: string; body: Buffer }> {
    for (;;) {
      if (this.#received.length >= 5) {
        const size = this.#received.readInt32BE(1) + 1;
        if (this.#received.length >= size) {
          const type = this.#received.toString("latin1", 0, 1);
          const body = this.#received.subarray(5, size);
          this.#received = this.#received.subarray(size);
          return { type, body };
        }
      }
      if (this.#socket.destroyed) throw new Error("the server closed the connection");
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}

function message(type: string, body: Buffer): Buffer {
  const head = Buffer.alloc(5);
  head.write(type, "latin1");
  head.writeInt32BE(body.length + 4, 1);
  return Buffer.concat([head, body]);
}

function columns(body: Buffer): (string | null)[] {
  const result: (string | null)[] = [];
  let at = 2;
  for (let i = body.readInt16BE(0); i > 0; i--) {
    const length = body.readInt32BE(at);
    at += 4;
    if (length < 0) result.push(null);
    else {
      result.push(body.toString("utf8", at, at + length));
      at += length;
    }
  }
  return result;
}

function fields(body: Buffer): { code: string; message: string } {
  const all = Object.fromEntries(
    body
      .toString("utf8")
      .split("\0")
      .map((field) => [field.slice(0, 1), field.slice(1)]),
  );
  return { code: all.C ?? "", message: all.M ?? "" };
}
