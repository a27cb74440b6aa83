const awaited = {
  seals: "the seals of entries that have none yet",
  cosignatures: "the cosignatures that the policy demands",
} as const;

/**
 * Tells on standard error how far a long piece of work is. Nothing is said of work that is over within a second. On a
 * terminal one line is drawn again and again; elsewhere there is a line every few seconds.
 */
export class Progress {
  readonly #out: NodeJS.WriteStream;
  #drawn = Date.now();
  /** Where the rate is counted from; waiting is no reading. */
  #first: { done: number; at: number } | undefined;
  #open = false;

  constructor(out: NodeJS.WriteStream = process.stderr) {
    this.#out = out;
  }

  /** @param done entries read of `size` */
  entries(done: number, size: number): void {
    const now = Date.now();
    this.#first ??= { done, at: now };
    const quiet = this.#open || !this.#out.isTTY ? (this.#out.isTTY ? 100 : 3000) : 1000;
    if (now - this.#drawn < quiet) return;
    this.#drawn = now;
    const percent = Math.floor((done / size) * 100);
    const rate = Math.round(((done - this.#first.done) * 1000) / Math.max(1, now - this.#first.at));
    this.#line(`reading: ${done} of ${size} entries (${percent} %)${rate > 0 ? `, ${rate} a second` : ""}`);
  }

  /** @param leftMs until waiting ends */
  waiting(leftMs: number, what: "seals" | "cosignatures"): void {
    const now = Date.now();
    this.#first = undefined;
    if (!this.#out.isTTY && now - this.#drawn < 3000 && this.#open) return;
    this.#drawn = now;
    this.#line(`waiting for ${awaited[what]}, ${Math.ceil(leftMs / 1000)} s at most`);
  }

  #line(text: string): void {
    this.#open = true;
    this.#out.write(this.#out.isTTY ? `\r\x1b[2K${text}` : `${text}\n`);
  }

  /** Takes the line away, before anything else is printed. */
  end(): void {
    if (this.#open && this.#out.isTTY) this.#out.write("\r\x1b[2K");
    this.#open = false;
  }
}
