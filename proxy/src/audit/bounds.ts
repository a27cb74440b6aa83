import type { SpoolState } from "./options.ts";

/** Shares of the bound. The last tenth is kept for what must be written although no statement is begun any more. */
const CLOSE = 0.9;
const RESTRICT = 0.8;
/** A state is left only some way below where it is entered, so that it does not change with each statement. */
const REOPEN = 0.7;

/** When a spool is too full, or its oldest entry too old, to go on as before. */
export class Bounds {
  readonly #maxBytes: number;
  readonly #maxAgeMs: number;
  /** One sample a second: entries up to this address were not acknowledged, and the first of them is this old. */
  readonly #samples: { readonly through: number; readonly since: number }[] = [];
  state: "open" | "restricted" | "closed" = "open";

  constructor(maxBytes: number, maxAgeMs: number) {
    this.#maxBytes = maxBytes;
    this.#maxAgeMs = maxAgeMs;
  }

  /** Entries up to the address `through`, written at `since` by the monotonic clock, are not acknowledged. */
  wrote(through: number, since: number): void {
    const last = this.#samples.at(-1);
    if (last === undefined || since - last.since >= 1000) this.#samples.push({ through, since });
  }

  /** Everything in front of this address is dealt with. */
  acknowledged(address: number): void {
    let done = 0;
    while (done < this.#samples.length && this.#samples[done]!.through <= address) done++;
    if (done > 0) this.#samples.splice(0, done);
  }

  /** Milliseconds; 0 when everything is acknowledged. Up to a second too low. */
  age(now: number): number {
    const first = this.#samples[0];
    return first === undefined ? 0 : Math.max(0, now - first.since);
  }

  /** @returns whether the state changed */
  update(bytes: number, now: number): boolean {
    const bytesShare = bytes / this.#maxBytes;
    const ageShare = this.age(now) / this.#maxAgeMs;
    const before: SpoolState = this.state;
    const share = Math.max(bytesShare, ageShare);
    if (bytesShare >= CLOSE || ageShare >= 1) this.state = "closed";
    else if (share < REOPEN) this.state = "open";
    else if (share >= RESTRICT && before === "open") this.state = "restricted";
    else if (share < RESTRICT && before === "closed") this.state = "restricted";
    return this.state !== before;
  }
}
