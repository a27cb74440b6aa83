import type { UpstreamMetrics } from "./metrics.ts";
import type { Retries } from "./retries.ts";

/** What was asked and is not answered, as the layer above knows it. */
export interface Repeatable {
  /** Whether all of it may be sent to another server without an effect, if no byte of an answer was passed on. */
  readonly repeatable: boolean;
  repeated(): void;
}

/** What to send to another server. */
export interface Again {
  /** In the order of sending, as `sent` was told. */
  readonly request: readonly Buffer[];
  /** Milliseconds to wait before that. */
  readonly afterMs: number;
}

/** The server's own words when it ends a connection or takes none for reasons of its own (PostgreSQL appendix A). */
const GOING_AWAY: ReadonlySet<string> = new Set(["57P01", "57P02", "57P03"]);

export function isGoingAway(sqlstate: string): boolean {
  return GOING_AWAY.has(sqlstate);
}

/**
 * Keeps what a client asks until the first byte of its answer is passed on, so that a read whose server is lost can be
 * asked elsewhere. Only for sessions outside of a transaction on servers that any of them can have: the one who calls
 * sees to that.
 */
export class ReadRetry {
  readonly #retries: Retries;
  readonly #metrics: Pick<UpstreamMetrics, "retried">;
  readonly #unanswered: Repeatable | undefined;
  #request: Buffer[] = [];
  #bytes = 0;
  #attempts = 0;
  #since = 0;
  /** Something of the answer was passed on, or the request is too long to be kept. */
  #over = false;

  constructor(retries: Retries, metrics: Pick<UpstreamMetrics, "retried">, unanswered: Repeatable | undefined) {
    this.#retries = retries;
    this.#metrics = metrics;
    this.#unanswered = unanswered;
  }

  /** Whether what is under way might be sent again if its server were lost now. */
  get possible(): boolean {
    return !this.#over && this.#attempts > 0 && this.#unanswered?.repeatable === true;
  }

  /** A piece of the client's bytes is on its way to a server for the first time. It must not change any more. */
  sent(bytes: Buffer): void {
    if (this.#attempts === 0) {
      this.#attempts = 1;
      this.#since = this.#retries.now();
      this.#retries.tried();
    }
    if (this.#over) return;
    this.#bytes += bytes.length;
    if (this.#bytes > this.#retries.settings.readBytes) this.#forget();
    else this.#request.push(bytes);
  }

  /** Something of the answer is passed on. */
  returned(): void {
    if (this.#attempts > 0 && !this.#over) this.#forget();
  }

  /** Everything that was asked is answered. */
  settled(): void {
    if (this.#attempts === 0) return;
    this.#request = [];
    this.#bytes = 0;
    this.#attempts = 0;
    this.#over = false;
  }

  /** The server is lost, or says that it goes away. @returns undefined when nothing may be sent again */
  lost(): Again | undefined {
    if (!this.possible) return undefined;
    const afterMs = this.#retries.again(this.#attempts, this.#since);
    if (afterMs === undefined) return undefined;
    this.#attempts += 1;
    this.#unanswered?.repeated();
    this.#metrics.retried("read");
    return { request: [...this.#request], afterMs };
  }

  #forget(): void {
    this.#over = true;
    this.#request = [];
  }
}
