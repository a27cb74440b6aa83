import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { Backend, ClientEnd } from "./backend.ts";
import type { ConnectionContext, ConnectionEvents, ConnectionInfo, ConnectionState } from "./connection-context.ts";
import { reasonOf } from "./end-reason.ts";
import { ProxyError } from "./errors.ts";
import { HeldQueue } from "./held.ts";
import { Linger } from "./linger.ts";
import { BackendSide } from "./session/backend-side.ts";
import { FrontendSide } from "./session/frontend-side.ts";
import { type EndReason, Session } from "./session/session.ts";
import { Splice } from "./session/splice.ts";
import { SessionCancel } from "./session-cancel.ts";
import { Timeouts } from "./timeouts.ts";
import { type Accepted, type ClientEncryption, type EncryptionRequest, Negotiation } from "./tls/index.ts";
import { Framer } from "./wire/framer.ts";
import { type Startup, StartupReader } from "./wire/startup.ts";
import { errorResponse, fatalResponse, noticeResponse, TERMINATE } from "./wire/write.ts";

/** Held client bytes beyond which the client is not read any further. */
const HELD_LIMIT = 1 << 18;
/**
 * Unanswered statements beyond which the client is not read any further: each is an intent, in memory and in the spool.
 * More than the server can have answered without sending it: its buffer of 8 KiB holds 1,638 of the shortest answers,
 * and without a Sync it sends no part of it.
 */
const EXECUTING_LIMIT = 4096;
/** Bytes of answer that a vanished client may leave unread before its statement is cancelled, as a failed send would. */
const UNREAD_LIMIT = 1 << 20;
/** How long a server has for the cancel of what nobody wants any more; then its connection is closed. */
const CANCELLED_MS = 2_000;

/** One client and its server connection: sockets, back-pressure, and the order in which either may see bytes. */
export class Connection {
  /** Its socket; from the handshake on, the one inside TLS. */
  #client: Socket;
  readonly #context: ConnectionContext;
  readonly #events: ConnectionEvents;
  #reader = new StartupReader();
  readonly #negotiation: Negotiation;
  #shakingHands = false;
  #encryption: ClientEncryption | undefined;
  /** What is wrong with the certificate that the client showed, or did not. */
  #uncertified: ProxyError | undefined;
  #loginTimer: NodeJS.Timeout | undefined;
  #backend: Backend | undefined;
  /** The backend's stream. */
  #server: Duplex | undefined;
  #session: Session | undefined;
  #fromClient: Framer | undefined;
  #fromServer: Framer | undefined;
  /** Where access rules are, or once the proxy itself was asked: what of the server's bytes the client is sent. */
  #splice: Splice | undefined;
  /** There is to be one from the server's next message on. */
  #spliceWanted = false;
  #toServer: HeldQueue | undefined;
  #toClient: HeldQueue;
  #reason: EndReason = "client-closed";
  #serverClosed = false;
  #clientEnded = false;
  #clientGone = false;
  #unreadBytes = 0;
  readonly #connectedAt = new Date();
  #heardAt = Date.now();
  #cancels: SessionCancel | undefined;
  #timeouts: Timeouts | undefined;
  #endClient = false;
  #linger: Linger;
  #failing = false;
  #draining = false;
  #finished = false;

