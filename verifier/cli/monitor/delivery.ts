import type { Alert } from "../../src/index.ts";
import { printableJson } from "../printable.ts";
import type { Followed } from "./followed.ts";
import { eventJson, type Told } from "./lines.ts";
import type { Webhook } from "./webhook.ts";

/** Behind a webhook that fails, so long passes before it is tried again (milliseconds). */
const restMs = 30_000;

/** Brings what is told to a webhook, in order, beside the rounds: it may fail or take long, and holds up nothing. */
export class Delivery {
  readonly #webhook: Webhook;
  readonly #logs: readonly Followed[];
  readonly #tell: (events: readonly Told[]) => Promise<void>;
  readonly #ended = new AbortController();
  #running: Promise<void> | undefined;
  #restUntil = 0;
  #failing: Alert | undefined;

  /**
   * @param tell for the failure of the webhook, which is itself an alert and told elsewhere only. When that fails as well, nobody can be
   * told anything, and the process ends
   */
  constructor(webhook: Webhook, logs: readonly Followed[], tell: (events: readonly Told[]) => Promise<void>) {
    this.#webhook = webhook;
    this.#logs = logs;
    this.#tell = tell;
  }

  /** Whether it failed last. */
  get failing(): boolean {
    return this.#failing !== undefined;
  }

  /** To be called when there may be more to send. */
  wake(): void {
    if (performance.now() < this.#restUntil) return;
    this.#running ??= this.#deliver().finally(() => {
      this.#running = undefined;
    });
  }

  /** Sends what is left, for so long. */
  async stop(ms: number): Promise<void> {
    const timer = setTimeout(() => this.#ended.abort(), ms);
    await this.#running;
    this.#restUntil = 0;
    this.wake();
    await this.#running;
    clearTimeout(timer);
  }

  async #deliver(): Promise<void> {
    for (const one of this.#logs) {
      for (let event = one.unsent[0]; event !== undefined; event = one.unsent[0]) {
        const body = `${printableJson(eventJson(one.toTold(event)))}\n`;
        const why = await this.#webhook.send(body, this.#ended.signal);
        if (why !== undefined) return this.#failed(why);
        one.sent(event);
        await this.#succeeded();
      }
    }
  }

  async #failed(why: string): Promise<void> {
    this.#restUntil = performance.now() + restMs;
    if (this.#failing !== undefined) return;
    const message = `the webhook at ${this.#webhook.host} does not take what it is sent: ${why}; it will be sent again`;
    const at = Date.now();
    this.#failing = { code: "webhook_failed", verdict: "NOT PROVEN", scope: "keep", message, since: at };
    await this.#tell([{ event: "raised", at, alert: this.#failing }]);
  }

  async #succeeded(): Promise<void> {
    const alert = this.#failing;
    if (alert === undefined) return;
    this.#failing = undefined;
    await this.#tell([{ event: "resolved", at: Date.now(), alert }]);
  }
}
