import type { Backend } from "../backend.ts";
import type { ProxyError } from "../errors.ts";
import type { Session } from "../session/session.ts";
import { noticeResponse } from "../wire/write.ts";
import type { ClientSocket } from "./client-socket.ts";
import { SessionCancel } from "./session-cancel.ts";
import { type TimeoutLimits, Timeouts } from "./timeouts.ts";

/** Bytes of answer that a vanished client may leave unread before its statement is cancelled, as a failed send would. */
const UNREAD_LIMIT = 1 << 20;

export interface InterruptEvents {
  /** Whether the session goes on: one that ends is not told of a timeout any more. */
  goesOn(): boolean;
  /** Whether its record is closed: nothing is cancelled any more. */
  finished(): boolean;
  /** The session is to be ended with this. */
  expire(error: ProxyError): void;
  /** What may be read is to be looked at again. */
  changed(): void;
  timedOut(afterMs: number): void;
}

/** What the proxy itself cuts short in one session: what takes too long, returns too much, or has nobody to read it. */
export class Interrupts {
  readonly #session: Session;
  readonly #client: ClientSocket;
  readonly #events: InterruptEvents;
  readonly #cancels: SessionCancel;
  #timeouts: Timeouts | undefined;
  #unreadBytes = 0;

  constructor(session: Session, backend: Backend, client: ClientSocket, events: InterruptEvents) {
    this.#session = session;
    this.#client = client;
    this.#events = events;
    this.#cancels = new SessionCancel(
      backend,
      () => (events.finished() ? undefined : session.key),
      () => events.changed(),
    );
    session.onExceeded = (execution) => this.#cancels.exceeding(execution);
  }

  /** A cancel is on its way: what is sent to the server now might be what it hits. */
  get cancelling(): boolean {
    return this.#cancels.underWay;
  }

  /** The clock begins. @param limits read each time, for they may change while the session lives */
  time(limits: () => TimeoutLimits): void {
    const { tracker } = this.#session;
    this.#timeouts = new Timeouts(
      limits,
      () => ({ idle: tracker.idle, tx: tracker.tx, statements: tracker.ledger.totals.statements }),
      { cancel: (afterMs) => this.#late(afterMs), expire: (error) => this.#events.expire(error) },
    );
  }

  /** Something was read from either side. */
  seen(): void {
    this.#timeouts?.seen();
  }

  limitsChanged(): void {
    this.#timeouts?.changed();
  }

  /** The clock stops. */
  stop(): void {
    this.#timeouts?.stop();
  }

  /** Bytes of the server's were not passed on. */
  unread(bytes: number): void {
    this.#unreadBytes += bytes;
    if (this.#unreadBytes >= UNREAD_LIMIT) this.#cancels.forGood();
  }

  /** A statement under way is not wanted any more, nor anything after it. */
  cancelBusy(): void {
    if (this.#session.phase === "ready" && !this.#session.tracker.idle) this.#cancels.forGood();
  }

  /** The server will say that the statement was cancelled on request; by whom, only the proxy knows. */
  #late(afterMs: number): void {
    if (!this.#events.goesOn()) return;
    this.#events.timedOut(afterMs);
    const message = `canceling statement due to statement timeout of the proxy (${afterMs} ms)`;
    this.#client.say(noticeResponse("statement_timeout", message), this.#session.gate);
    this.#cancels.now();
    this.#events.changed();
  }
}
