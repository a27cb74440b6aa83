import { LogServerError } from "../errors.ts";

/** What a submission (or an entry added) needs in memory, from its first byte to its answer. */
export interface Place {
  /**
   * Counts bytes of its body that have come.
   * @throws LogServerError `too_busy`; it has left then
   */
  receive(bytes: number): void;
  /**
   * The body has come as a whole, and will be checked and written.
   * @throws LogServerError `too_busy`; it has left then
   */
  complete(): void;
  /** It needs no memory any more. Leaving again does nothing. */
  leave(): void;
}

/**
 * Counts the bytes of submissions (or entries added) that were received, and how many are being checked or written, and
 * holds both to limits. What is only announced counts for nothing: who announces much and sends nothing would otherwise
 * keep everybody out.
 */
export class WaitingRoom {
  readonly #maxSubmissions: number;
  readonly #maxBytes: number;
  #submissions = 0;
  #bytes = 0;

  constructor(maxSubmissions: number, maxBytes: number) {
    this.#maxSubmissions = maxSubmissions;
    this.#maxBytes = maxBytes;
  }

  /** Those that have come as a whole. */
  get submissions(): number {
    return this.#submissions;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /**
   * Lets a submission in, before its body is read. Alone it may have any size: the limit of one body is another.
   * @throws LogServerError `too_busy`
   */
  enter(): Place {
    if (this.#submissions >= this.#maxSubmissions || this.#bytes >= this.#maxBytes) throw this.#full();
    let own = 0;
    let counted = 0;
    const leave = (): void => {
      this.#bytes -= own;
      this.#submissions -= counted;
      own = 0;
      counted = 0;
    };
    const hold = (fits: boolean): void => {
      if (fits) return;
      leave();
      throw this.#full();
    };
    return {
      receive: (bytes) => {
        own += bytes;
        this.#bytes += bytes;
        hold(this.#bytes <= this.#maxBytes || this.#bytes === own);
      },
      complete: () => {
        counted = 1;
        this.#submissions += 1;
        hold(this.#submissions <= this.#maxSubmissions);
      },
      leave,
    };
  }

  #full(): LogServerError {
    const message = `${this.#submissions} submissions wait, and ${this.#bytes} bytes of submissions, as many as the log holds; nothing was changed, retry`;
    return new LogServerError("too_busy", message);
  }
}
