import type { Hooks } from "./crash-points.ts";
import { SEGMENT_HEAD } from "./segment.ts";
import type { Segments } from "./segments.ts";

/** Removes segments in which everything is dealt with, oldest first. */
export class Pruner {
  readonly #segments: Segments;
  readonly #hooks: Hooks;
  readonly #carry: (segment: number) => Promise<boolean>;
  readonly #onError: (error: unknown) => void;
  #through: number;
  #running: Promise<void> | undefined;

  /**
   * @param through the address up to which everything is dealt with
   * @param carry makes durable, elsewhere, what is still needed of this and older segments; resolves with false if that
   * will never be
   */
  constructor(
    segments: Segments,
    through: number,
    hooks: Hooks,
    carry: (segment: number) => Promise<boolean>,
    onError: (error: unknown) => void,
  ) {
    this.#segments = segments;
    this.#through = through;
    this.#hooks = hooks;
    this.#carry = carry;
    this.#onError = onError;
  }

  /** The address up to which everything is dealt with. */
  get through(): number {
    return this.#through;
  }

  /** Everything in front of this address is dealt with. */
  advance(address: number): void {
    this.#through = address;
    if (this.#isDue()) this.#running ??= this.#run();
  }

  /** Resolves when nothing is being removed. */
  async idle(): Promise<void> {
    await this.#running;
  }

  #isDue(): boolean {
    const { oldest, current } = this.#segments;
    if (oldest === undefined || oldest === current) return false;
    return oldest.base + oldest.end - SEGMENT_HEAD <= this.#through;
  }

  async #run(): Promise<void> {
    try {
      while (this.#isDue()) {
        if (!(await this.#carry(this.#segments.oldest!.number))) return;
        // CRASH: what was carried stands in two segments, under one id.
        this.#hooks.at?.("prune.carried");
        await this.#segments.removeOldest();
      }
    } catch (error) {
      this.#onError(error);
    } finally {
      this.#running = undefined;
    }
  }
}
