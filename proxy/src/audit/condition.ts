/** In which state the spool is, and why nothing goes on any more once that is so. */
import { ProxyError } from "../errors.ts";
import { Bounds } from "./bounds.ts";
import type { RecorderOptions, SpoolState } from "./options.ts";

export class Condition {
  readonly #options: Pick<RecorderOptions, "spool" | "onState">;
  readonly #depth: () => number;
  readonly #bounds: Bounds;
  readonly #watch: NodeJS.Timeout;
  #failure: ProxyError | undefined;

  /**
   * @param depth bytes in the spool that are not dealt with, with what open intents may still need
   * @param waiting what an earlier run left: up to which address, and since when
   */
  constructor(
    options: Pick<RecorderOptions, "spool" | "onState">,
    depth: () => number,
    waiting: readonly { readonly through: number; readonly since: number }[],
  ) {
    this.#options = options;
    this.#depth = depth;
    this.#bounds = new Bounds(options.spool.maxBytes, options.spool.maxAgeMs);
    for (const { through, since } of waiting) this.#bounds.wrote(through, since);
    this.#watch = setInterval(() => this.update(), 1000);
  }

  get state(): SpoolState {
    return this.#failure === undefined ? this.#bounds.state : "failed";
  }

  get failure(): ProxyError | undefined {
    return this.#failure;
  }

  /** Of the oldest entry that the log has not acknowledged; 0 without one. */
  get oldestAgeMs(): number {
    return this.#bounds.age(performance.now());
  }

  /** @throws ProxyError `spool_full`, or the failure: no intent is taken now */
  admit(): void {
    if (this.#failure !== undefined) throw this.#failure;
    // The state follows from batch to batch only: whatever a session does in between must stay within the bound as well.
    if (this.#bounds.state === "closed" || this.#depth() >= this.#options.spool.maxBytes)
      throw new ProxyError("spool_full", "the spool is full: the log has been unreachable too long");
  }

  /** Entries up to this address wait for the log, the last of them since then by the monotonic clock. */
  wrote(address: number, since: number): void {
    this.#bounds.wrote(address, since);
  }

  /** Everything up to this address is dealt with. */
  dealtWith(address: number): void {
    this.#bounds.acknowledged(address);
  }

  /** To be called when the depth has changed; also done each second, for the age. */
  update(): void {
    if (this.#bounds.update(this.#depth(), performance.now()) && this.#failure === undefined)
      this.#options.onState?.(this.#bounds.state);
  }

  /** Nothing goes on any more. The first reason counts. */
  fail(error: ProxyError): void {
    if (this.#failure !== undefined) return;
    this.#failure = error;
    this.#options.onState?.("failed", error);
  }

  stop(): void {
    clearInterval(this.#watch);
  }
}
