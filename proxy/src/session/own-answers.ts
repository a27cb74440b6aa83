import {
  BIND_COMPLETE,
  COMPLETE,
  closePortal,
  EMPTY_QUERY,
  emptyParse,
  PLACEHOLDER,
  row,
  rowDescription,
  type Shown,
} from "../receipts/index.ts";
import type { Exchange } from "./exchange.ts";
import type { Portal, Prepared } from "./execution.ts";

/**
 * What the proxy itself answers. The server is sent something that succeeds and does nothing, and its answer is
 * replaced. So the proxy's own answer comes in its turn, and is skipped behind an error as any other. No rule is asked,
 * and nothing is recorded: nothing was executed.
 */
export class OwnAnswers {
  readonly #exchange: Exchange;
  /** The proxy itself was asked to show something. */
  #asked = false;

  constructor(exchange: Exchange) {
    this.#exchange = exchange;
  }

  /** Whether the proxy itself answers what the client has prepared under this name. */
  has(statement: string): boolean {
    return this.#asked && this.#exchange.sent.prepared.get(statement)?.shown !== undefined;
  }

  query(shown: Shown, text: Buffer): void {
    this.#begin();
    const { around, sent, queue } = this.#exchange;
    around.gate?.asked();
    this.#exchange.instead = EMPTY_QUERY;
    sent.dropUnnamed();
    queue.push({ kind: "query", text, executions: [], next: 0, failed: false, wait: 0, unsettles: false, shown });
  }

  /** The server is given empty text under the name. */
  parse(name: string): void {
    this.#begin();
    this.#exchange.instead = emptyParse(name);
  }

  /** The server refuses a Bind of empty text in a failed transaction, so a Close of the same portal stands for it. */
  bind(name: string, statement: string, prepared: Prepared, what: Shown, format: number): void {
    const portal: Portal = {
      statement,
      prepared,
      segment: this.#exchange.segment,
      parameters: undefined,
      bytes: 0,
      suspended: undefined,
      shown: { what, format, done: false },
    };
    this.#exchange.sent.portals.set(name, portal);
    this.#stand(closePortal(name), () => {
      this.#exchange.bound(name, statement, portal);
      return BIND_COMPLETE;
    });
  }

  describe({ what, format }: NonNullable<Portal["shown"]>): void {
    this.#stand(PLACEHOLDER, () => rowDescription(what, format));
  }

  execute(shown: NonNullable<Portal["shown"]>): void {
    this.#stand(PLACEHOLDER, () => {
      if (shown.done) return COMPLETE;
      shown.done = true;
      return row(this.#exchange.ledger.show(shown.what));
    });
  }

  #stand(message: Buffer, answer: () => Buffer): void {
    this.#exchange.instead = message;
    this.#exchange.queue.push({ kind: "shown", answer });
  }

  #begin(): void {
    if (this.#asked) return;
    this.#asked = true;
    this.#exchange.around.shows();
  }
}
