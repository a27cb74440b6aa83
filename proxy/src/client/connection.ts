import type { Socket } from "node:net";
import type { Backend, ClientEnd } from "../backend.ts";
import { ProxyError } from "../errors.ts";
import { type EndReason, Session } from "../session/session.ts";
import type { Startup } from "../wire/startup.ts";
import { errorResponse, fatalResponse } from "../wire/write.ts";
import { Arrival } from "./arrival.ts";
import { ClientSocket } from "./client-socket.ts";
import type { ConnectionContext, ConnectionEvents } from "./connection-context.ts";
import { type ConnectionInfo, type ConnectionState, infoOf, stateOf } from "./connection-info.ts";
import { reasonOf } from "./end-reason.ts";
import { Interrupts } from "./interrupts.ts";
import { flow, Passage } from "./passage.ts";
import type { TimeoutLimits } from "./timeouts.ts";

/** How long a server has for the cancel of what nobody wants any more; then its connection is closed. */
const CANCELLED_MS = 2_000;
/** How often is looked whether a client has taken what it was sent. */
const LOOK_MS = 20;
/** How long a server has to close a connection on which nobody is logged in. */
const GOODBYE_MS = 250;

/** One client from its first byte to its last: what it is at, and how it ends. */
export class Connection {
  readonly #client: ClientSocket;
  readonly #context: ConnectionContext;
  readonly #events: ConnectionEvents;
  readonly #arrival: Arrival;
  #loginTimer: NodeJS.Timeout | undefined;
  #session: Session | undefined;
  #backend: Backend | undefined;
  /** Undefined until there is a server. */
  #passage: Passage | undefined;
  #reason: EndReason = "client-closed";
  readonly #connectedAt = new Date();
  #heardAt = Date.now();
  #interrupts: Interrupts | undefined;
  #failing = false;
  #draining = false;
  #looks: NodeJS.Timeout | undefined;
  /** It has left before there was a server: nothing is to be opened for it. */
  readonly #left = new AbortController();
  #finished = false;

