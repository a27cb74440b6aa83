/** A TCP relay in front of a database that cuts connections at the worst places. */
import { connect, createServer, type Server, type Socket } from "node:net";

export const PLACES = ["before-request", "in-request", "before-answer", "in-answer"] as const;
export type Place = (typeof PLACES)[number];

/** Behind this many bytes of answer a login is over, and cuts begin. */
const LOGIN_BYTES = 300;

export class FaultRelay {
  readonly cuts: Record<Place, number> = { "before-request": 0, "in-request": 0, "before-answer": 0, "in-answer": 0 };
  /** Where the database is; 0: nowhere. */
  target = 0;
  /** How likely a chunk meets a fault. */
  probability = 0;
  port = 0;
  readonly #server: Server;
  readonly #random: () => number;
  readonly #open: Set<Socket> = new Set();

  /** @param random from 0 to below 1 */
  constructor(random: () => number) {
    this.#random = random;
    this.#server = createServer({ noDelay: true }, (client) => this.#relay(client));
  }

  async listen(): Promise<this> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    this.port = (this.#server.address() as { port: number }).port;
    return this;
  }

  close(): void {
    for (const socket of this.#open) socket.destroy();
    this.#server.close();
  }

  get sum(): number {
    return Object.values(this.cuts).reduce((sum, count) => sum + count, 0);
  }

  #relay(client: Socket): void {
    const server = connect({ host: "127.0.0.1", port: this.target, noDelay: true });
    this.#open.add(client).add(server);
    const end = (): void => {
      client.destroy();
      server.destroy();
      this.#open.delete(client);
      this.#open.delete(server);
    };
    let answered = 0;
    let drops = false;
    for (const socket of [client, server]) socket.on("error", end).on("close", end);
    client.on("data", (chunk) => {
      const place = this.#place(answered, "before-request", "in-request", "before-answer");
      if (place === "before-request") end();
      else if (place === "in-request") server.write(chunk.subarray(0, this.#part(chunk)), end);
      else {
        server.write(chunk);
        // The database does all of it, and nobody hears of it.
        if (place === "before-answer") drops = true;
      }
    });
    server.on("data", (chunk) => {
      answered += chunk.length;
      if (drops) {
        end();
        return;
      }
      // There are several chunks of answer to one of request.
      if (this.#random() < 0.25 && this.#place(answered, "in-answer") === "in-answer")
        client.write(chunk.subarray(0, this.#part(chunk)), end);
      else client.write(chunk);
    });
  }

  #part(chunk: Buffer): number {
    return Math.floor(this.#random() * chunk.length);
  }

  #place(answered: number, ...places: Place[]): Place | undefined {
    if (answered < LOGIN_BYTES || this.#random() >= this.probability) return undefined;
    const place = places[Math.floor(this.#random() * places.length)]!;
    this.cuts[place] += 1;
    return place;
  }
}
