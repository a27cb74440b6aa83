import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";
import { B } from "./session/stage.ts";

/** One connection to it. */
export class Backend {
  readonly socket: Socket;
  /** Everything behind the startup packet. */
  received: Buffer = Buffer.alloc(0);
  /** Does not notice that the client is gone, as in the middle of a statement. */
  busy = false;
  #startup: Buffer = Buffer.alloc(0);
  #begun = false;

  constructor(socket: Socket, onStartup: (backend: Backend) => void) {
    this.socket = socket;
    socket.on("error", () => undefined);
    socket.on("end", () => {
      if (!this.busy) socket.end();
    });
    socket.on("data", (chunk: Buffer) => {
      if (this.#begun) {
        this.received = Buffer.concat([this.received, chunk]);
        return;
      }
      this.#startup = Buffer.concat([this.#startup, chunk]);
      if (this.#startup.length < 4 || this.#startup.length < this.#startup.readUInt32BE(0)) return;
      this.#begun = true;
      this.received = this.#startup.subarray(this.#startup.readUInt32BE(0));
      onStartup(this);
    });
  }

  send(...messages: Buffer[]): void {
    this.socket.write(Buffer.concat(messages));
  }
}

/** A server that lets everybody in and then does what the test tells it. */
export class FakePostgres {
  readonly backends: Backend[] = [];
  port = 0;
  onStartup: (backend: Backend) => void = (backend) => backend.send(B.auth(0), B.key(77), B.ready());
  /** What comes before a startup packet: it begins on the socket that is handed on. */
  onConnection: (socket: Socket, begin: (socket: Socket) => void) => void = (socket, begin) => begin(socket);
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  constructor() {
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
      this.#sockets.add(socket.once("close", () => this.#sockets.delete(socket)));
      this.onConnection(socket, (begun) => {
        this.backends.push(new Backend(begun, (backend) => this.onStartup(backend)));
      });
    });
  }

  async listen(): Promise<this> {
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
    this.port = (this.#server.address() as { port: number }).port;
    return this;
  }

  get last(): Backend {
    return this.backends.at(-1)!;
  }

  /** Nobody listens any more. */
  async close(): Promise<void> {
    for (const { socket } of this.backends) socket.destroy();
    for (const socket of this.#sockets) socket.destroy();
    if (!this.#server.listening) return;
    this.#server.close();
    await once(this.#server, "close");
  }
}