  constructor(client: Socket, context: ConnectionContext, events: ConnectionEvents) {
    this.#client = client;
    this.#context = context;
    this.#events = events;
    this.#negotiation = new Negotiation(context.tls !== undefined);
    this.#linger = new Linger(client);
    this.#toClient = new HeldQueue(context.shared.recorder, client, () => this.#afterClientRelease());
    this.#loginTimer = setTimeout(
      () => this.fail(new ProxyError("protocol_violation", "the login took too long")),
      context.settings.loginTimeoutMs,
    );
    this.#listen(client);
  }

  readonly #onData = (chunk: Buffer): void => this.#guard(() => this.#onClientData(chunk));
  readonly #onEnd = (): void => this.#onClientEnd();
  readonly #onDrain = (): void => this.#updateFlow();
  readonly #onClose = (): void => this.#onClientClose();

  #listen(client: Socket): void {
    client.on("data", this.#onData).on("end", this.#onEnd).on("drain", this.#onDrain).on("close", this.#onClose);
    // "close" follows, and says all that matters here.
    client.on("error", () => client.destroy());
  }

  /** Stop when nothing is under way: at once if idle, else at the end of the statement or transaction. */
  drain(): void {
    this.#draining = true;
    this.#closeIfDrained();
  }

  /** Stop now. A statement under way is cancelled, as the server's own shutdown would do. */
  stop(): void {
    this.fail(new ProxyError("shutting_down", "terminating connection: the proxy is being stopped"));
    this.#cancelBusy();
  }

  /** Ends it now, with a word to the client. A server that does not stop for that either is left. */
  expire(error: ProxyError): void {
    this.fail(error);
    this.#cancelBusy();
    if (!this.#finished) setTimeout(() => this.#server?.destroy(), CANCELLED_MS).unref();
  }

  get state(): ConnectionState {
    if (this.#failing || this.#serverClosed) return "ending";
    if (this.#session?.phase !== "ready") return "login";
    const { idle, tx } = this.#session.tracker;
    if (!idle) return "active";
    return tx === "I" ? "idle" : "transaction";
  }

  /** Undefined before it says who it is. */
  get info(): ConnectionInfo | undefined {
    const session = this.#session;
    if (session === undefined) return undefined;
    return {
      id: session.id,
      kind: this.#backend?.kind ?? "relay",
      user: session.startup.user,
      database: session.startup.database,
      address: session.address,
      application: session.application,
      encrypted: this.#encryption !== undefined,
      state: this.state,
      connectedAt: this.#connectedAt,
      heardAt: new Date(this.#heardAt),
      pid: session.key?.pid,
    };
  }

  /** The limits, or what is paused, may be others now. */
  surroundingsChanged(): void {
    this.#timeouts?.changed();
    this.#updateFlow();
  }

  /** Ends it now, whatever the peers do: when this returns its record is closed. */
  abandon(): void {
    this.#client.destroy();
    this.#server?.destroy();
    this.#finish();
  }

  /** Tells the client, if the stream allows it, and closes both sides. */
  fail(error: ProxyError): void {
    const spoolFailed = this.#context.shared.recorder.state === "failed";
    if (this.#failing || this.#finished) {
      // Its last bytes may wait for a spool that will never take them.
      if (spoolFailed) this.#client.destroy();
      return;
    }
    if (this.#shakingHands) {
      // There is no way to tell it anything.
      this.abandon();
      return;
    }
    this.#failing = true;
    clearTimeout(this.#loginTimer);
    this.#timeouts?.stop();
    const session = this.#session;
    this.#context.metrics.errors.inc({ code: error.code });
    if (session === undefined || session.phase === "ready") this.#context.shared.watch?.failed(session, error);
    this.#reason = reasonOf(error);
    // What stands before a bad message in the same read goes its way, as if it had come alone.
    if (!spoolFailed) this.#toServer?.flush();
    this.#session?.unsent();
    this.#toServer?.clear();
    const wait = this.#session?.refuse(error) ?? 0;
    // When the spool cannot be written nothing becomes durable any more: what is held stays unsaid, but not why.
    if (spoolFailed) this.#toClient.clear();
    // In the middle of a message of the server's, an ErrorResponse would be taken for its content.
    if (this.#toClient.atBoundary) {
      this.#toClient.push(fatalResponse(error), spoolFailed ? 0 : wait, true);
      this.#toClient.flush();
    }
    this.#endClientWhenReleased();
    if (this.#server === undefined || this.#serverClosed) {
      this.#finish();
    } else if (!this.#toServer!.atBoundary) {
      this.#server.destroy();
    } else if (!this.#server.writableEnded) {
      this.#server.end(TERMINATE);
    }
    this.#updateFlow();
  }

  // --- the client's bytes ------------------------------------------------------------------------------------------

  #onClientData(chunk: Buffer): void {
    if (this.#failing) return;
    this.#heardAt = Date.now();
    this.#context.metrics.bytesIn.inc(chunk.length);
    if (this.#fromClient === undefined) {
      this.#onFirstPacket(chunk);
      return;
    }
    this.#fromClient.feed(chunk);
    this.#toServer!.flush();
    this.#timeouts?.seen();
    this.#updateFlow();
  }

  #onFirstPacket(chunk: Buffer): void {
    const packet = this.#reader.feed(chunk);
    if (packet === undefined) return;
    switch (packet.kind) {
      case "tls":
      case "ssl":
      case "gssenc":
        this.#answerEncryption(packet.kind, chunk);
        return;
      case "cancel":
        clearTimeout(this.#loginTimer);
        // Whatever else it sends is not heard.
        this.#failing = true;
        this.#context.keys.request(packet).finally(() => {
          this.#endClientWhenReleased();
          this.#finish();
        });
        return;
      case "refused":
      case "startup": {
        const { shared, nextSessionId } = this.#context;
        this.#session = new Session(shared, packet.startup, addressOf(this.#client), () =>
          nextSessionId(packet.startup),
        );
        this.#session.encryption = this.#encryption;
        if (packet.kind === "refused") throw packet.error;
        const refusal = this.#refusal(packet.startup);
        if (refusal !== undefined) throw refusal;
        this.#client.pause();
        const { startup, raw } = packet;
        const end = { startup, raw, address: addressOf(this.#client), encryption: this.#encryption };
        this.#connect({ ...end, unanswered: this.#session.tracker }).catch((error: unknown) => this.#guardError(error));
      }
    }
  }

  #answerEncryption(request: EncryptionRequest, chunk: Buffer): void {
    switch (this.#negotiation.answer(request)) {
      case "close":
        this.#client.destroy();
        return;
      case "decline":
        this.#client.write("N");
        return;
      case "accept":
        this.#client.write("S");
        void this.#encrypt(undefined);
        return;
      case "direct":
        void this.#encrypt(chunk);
    }
  }

  /** From here on the client's bytes are those inside TLS. */
  async #encrypt(first: Buffer | undefined): Promise<void> {
    const raw = this.#client;
    this.#shakingHands = true;
    raw.pause();
    raw.off("data", this.#onData).off("end", this.#onEnd).off("drain", this.#onDrain).off("close", this.#onClose);
    let accepted: Accepted;
    try {
      accepted = await this.#context.tls!.accept(raw, first);
    } catch {
      // Whoever it is could not be told anything, and has asked for nothing yet.
      this.#context.metrics.handshakeErrors.inc();
      raw.destroy();
      this.#onClientClose();
      return;
    }
    const { socket, encryption, refusal } = accepted;
    this.#shakingHands = false;
    this.#client = socket;
    this.#encryption = encryption;
    this.#uncertified = refusal;
    this.#reader = new StartupReader();
    this.#linger = new Linger(socket);
    this.#toClient = new HeldQueue(this.#context.shared.recorder, socket, () => this.#afterClientRelease());
    this.#listen(socket);
    // It was ended while its hands were shaken.
    if (this.#finished) socket.destroy();
  }

  #refusal(startup: Startup): ProxyError | undefined {
    const plain = this.#encryption === undefined ? this.#context.tls?.plainRefusal : this.#uncertified;
    if (plain !== undefined) return plain;
    const replication = startup.parameters.get("replication");
    if (replication !== undefined && !["false", "off", "no", "0"].includes(replication.toLowerCase())) {
      return new ProxyError("not_supported", "replication connections are not passed through this proxy");
    }
    return this.#context.admission(startup);
  }

  async #connect(end: ClientEnd): Promise<void> {
    const { open, settings, shared, metrics } = this.#context;
    const began = performance.now();
    const backend = await open(end);
    metrics.connects.observe((performance.now() - began) / 1000);
    const server = backend.stream;
    if (this.#failing || this.#clientGone) {
      server.destroy();
      this.#finish();
      return;
    }
    this.#backend = backend;
    this.#server = server;
    const session = this.#session!;
    session.backend = backend;
    this.#toServer = new HeldQueue(shared.recorder, server, () => this.#afterServerRelease());
    this.#fromClient = new Framer(
      new FrontendSide(
        session,
        {
          forward: (bytes, wait, whole) => this.#toServer!.push(bytes, wait, whole),
          completed: (wait) => this.#toServer!.complete(wait),
          terminated: () => {
            this.#reason = "client-terminated";
          },
        },
        settings,
      ),
    );
    if (session.access !== undefined) this.#splice = new Splice(new BackendSide(session), session);
    this.#fromServer = new Framer(this.#splice ?? new BackendSide(session));
    const cancels = new SessionCancel(
      backend,
      () => (this.#finished ? undefined : session.key),
      () => this.#updateFlow(),
    );
    this.#cancels = cancels;
    session.onExceeded = (execution) => cancels.exceeding(execution);
    session.onShows = () => {
      this.#spliceWanted = this.#splice === undefined;
    };
    server.on("data", (chunk: Buffer) => this.#guard(() => this.#onServerData(chunk)));
    server.on("drain", () => this.#updateFlow());
    server.on("error", (error) => (error instanceof ProxyError ? this.fail(error) : server.destroy()));
    server.on("close", () => this.#onServerClose());
    server.on("end", () => server.end());
    this.#client.resume();
    this.#updateFlow();
  }

  // --- the server's bytes ------------------------------------------------------------------------------------------

  #onServerData(chunk: Buffer): void {
    const session = this.#session!;
    const wasReady = session.phase === "ready";
    const begun = this.#spliceWanted ? this.#spliceFrom(session, chunk) : 0;
    this.#fromServer!.feed(begun === 0 ? chunk : chunk.subarray(begun));
    if (!wasReady && session.phase === "ready") this.#onReady(session);
    this.#timeouts?.seen();
    this.#context.metrics.bytesOut.inc(chunk.length);
    const pieces = this.#splice?.take();
    if (this.#failing || this.#clientGone) {
      this.#discard(chunk.length);
    } else {
      if (pieces === undefined) this.#toClient.push(chunk, session.gate, this.#fromServer!.atBoundary);
      else {
        if (begun > 0) this.#toClient.push(chunk.subarray(0, begun), session.gate, this.#splice !== undefined);
        for (const { bytes, whole } of pieces) this.#toClient.push(bytes, session.gate, whole);
      }
      this.#toClient.flush();
      this.#updateFlow();
    }
    if (this.#draining) this.#closeIfDrained();
  }

  /**
   * The message that is passing by was begun without a splice, and goes its way without. What the proxy answers itself
   * comes later, for it was asked only now.
   * @returns how many bytes of the chunk belong to that message
   */
  #spliceFrom(session: Session, chunk: Buffer): number {
    const begun = this.#fromServer!.finish(chunk);
    if (this.#fromServer!.atBoundary) {
      this.#spliceWanted = false;
      this.#splice = new Splice(new BackendSide(session), session);
      this.#fromServer = new Framer(this.#splice);
    }
    return begun;
  }

  #onReady(session: Session): void {
    clearTimeout(this.#loginTimer);
    if (session.key !== undefined) this.#context.keys.add(session.key, this.#backend!);
    this.#events.loggedIn();
    // What an operator waits for takes its time, and he may watch for as long as he likes.
    if (this.#backend!.kind === "console") return;
    const { tracker } = session;
    this.#timeouts = new Timeouts(
      () => this.#context.settings,
      () => ({ idle: tracker.idle, tx: tracker.tx, statements: tracker.ledger.totals.statements }),
      { cancel: (afterMs) => this.#cancelLate(afterMs), expire: (error) => this.expire(error) },
    );
  }

  #discard(bytes: number): void {
    this.#unreadBytes += bytes;
    if (this.#unreadBytes >= UNREAD_LIMIT) this.#cancels?.forGood();
  }

  #cancelBusy(): void {
    if (this.#session?.phase === "ready" && !this.#session.tracker.idle) this.#cancels?.forGood();
  }

  /** The server will say that the statement was cancelled on request; by whom, only the proxy knows. */
  #cancelLate(afterMs: number): void {
    if (this.#failing || this.#serverClosed) return;
    this.#context.shared.watch?.timedOut(this.#session!, afterMs);
    if (this.#toClient.atBoundary && !this.#clientGone) {
      const message = `canceling statement due to statement timeout of the proxy (${afterMs} ms)`;
      this.#toClient.push(noticeResponse("statement_timeout", message), this.#session!.gate, true);
      this.#toClient.flush();
    }
    this.#cancels!.now();
    this.#updateFlow();
  }

  // --- flow --------------------------------------------------------------------------------------------------------

  #afterServerRelease(): void {
    this.#updateFlow();
    if (this.#clientEnded && this.#toServer!.empty) this.#server?.end();
  }

  #afterClientRelease(): void {
    this.#updateFlow();
    if (this.#endClient) this.#endClientWhenReleased();
    if (this.#draining) this.#closeIfDrained();
  }

  /** A side is read only while the other one takes what it is sent, and while not too much is held for the spool. */
  #updateFlow(): void {
    // Towards the end both are read, so that their ends are seen; what still comes is not passed on.
    const ending = this.#failing || this.#serverClosed;
    if (this.#server === undefined) {
      if (ending) flow(this.#client, true);
      return;
    }
    flow(this.#client, ending || this.#takesMore(this.#server));
    flow(this.#server, ending || this.#clientGone || (!this.#client.writableNeedDrain && this.#toClient.empty));
  }

  #takesMore(server: Duplex): boolean {
    const { executing, idle, tx } = this.#session!.tracker;
    if (idle && tx === "I" && this.#context.pauses?.holds(this.#session!.startup.database)) {
      // Before it is logged in it is held elsewhere; the console is where pauses end.
      if (this.#session!.phase === "ready" && this.#backend?.kind !== "console") return false;
    }
    if (this.#cancels!.underWay) return false;
    return !server.writableNeedDrain && this.#toServer!.heldBytes < HELD_LIMIT && executing < EXECUTING_LIMIT;
  }

  #closeIfDrained(): void {
    const { phase, tracker } = this.#session ?? { phase: "authenticating", tracker: undefined };
    if (phase === "ready" && tracker !== undefined && (!tracker.idle || tracker.tx !== "I" || !this.#toClient.empty))
      return;
    this.stop();
  }

  // --- the end -----------------------------------------------------------------------------------------------------

  #onClientEnd(): void {
    this.#clientEnded = true;
    if (this.#server === undefined) {
      this.#client.end();
      return;
    }
    if (this.#toServer!.empty) this.#server.end();
  }

  #onClientClose(): void {
    clearTimeout(this.#loginTimer);
    this.#linger.stop();
    this.#clientGone = true;
    this.#toClient.clear();
    if (this.#server === undefined) {
      // While it connects, #connect sees to the end.
      if (this.#session === undefined) this.#finish();
      return;
    }
    this.#clientEnded = true;
    if (this.#toServer!.empty) this.#server.end();
    this.#updateFlow();
  }

  #onServerClose(): void {
    this.#serverClosed = true;
    if (this.#finished) return;
    if (!this.#clientEnded && !this.#failing && this.#reason === "client-closed") this.#reason = "server-closed";
    const session = this.#session!;
    if (session.phase !== "ready" && session.gate === 0 && !this.#clientEnded && !this.#failing) {
      // It went away in the middle of the login without a word.
      this.fail(new ProxyError("upstream_lost", "the database server closed the connection during the login"));
      return;
    }
    const { phase, tracker } = session;
    const lost = this.#reason === "server-closed" && phase === "ready" && !tracker.idle && !tracker.fatal;
    this.#finish();
    if (lost && !this.#clientGone && this.#toClient.atBoundary) {
      const error = errorResponse("FATAL", "upstream_lost", "the connection to the database server was lost");
      this.#toClient.push(error, 0, true);
      this.#toClient.flush();
    }
    this.#endClientWhenReleased();
    this.#updateFlow();
  }

  #endClientWhenReleased(): void {
    this.#endClient = true;
    if (this.#clientGone || !this.#toClient.empty) return;
    this.#linger.begin();
  }

  /** No more answers can come: the session's record is closed. */
  #finish(): void {
    if (this.#finished) return;
    this.#finished = true;
    clearTimeout(this.#loginTimer);
    this.#timeouts?.stop();
    const key = this.#session?.key;
    if (key !== undefined) this.#context.keys.delete(key);
    this.#session?.end(this.#reason);
    this.#events.over();
  }

  #guard(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#guardError(error);
    }
  }

  #guardError(error: unknown): void {
    if (!(error instanceof ProxyError)) throw error;
    this.fail(error);
  }
}

function flow(socket: Duplex, on: boolean): void {
  if (on !== socket.isPaused()) return;
  if (on) socket.resume();
  else socket.pause();
}

/** @returns `host:port` */
export function addressOf(client: Socket): string {
  const { remoteAddress, remotePort } = client;
  if (remoteAddress === undefined) return "unknown";
  return remoteAddress.includes(":") ? `[${remoteAddress}]:${remotePort}` : `${remoteAddress}:${remotePort}`;
}
