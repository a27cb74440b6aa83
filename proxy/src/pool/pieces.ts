/** Gathers pieces of chunks; those that touch go on as one. Nothing is copied. */
export class Pieces {
  readonly #to: (bytes: Buffer) => void;
  #chunk: ArrayBufferLike | undefined;
  #start = 0;
  #end = 0;
  #only: Buffer | undefined;

  constructor(to: (bytes: Buffer) => void) {
    this.#to = to;
  }

  add(piece: Buffer): void {
    if (piece.buffer === this.#chunk && piece.byteOffset === this.#end) {
      this.#end += piece.length;
      this.#only = undefined;
      return;
    }
    this.flush();
    this.#chunk = piece.buffer;
    this.#start = piece.byteOffset;
    this.#end = piece.byteOffset + piece.length;
    this.#only = piece;
  }

  flush(): void {
    const bytes = this.take();
    if (bytes !== undefined) this.#to(bytes);
  }

  /** @returns what was added since the last flush, which does not go on; undefined when that is nothing */
  take(): Buffer | undefined {
    if (this.#chunk === undefined) return undefined;
    const bytes = this.#only ?? Buffer.from(this.#chunk as ArrayBuffer, this.#start, this.#end - this.#start);
    this.#chunk = undefined;
    this.#only = undefined;
    return bytes;
  }
}
