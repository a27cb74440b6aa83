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
  readonly #begun = Date.now();
  #drawn = this.#begun;
  #first: number | undefined;
  #open = false;

  constructor(out: NodeJS.WriteStream = process.stderr) {
    this.#out = out;
  }

  /** @param done entries read of `size` */
  entries(done: number, size: number): void {
    this.#first ??= done;
    const now = Date.now();
    const quiet = this.#open || !this.#out.isTTY ? (this.#out.isTTY ? 100 : 3000) : 1000;
    if (now - this.#drawn < quiet) return;
    this.#drawn = now;
    const percent = Math.floor((done / size) * 100);
    const rate = Math.round((done - this.#first) / Math.max(0.001, (now - this.#begun) / 1000));
    this.#line(`reading: ${done} of ${size} entries (${percent} %), ${rate} a second`);
  }

  /** @param leftMs until waiting ends */
  waiting(leftMs: number, what: "seals" | "cosignatures"): void {
    const now = Date.now();
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
