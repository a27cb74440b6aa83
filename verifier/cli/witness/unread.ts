import type { Server, ServerResponse } from "node:http";
import type { Socket } from "node:net";

/** A client may ask again before it has its answer; this many times it has no reason to. */
const mostOfOne = 16;

type Connection = { answers: number; bytes: number };

/**
 * What was answered and nobody has read yet. It stays in memory, for as long as who asked likes: so there is a bound on
 * all of it together.
 */
export class Unread {
  readonly #connections = new Map<Socket, Connection>();
  readonly #most: number;

  /** @param most in bytes */
  constructor(server: Server, most: number) {
    this.#most = most;
    server.on("connection", (socket) => {
      this.#connections.set(socket, { answers: 0, bytes: 0 });
      socket.once("close", () => this.#connections.delete(socket));
    });
  }

  /**
   * Counts a request, until its answer is read.
   * @returns false when its connection has ended, as one does that asks on and on and reads nothing
   */
  begin(socket: Socket, response: ServerResponse): boolean {
    const connection = this.#connections.get(socket);
    if (connection === undefined || socket.destroyed) return false;
    if (connection.answers === mostOfOne) {
      socket.destroy();
      return false;
    }
    connection.answers++;
    response.once("close", () => connection.answers--);
    return true;
  }

  /** Counts the bytes of an answer, until it is read. */
  add(socket: Socket, response: ServerResponse, bytes: number): void {
    const connection = this.#connections.get(socket);
    if (connection === undefined) return;
    connection.bytes += bytes;
    response.once("close", () => {
      connection.bytes -= bytes;
    });
  }

  /** @returns whether there is room for so many bytes more */
  hasRoom(bytes: number): boolean {
    let sum = bytes;
    for (const connection of this.#connections.values()) sum += connection.bytes;
    return sum <= this.#most;
  }
}
