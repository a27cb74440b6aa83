import type { Socket } from "node:net";

/** How long a client that was told the end may take nothing more and not close either. */
const LINGER_MS = 30_000;

/** The end of what a client is told: it may take its time to read it, but not forever. */
export class Linger {
  readonly #client: Socket;
  #watch: NodeJS.Timeout | undefined;

  constructor(client: Socket) {
    this.#client = client;
  }

  /** Nothing more will be written. */
  begin(): void {
    if (this.#watch !== undefined) return;
    this.#client.end();
    let left = this.#client.writableLength;
    this.#watch = setInterval(() => {
      const before = left;
      left = this.#client.writableLength;
      if (left === 0 || left === before) this.#client.destroy();
    }, LINGER_MS).unref();
  }

  /** The client has closed. */
  stop(): void {
    clearInterval(this.#watch);
  }
}
