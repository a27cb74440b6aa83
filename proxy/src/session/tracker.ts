import { Answers } from "./answers.ts";
import { Exchange } from "./exchange.ts";
import type { Ledger, Surroundings } from "./ledger.ts";
import type { Pending } from "./queue.ts";
import { countRepeated, isRepeatable } from "./repeat.ts";
import { Requests } from "./requests.ts";

/** Knows what each backend message answers, and so when an execution began and how it ended. */
export class Tracker {
  /** Told of what the client sends. */
  readonly requests: Requests;
  /** Told of what the server sends. */
  readonly answers: Answers;
  /** What is written of it. */
  readonly ledger: Ledger;
  readonly #exchange: Exchange;

  constructor(around: Surroundings) {
    this.#exchange = new Exchange(around);
    this.ledger = this.#exchange.ledger;
    this.requests = new Requests(this.#exchange);
    this.answers = new Answers(this.#exchange);
  }

  /** The server's last reported transaction status. */
  get tx(): string {
    return this.ledger.tx;
  }

  /** Whether nothing is unanswered. */
  get idle(): boolean {
    return this.#exchange.queue.empty;
  }

  /** How many messages that execute something are unanswered. */
  get executing(): number {
    return this.#exchange.queue.executing;
  }

  /** Whether the server has said its last word. */
  get fatal(): boolean {
    return this.answers.fatal;
  }

  /** What the oldest message without an answer is. */
  get asked(): Pending["kind"] | undefined {
    return this.#exchange.queue.head?.kind;
  }

  /**
   * Whether all that is unanswered may be sent to another server, because doing it twice has no effect. The one who asks
   * knows that no byte of an answer was passed on.
   */
  get repeatable(): boolean {
    const { skipping, copyIn, queue } = this.#exchange;
    return this.tx === "I" && !skipping && !copyIn && isRepeatable(queue.unanswered);
  }

  /** All that is unanswered was sent once more. */
  repeated(): void {
    countRepeated(this.#exchange.queue.unanswered);
  }

  /** What is held for the spool will not be forwarded any more: from there on nothing happened. */
  unsent(): void {
    const { queue, around } = this.#exchange;
    for (const pending of queue.cut((wait) => !around.recorder.isDurable(wait))) this.#exchange.drop(pending);
  }

  /** Either side is gone: what was forwarded and not answered is unknown; what was still held never happened. */
  end(): void {
    this.unsent();
    this.answers.end();
  }
}
