import type { Socket } from "node:net";
import { addressOf } from "../address/client.ts";
import type { Recorder } from "../audit/index.ts";
import { HeldQueue } from "./held.ts";
import { Linger } from "./linger.ts";

/** What is heard of a client. */
export interface ClientHears {
  data(chunk: Buffer): void;
  /** It sends no more. */
  end(): void;
  drain(): void;
  close(): void;
  /** What was held was written. */
  released(): void;
}

/** One client's socket: what it is sent, when that may be sent, and the end. */
export class ClientSocket {
  /** `host:port`, or `[local]`. */
  readonly address: string;
  ended = false;
  gone = false;
  readonly #recorder: Recorder;
  readonly #hears: ClientHears;
  #socket: Socket;
  #held: HeldQueue;
  #linger: Linger;
  #ending = false;
  #destroyed = false;

  /** @param local it is a Unix socket */
  constructor(socket: Socket, local: boolean, recorder: Recorder, hears: ClientHears) {
    this.address = addressOf(socket, local);
    this.#recorder = recorder;
    this.#hears = hears;
    this.#socket = socket;
    this.#held = this.#holding(socket);
    this.#linger = new Linger(socket);
    this.#listen(socket);
  }

  /** Once there was a handshake, the one inside TLS. */
  get socket(): Socket {
    return this.#socket;
  }

  /** What it is sent goes through here. */
  get held(): HeldQueue {
    return this.#held;
  }

  /** Its bytes are somebody else's until `goOn`. */
  letGo(): void {
    this.#socket.pause();
    for (const [event, listener] of Object.entries(this.#listeners)) this.#socket.off(event, listener);
  }

  /** Goes on with the bytes of another socket. */
  goOn(socket: Socket): void {
    this.#socket = socket;
    this.#held = this.#holding(socket);
    this.#linger = new Linger(socket);
    this.#listen(socket);
    // It was ended in between.
    if (this.#destroyed) socket.destroy();
  }

  /**
   * Says something of the proxy's own. In the middle of a message of the server's it would be taken for its content: then
   * it stays unsaid.
   * @param wait the spool position that must be durable before
   */
  say(message: Buffer, wait: number): void {
    if (this.gone || !this.#held.atBoundary) return;
    this.#held.push(message, wait, true);
    this.#held.flush();
  }

  /** Nothing more will be said to it: closes when what is held was sent, and taken. */
  endWhenReleased(): void {
    this.#ending = true;
    this.endIfAsked();
  }

  /** What was held was written: that may have been the last of it. */
  endIfAsked(): void {
    if (this.#ending && !this.gone && this.#held.empty) this.#linger.begin();
  }

  destroy(): void {
    this.#destroyed = true;
    this.#socket.destroy();
  }

  readonly #listeners = {
    data: (chunk: Buffer): void => this.#hears.data(chunk),
    end: (): void => this.#hears.end(),
    drain: (): void => this.#hears.drain(),
    close: (): void => this.closed(),
  };

  #listen(socket: Socket): void {
    for (const [event, listener] of Object.entries(this.#listeners)) socket.on(event, listener);
    // "close" follows, and says all that matters here.
    socket.on("error", () => socket.destroy());
  }

  /** It is gone. For who has been given its bytes to tell. */
  closed(): void {
    this.#linger.stop();
    this.gone = true;
    this.#hears.close();
  }

  #holding(socket: Socket): HeldQueue {
    return new HeldQueue(this.#recorder, socket, () => {
      this.#hears.released();
    });
  }
}
