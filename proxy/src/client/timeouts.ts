import { ProxyError } from "../errors.ts";

/** Milliseconds; 0 is none. */
export interface TimeoutLimits {
  readonly idleTimeoutMs: number;
  readonly idleInTransactionMs: number;
  readonly statementTimeoutMs: number;
}

/** What a session is at, as far as time is measured. */
export interface Activity {
  /** Nothing is unanswered. */
  readonly idle: boolean;
  /** The server's last reported transaction status, `I`, `T` or `E`. */
  readonly tx: string;
  /** How many statements have ended: while it stays the same, the same one runs. */
  readonly statements: number;
}

export interface TimeoutActions {
  /** The statement under way is to be cancelled. */
  cancel(afterMs: number): void;
  /** The session is to be ended with this. */
  expire(error: ProxyError): void;
}

/** How long the server has for a cancel before the session is ended. */
const CANCEL_MS = 5_000;

type State = "idle" | "transaction" | "statement" | "cancelling";

/**
 * The clock of one session. `seen` is called at every read, so it only compares: the one timer is set again when it
 * fires too early, or when something is due before it.
 */
export class Timeouts {
  readonly #limits: () => TimeoutLimits;
  readonly #activity: () => Activity;
  readonly #actions: TimeoutActions;
  readonly #cancelMs: number;
  #state: State | undefined;
  #statements = 0;
  #since = 0;
  #timer: NodeJS.Timeout | undefined;
  #firesAt = Infinity;

  /**
   * @param limits read each time, for they may change while the session lives
   * @param cancelMs how long a cancelled statement may take to end
   */
  constructor(
    limits: () => TimeoutLimits,
    activity: () => Activity,
    actions: TimeoutActions,
    cancelMs: number = CANCEL_MS,
  ) {
    this.#limits = limits;
    this.#activity = activity;
    this.#actions = actions;
    this.#cancelMs = cancelMs;
  }

  /** Something was read from either side: what the session is at may have changed. */
  seen(): void {
    const { idle, tx, statements } = this.#activity();
    let state: State = "statement";
    if (idle) state = tx === "I" ? "idle" : "transaction";
    else if (statements === this.#statements && this.#state === "cancelling") return;
    if (state === this.#state && statements === this.#statements && !idle) return;
    // An idle session that is seen again was busy in between, or had a notice: either is a sign of life.
    this.#state = state;
    this.#statements = statements;
    this.#since = performance.now();
    this.#armFor(state);
  }

  /** The limits are others now. */
  changed(): void {
    if (this.#state !== undefined) this.#armFor(this.#state);
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#firesAt = Infinity;
    this.#state = undefined;
  }

  #limitOf(state: State): number {
    const { idleTimeoutMs, idleInTransactionMs, statementTimeoutMs } = this.#limits();
    switch (state) {
      case "idle":
        return idleTimeoutMs;
      case "transaction":
        return idleInTransactionMs;
      case "statement":
        return statementTimeoutMs;
      case "cancelling":
        return this.#cancelMs;
    }
  }

  #armFor(state: State): void {
    const limit = this.#limitOf(state);
    const due = this.#since + limit;
    if (limit === 0 || due >= this.#firesAt) return;
    clearTimeout(this.#timer);
    this.#firesAt = due;
    this.#timer = setTimeout(() => this.#fire(), Math.max(1, Math.ceil(due - performance.now()))).unref();
  }

  #fire(): void {
    this.#timer = undefined;
    this.#firesAt = Infinity;
    const state = this.#state;
    if (state === undefined) return;
    const limit = this.#limitOf(state);
    if (limit === 0) return;
    if (performance.now() < this.#since + limit) {
      this.#armFor(state);
      return;
    }
    switch (state) {
      case "idle":
        this.#actions.expire(
          new ProxyError("idle_timeout", "terminating connection due to idle-session timeout (of the proxy)"),
        );
        return;
      case "transaction":
        this.#actions.expire(
          new ProxyError(
            "idle_in_transaction_timeout",
            "terminating connection due to idle-in-transaction timeout (of the proxy)",
          ),
        );
        return;
      case "statement":
        this.#state = "cancelling";
        this.#since = performance.now();
        this.#armFor("cancelling");
        this.#actions.cancel(limit);
        return;
      case "cancelling":
        this.#actions.expire(
          new ProxyError(
            "statement_timeout",
            "terminating connection due to statement timeout (of the proxy): the statement did not stop when cancelled",
          ),
        );
        return;
    }
  }
}
