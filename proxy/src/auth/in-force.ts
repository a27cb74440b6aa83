import { unwatchFile, watchFile } from "node:fs";
import { ProxyError } from "../errors.ts";

/** Polled, because a file that is replaced by another, or by a link to another, is not seen by every way of watching. */
const POLL_MS = 1000;

/** What a file says, read again when it changes. A file that is wrong changes nothing. */
export class InForce<T> {
  readonly #path: string;
  readonly #what: string;
  readonly #read: (path: string) => Promise<T>;
  readonly #notice: (line: string) => void;
  #value: T;
  #last: Promise<void> = Promise.resolve();
  #announce: ((next: T, previous: T) => Promise<void>) | undefined;
  #closed = false;

  private constructor(
    path: string,
    what: string,
    read: (path: string) => Promise<T>,
    notice: (line: string) => void,
    value: T,
  ) {
    this.#path = path;
    this.#what = what;
    this.#read = read;
    this.#notice = notice;
    this.#value = value;
  }

  /**
   * @param what the file's name in a notice
   * @throws what `read` throws
   */
  static async load<T>(
    path: string,
    what: string,
    read: (path: string) => Promise<T>,
    notice: (line: string) => void,
  ): Promise<InForce<T>> {
    return new InForce(path, what, read, notice, await read(path));
  }

  get value(): T {
    return this.#value;
  }

  /** From here on this is waited for before what was read comes into force. */
  set announce(announce: (next: T, previous: T) => Promise<void>) {
    this.#announce = announce;
  }

  /** Reads the file again, one time after the other, and tells in a notice what came of it. */
  reload(): Promise<void> {
    this.#last = this.#last.then(async () => {
      try {
        const next = await this.#read(this.#path);
        if (this.#closed) return;
        await this.#announce?.(next, this.#value);
        // CRASH: what was announced let nobody in; the next start says what it begins with.
        this.#value = next;
        this.#notice(`${this.#what} read again`);
      } catch (error) {
        if (!(error instanceof ProxyError)) throw error;
        this.#notice(`${this.#what} stay as they were: ${error.code}: ${error.message}`);
      }
    });
    return this.#last;
  }

  watch(): void {
    watchFile(this.#path, { persistent: false, interval: POLL_MS }, this.#onChange);
  }

  /** What is read from here on comes into force no more. */
  close(): void {
    this.#closed = true;
    unwatchFile(this.#path, this.#onChange);
  }

  readonly #onChange = (): void => {
    void this.reload();
  };
}