  /** @param local it came by a Unix socket, where nothing is encrypted: what passes there does not leave the machine */
  constructor(client: Socket, local: boolean, context: ConnectionContext, events: ConnectionEvents) {
    this.#context = context;
    this.#events = events;
    this.#client = new ClientSocket(client, local, context.shared.recorder, {
      data: (chunk) => this.#guard(() => this.#onClientData(chunk)),
      end: () => this.#onClientEnd(),
      drain: () => this.#updateFlow(),
      close: () => this.#onClientClose(),
      released: () => this.#afterClientRelease(),
    });
    const tls = local ? undefined : context.tls;
    this.#arrival = new Arrival(this.#client, tls, () => context.metrics.handshakeErrors.inc(), {
      cancel: (key) => {
        clearTimeout(this.#loginTimer);
        // Whatever else it sends is not heard.
        this.#failing = true;
        context.keys.request(key).finally(() => {
          this.#client.endWhenReleased();
          this.#finish();
        });
      },
      session: (startup) => {
        const session = new Session(context.shared, startup, this.#client.address, () =>
          context.nextSessionId(startup),
        );
        session.encryption = this.#arrival.encryption;
        this.#session = session;
      },
      enter: (startup, raw) => this.#onEnter(startup, raw),
    });
    this.#loginTimer = setTimeout(
      () => this.fail(new ProxyError("protocol_violation", "the login took too long")),
      context.settings.loginTimeoutMs,
    );
  }

  /** Stop when nothing is under way: at once if idle, else at the end of the statement or transaction. */
  drain(): void {
    this.#draining = true;
    this.#closeIfDrained();
  }

  /** Stop now. A statement under way is cancelled, as the server's own shutdown would do. */
  stop(): void {
    this.fail(new ProxyError("shutting_down", "terminating connection: the proxy is being stopped"));
    this.#interrupts?.cancelBusy();
  }

  /** Ends it now, with a word to the client. A server that does not stop for that either is left. */
  expire(error: ProxyError): void {
    this.fail(error);
    this.#interrupts?.cancelBusy();
    if (!this.#finished) setTimeout(() => this.#passage?.destroy(), CANCELLED_MS).unref();
  }

  get state(): ConnectionState {
    return stateOf(this.#session, this.#ending);
  }

  /** Undefined before it says who it is. */
  get info(): ConnectionInfo | undefined {
    if (this.#session === undefined) return undefined;
    const times = { connectedAt: this.#connectedAt, heardAt: new Date(this.#heardAt) };
    return { ...infoOf(this.#session, this.#backend?.kind), state: this.state, ...times };
  }

  /** The limits, or what is paused, may be others now. */
  surroundingsChanged(): void {
    this.#interrupts?.limitsChanged();
    this.#updateFlow();
  }

  /** Ends it now, whatever the peers do: when this returns its record is closed. */
  abandon(): void {
    this.#client.destroy();
    this.#passage?.destroy();
    this.#finish();
  }

  /** Tells the client, if it can be told, and closes both sides. */
  fail(error: ProxyError): void {
    const spoolFailed = this.#context.shared.recorder.state === "failed";
    if (this.#failing || this.#finished) {
      // Its last bytes may wait for a spool that will never take them.
      if (spoolFailed) this.#client.destroy();
      return;
    }
    if (this.#arrival.shakingHands) {
      // There is no way to tell it anything.
      this.abandon();
      return;
    }
    this.#failing = true;
    clearTimeout(this.#loginTimer);
    this.#interrupts?.stop();
    const session = this.#session;
    this.#context.metrics.errors.inc({ code: error.code });
    if (session === undefined || session.phase === "ready") this.#context.shared.watch?.failed(session, error);
    this.#reason = reasonOf(error);
    // What stands before a bad message in the same read goes its way, as if it had come alone.
    if (this.#passage === undefined) session?.unsent();
    else this.#passage.dropUnsent(!spoolFailed);
    const wait = session?.refuse(error) ?? 0;
    // When the spool cannot be written nothing becomes durable any more: what is held stays unsaid, but not why.
    if (spoolFailed) this.#client.held.clear();
    this.#client.say(fatalResponse(error), spoolFailed ? 0 : wait);
    this.#client.endWhenReleased();
    if (this.#passage === undefined || this.#passage.serverClosed) this.#finish();
    else {
      this.#passage.leave();
      // During a login nothing runs whose end would have to be waited for, and a server that hangs never ends.
      if (session?.phase !== "ready") setTimeout(() => this.#passage?.destroy(), GOODBYE_MS).unref();
    }
    this.#updateFlow();
  }

  // --- the client's bytes ------------------------------------------------------------------------------------------

  #onClientData(chunk: Buffer): void {
    if (this.#failing) return;
    this.#heardAt = Date.now();
    this.#context.metrics.bytesIn.inc(chunk.length);
    if (this.#passage === undefined) {
      this.#arrival.feed(chunk);
      return;
    }
    this.#passage.fromClient(chunk);
    this.#interrupts?.seen();
    this.#updateFlow();
  }

  #onEnter(startup: Startup, raw: Buffer): void {
    const refusal = this.#context.admission(startup);
    if (refusal !== undefined) throw refusal;
    this.#client.socket.pause();
    const { tracker, address, encryption } = this.#session!;
    this.#connect({ startup, raw, address, encryption, unanswered: tracker }).catch((error: unknown) =>
      this.#guardError(error),
    );
  }

  async #connect(end: ClientEnd): Promise<void> {
    const { open, resumed, settings, shared, metrics } = this.#context;
    await resumed?.(end.startup, this.#left.signal);
    if (this.#left.signal.aborted) {
      this.#finish();
      return;
    }
    const began = performance.now();
    const backend = await open(end);
    metrics.connects.observe((performance.now() - began) / 1000);
    if (this.#failing || this.#client.gone) {
      backend.stream.destroy();
      this.#finish();
      return;
    }
    this.#backend = backend;
    const session = this.#session!;
    session.backend = backend;
    this.#passage = new Passage(session, this.#client, backend.stream, shared.recorder, settings, {
      terminated: () => {
        this.#reason = "client-terminated";
      },
      data: (chunk) =>
        this.#guard(() => {
          const { sift } = backend;
          const bytes = sift === undefined || sift.over ? chunk : sift.feed(chunk);
          if (bytes.length > 0) this.#onServerData(bytes);
        }),
      changed: () => this.#updateFlow(),
      failed: (error) => this.fail(error),
      closed: () => this.#onServerClose(),
    });
    this.#interrupts = new Interrupts(session, backend, this.#client, {
      goesOn: () => !this.#ending,
      finished: () => this.#finished,
      expire: (error) => this.expire(error),
      changed: () => this.#updateFlow(),
      timedOut: (afterMs) => shared.watch?.timedOut(session, afterMs),
    });
    this.#client.socket.resume();
    this.#updateFlow();
  }

  // --- the server's bytes ------------------------------------------------------------------------------------------

  #onServerData(chunk: Buffer): void {
    const session = this.#session!;
    const passage = this.#passage!;
    const wasReady = session.phase === "ready";
    passage.fromServer(chunk);
    if (!wasReady && session.phase === "ready") this.#onReady(session);
    this.#interrupts?.seen();
    this.#context.metrics.bytesOut.inc(chunk.length);
    if (this.#failing || this.#client.gone) {
      passage.drop();
      this.#interrupts?.unread(chunk.length);
    } else {
      passage.toClient(chunk);
      this.#updateFlow();
    }
    if (this.#draining) this.#closeIfDrained();
  }

  #onReady(session: Session): void {
    clearTimeout(this.#loginTimer);
    if (session.key !== undefined) this.#context.keys.add(session.key, this.#backend!);
    this.#events.loggedIn();
    // What an operator waits for takes its time, and he may watch for as long as he likes.
    if (this.#backend!.kind !== "console") this.#interrupts!.time(() => this.#limits);
  }

  // --- flow --------------------------------------------------------------------------------------------------------

  #afterClientRelease(): void {
    this.#updateFlow();
    this.#client.endIfAsked();
    if (this.#draining) this.#closeIfDrained();
  }

  /** Both sides are read, and what still comes is not passed on. */
  get #ending(): boolean {
    return this.#failing || this.#passage?.serverClosed === true;
  }

  #updateFlow(): void {
    const ending = this.#ending;
    if (this.#passage !== undefined) this.#passage.flow(ending, !ending && this.#waits());
    else if (ending) flow(this.#client.socket, true);
  }

  /** What the client sends has to wait for something other than the bytes before it. */
  #waits(): boolean {
    return this.#isPaused() || this.#interrupts!.cancelling;
  }

  #isPaused(): boolean {
    const session = this.#session!;
    if (this.#context.pauses?.holds(session.startup.database) !== true) return false;
    const { idle, tx } = session.tracker;
    // Before it is logged in it is held elsewhere; the console is where pauses end.
    return idle && tx === "I" && session.phase === "ready" && this.#backend?.kind !== "console";
  }

  /** Whether a client that is not heard is idle cannot be known. */
  get #limits(): TimeoutLimits {
    const { settings } = this.#context;
    return this.#isPaused() ? { ...settings, idleTimeoutMs: 0 } : settings;
  }

  #closeIfDrained(): void {
    const session = this.#session;
    if (session?.phase === "ready") {
      const { idle, tx } = session.tracker;
      if (!idle || tx !== "I" || !this.#client.held.empty) return;
      // What is not with the system by the end of the process is lost with it.
      if (this.#client.socket.writableLength > 0) {
        this.#looks ??= setTimeout(() => {
          this.#looks = undefined;
          if (!this.#ending) this.#closeIfDrained();
        }, LOOK_MS).unref();
        return;
      }
    }
    this.stop();
  }

  // --- the end -----------------------------------------------------------------------------------------------------

  #onClientEnd(): void {
    this.#client.ended = true;
    if (this.#passage === undefined) this.#client.socket.end();
    else this.#passage.endWhenSent();
  }

  #onClientClose(): void {
    this.#client.held.clear();
    // Once a server is asked, what it says of the login is still waited for, and recorded: until the login's time is over.
    if (this.#passage === undefined) {
      clearTimeout(this.#loginTimer);
      this.#left.abort();
      // While it connects, #connect sees to the end.
      if (this.#session === undefined) this.#finish();
      return;
    }
    this.#client.ended = true;
    this.#passage.endWhenSent();
    this.#updateFlow();
  }

  #onServerClose(): void {
    if (this.#finished) return;
    if (!this.#client.ended && !this.#failing && this.#reason === "client-closed") this.#reason = "server-closed";
    const session = this.#session!;
    if (session.phase !== "ready" && session.gate === 0 && !this.#client.ended && !this.#failing) {
      // It went away in the middle of the login without a word.
      this.fail(new ProxyError("upstream_lost", "the database server closed the connection during the login"));
      return;
    }
    const { phase, tracker } = session;
    const lost = this.#reason === "server-closed" && phase === "ready" && !tracker.idle && !tracker.fatal;
    this.#finish();
    if (lost) {
      this.#client.say(errorResponse("FATAL", "upstream_lost", "the connection to the database server was lost"), 0);
    }
    this.#client.endWhenReleased();
    this.#updateFlow();
  }

  /** No more answers can come: the session's record is closed. */
  #finish(): void {
    if (this.#finished) return;
    this.#finished = true;
    if (this.#passage === undefined) this.#left.abort();
    clearTimeout(this.#loginTimer);
    this.#interrupts?.stop();
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
