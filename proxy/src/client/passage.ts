import type { Duplex } from "node:stream";
import type { Recorder } from "../audit/index.ts";
import { ProxyError } from "../errors.ts";
import { BackendSide } from "../session/backend-side.ts";
import { FrontendSide } from "../session/frontend-side.ts";
import type { Session } from "../session/session.ts";
import { Splice } from "../session/splice.ts";
import { Framer } from "../wire/framer.ts";
import { TERMINATE } from "../wire/write.ts";
import type { ClientSocket } from "./client-socket.ts";
import { HeldQueue } from "./held.ts";

/** Held client bytes beyond which the client is not read any further. */
const HELD_LIMIT = 1 << 18;
/** The same of the server's. Below it a server is read on: to stop for each answer and go on costs more than the answer. */
const HELD_ANSWER_LIMIT = 1 << 16;
/**
 * Unanswered statements beyond which the client is not read any further: each is an intent, in memory and in the spool.
 * More than the server can have answered without sending it: its buffer of 8 KiB holds 1,638 of the shortest answers,
 * and without a Sync it sends no part of it.
 */
const EXECUTING_LIMIT = 4096;

export interface PassageEvents {
  /** The client said goodbye. */
  terminated(): void;
  /** Bytes of the server's, for `fromServer`. */
  data(chunk: Buffer): void;
  /** Either side takes more than it did. */
  changed(): void;
  /** The stream has an error of the proxy's own to tell. */
  failed(error: ProxyError): void;
  /** The server's side is over. */
  closed(): void;
}

/** The bytes of one session: read on their way, and passed on in their order when they may be. */
export class Passage {
  serverClosed = false;
  readonly #server: Duplex;
  readonly #toServer: HeldQueue;
  readonly #session: Session;
  readonly #client: ClientSocket;
  readonly #fromClient: Framer;
  #fromServer: Framer;
  /** Where access rules are, or once the proxy itself was asked: what of the server's bytes the client is sent. */
  #splice: Splice | undefined;
  /** There is to be one from the server's next message on. */
  #spliceWanted = false;
  /** Of the server's bytes that were read last, so many belong to a message that goes its way without a splice. */
  #begun = 0;

  constructor(
    session: Session,
    client: ClientSocket,
    server: Duplex,
    recorder: Recorder,
    settings: { readonly statementBytes: number },
    events: PassageEvents,
  ) {
    this.#session = session;
    this.#client = client;
    this.#server = server;
    this.#toServer = new HeldQueue(recorder, server, () => {
      events.changed();
      if (client.ended) this.endWhenSent();
    });
    const forward = {
      forward: (bytes: Buffer, wait: number, whole: boolean) => this.#toServer.push(bytes, wait, whole),
      completed: (wait: number) => this.#toServer.complete(wait),
      terminated: () => events.terminated(),
    };
    this.#fromClient = new Framer(new FrontendSide(session, forward, settings));
    if (session.access !== undefined) this.#splice = new Splice(new BackendSide(session), session);
    this.#fromServer = new Framer(this.#splice ?? new BackendSide(session));
    session.onShows = () => {
      this.#spliceWanted = this.#splice === undefined;
    };
    server.on("data", (chunk: Buffer) => events.data(chunk));
    server.on("drain", () => events.changed());
    server.on("error", (error) => (error instanceof ProxyError ? events.failed(error) : server.destroy()));
    server.on("close", () => {
      this.serverClosed = true;
      events.closed();
    });
    server.on("end", () => server.end());
  }

  /** Reads the client's bytes, and sends on what may go. @throws ProxyError */
  fromClient(chunk: Buffer): void {
    this.#fromClient.feed(chunk);
    this.#toServer.flush();
  }

  /** Reads the server's bytes; `toClient` or `drop` is to follow. @throws ProxyError */
  fromServer(chunk: Buffer): void {
    this.#begun = this.#spliceWanted ? this.#spliceFrom(chunk) : 0;
    this.#fromServer.feed(this.#begun === 0 ? chunk : chunk.subarray(this.#begun));
  }

  /** Sends on what came of the bytes that were read last, as far as it may go. */
  toClient(chunk: Buffer): void {
    const { held } = this.#client;
    const { gate } = this.#session;
    const pieces = this.#splice?.take();
    if (pieces === undefined) held.push(chunk, gate, this.#fromServer.atBoundary);
    else {
      if (this.#begun > 0) held.push(chunk.subarray(0, this.#begun), gate, this.#splice !== undefined);
      for (const { bytes, whole } of pieces) held.push(bytes, gate, whole);
    }
    held.flush();
  }

  /** The bytes that were read last are not sent on. */
  drop(): void {
    this.#splice?.take();
  }

  /** The client sends no more: what is held for the server is the last of it. */
  endWhenSent(): void {
    // To end it twice costs an error with its stack, which nobody is told.
    if (this.#toServer.empty && !this.#server.writableEnded && !this.#server.destroyed) this.#server.end();
  }

  /** What is held for the server is never sent. @param flush what may go is sent first */
  dropUnsent(flush: boolean): void {
    if (flush) this.#toServer.flush();
    this.#session.unsent();
    this.#toServer.clear();
  }

  /** Nothing more is asked of the server. */
  leave(): void {
    // In the middle of a message a Terminate would be taken for its content.
    if (!this.#toServer.atBoundary) this.#server.destroy();
    else if (!this.#server.writableEnded) this.#server.end(TERMINATE);
  }

  destroy(): void {
    this.#server.destroy();
  }

  /**
   * The message that is passing by was begun without a splice, and goes its way without. What the proxy answers itself
   * comes later, for it was asked only now.
   * @returns how many bytes of the chunk belong to that message
   */
  #spliceFrom(chunk: Buffer): number {
    const begun = this.#fromServer.finish(chunk);
    if (this.#fromServer.atBoundary) {
      this.#spliceWanted = false;
      this.#splice = new Splice(new BackendSide(this.#session), this.#session);
      this.#fromServer = new Framer(this.#splice);
    }
    return begun;
  }

  /**
   * A side is read only while the other one takes what it is sent, and while not too much is held for the spool.
   * @param ending both are read, so that their ends are seen; what still comes is not passed on
   * @param waiting the client is not to be heard for now
   */
  flow(ending: boolean, waiting: boolean): void {
    const { socket, gone, held } = this.#client;
    flow(socket, ending || (!waiting && this.#takesMore()));
    flow(this.#server, ending || gone || (!socket.writableNeedDrain && held.heldBytes < HELD_ANSWER_LIMIT));
  }

  #takesMore(): boolean {
    if (this.#server.writableNeedDrain || this.#toServer.heldBytes >= HELD_LIMIT) return false;
    return this.#session.tracker.executing < EXECUTING_LIMIT;
  }
}

export function flow(socket: Duplex, on: boolean): void {
  if (on !== socket.isPaused()) return;
  if (on) socket.resume();
  else socket.pause();
}
