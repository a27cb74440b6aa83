import { LogServerError } from "../errors.ts";

/** Counts the submissions (or entries added) that are being received, checked or written, and holds them to limits. */
export class WaitingRoom {
  readonly #maxSubmissions: number;
  readonly #maxBytes: number;
  #submissions = 0;
  #bytes = 0;

  constructor(maxSubmissions: number, maxBytes: number) {
    this.#maxSubmissions = maxSubmissions;
    this.#maxBytes = maxBytes;
  }

  get submissions(): number {
    return this.#submissions;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /**
   * Lets a submission in, before its body is read. An empty room lets in any size: the limit of one body is another.
   * @returns to be called when the submission needs no memory any more; calling it again does nothing
   * @throws LogServerError `too_busy`
   */
  enter(bytes: number): () => void {
    const full = this.#submissions + 1 > this.#maxSubmissions || this.#bytes + bytes > this.#maxBytes;
    if (full && this.#submissions > 0) {
      const message = `${this.#submissions} submissions with ${this.#bytes} bytes are waiting, as many as the log holds; nothing was changed, retry`;
      throw new LogServerError("too_busy", message);
    }
    this.#submissions += 1;
    this.#bytes += bytes;
    let inside = true;
    return () => {
      if (!inside) return;
      inside = false;
      this.#submissions -= 1;
      this.#bytes -= bytes;
    };
  }
}
