import type { Duplex } from "node:stream";
import { ProxyError } from "../errors.ts";
import { HEADER_BYTES } from "../wire/framer.ts";
import { showType } from "../wire/messages.ts";

/** Of one message, and of all together: what a server says during a login is short. */
const MAX_MESSAGE = 65_536;
const MAX_TOTAL = 1 << 20;

/**
 * Takes a server's messages from a stream one by one, up to the last that is wanted; what stands behind it stays in the
 * stream for the next reader.
 */
export class LoginStream {
  readonly #stream: Duplex;
  #bytes: Buffer = Buffer.alloc(0);
  #total = 0;
  #over: ProxyError | undefined;
  #wake: (() => void) | undefined;

  constructor(stream: Duplex) {
    this.#stream = stream;
    stream.on("data", this.#onData);
    stream.on("error", this.#onEnd);
    stream.on("end", this.#onEnd);
    stream.on("close", this.#onEnd);
  }

  write(message: Buffer): void {
    this.#stream.write(message);
  }

  /**
   * @returns the next message, whole
   * @throws ProxyError `upstream_lost` when the stream ended before it, `upstream_untrusted` when it is too long, or what
   *   `fail` was called with
   */
  async next(): Promise<Buffer> {
    for (;;) {
      const message = this.#take();
      if (message !== undefined) return message;
      if (this.#over !== undefined) throw this.#over;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** Ends the login from outside. */
  fail(error: ProxyError): void {
    this.#over ??= error;
    this.#wake?.();
  }

  /** Leaves the stream paused, with what was not taken still to be read. */
  release(): void {
    if (this.#over !== undefined) throw this.#over;
    this.#detach();
    this.#stream.pause();
    if (this.#bytes.length > 0) this.#stream.unshift(this.#bytes);
  }

  destroy(): void {
    this.#detach();
    // It may still report what became of it; nobody is left to care.
    this.#stream.on("error", () => undefined);
    this.#stream.destroy();
  }

  #detach(): void {
    this.#stream.off("data", this.#onData);
    this.#stream.off("error", this.#onEnd);
    this.#stream.off("end", this.#onEnd);
    this.#stream.off("close", this.#onEnd);
  }

  #take(): Buffer | undefined {
    const bytes = this.#bytes;
    if (bytes.length < HEADER_BYTES) return undefined;
    const size = bytes.readUInt32BE(1) + 1;
    if (size < HEADER_BYTES || size > MAX_MESSAGE) {
      throw new ProxyError(
        "upstream_untrusted",
        `the database server is not trusted: it sent a message ${showType(bytes[0]!)} of ${size} bytes during the login`,
      );
    }
    if (bytes.length < size) return undefined;
    this.#bytes = bytes.subarray(size);
    return bytes.subarray(0, size);
  }

  readonly #onData = (chunk: Buffer): void => {
    this.#total += chunk.length;
    this.#bytes = this.#bytes.length === 0 ? chunk : Buffer.concat([this.#bytes, chunk]);
    if (this.#total > MAX_TOTAL) {
      this.fail(
        new ProxyError("upstream_untrusted", `the database server sent more than ${MAX_TOTAL} bytes during the login`),
      );
    }
    this.#wake?.();
  };

  readonly #onEnd = (): void => {
    this.fail(new ProxyError("upstream_lost", "the database server closed the connection during the login"));
  };
}
