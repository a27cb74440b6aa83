import type { Socket } from "node:net";
import type { FastifyInstance, FastifyReply } from "fastify";
import type { Metrics } from "../metrics.ts";

/** A client may ask again before it has its answer; this many times it has no reason to. */
const MOST_OF_ONE = 16;
/** A connection ends on which nothing has moved for so long, though it has an answer to read. */
const STILL_MS = 30_000;

interface Asking {
  /** Requests that have come and are not answered, or whose answer is not read. */
  requests: number;
  /** Resolves when the answer to the last of them is read. */
  read: Promise<void>;
}

/**
 * Bounds what clients leave unread, which stays in memory for as long as they like. One connection has one answer at a
 * time. Of all together, who has left an answer unread for longest is cut off when there are too many bytes.
 *
 * @param most bytes of answers, those of the system's own buffers not included
 */
export function limitUnread(app: FastifyInstance, most: number, metrics: Metrics): void {
  const asking = new WeakMap<Socket, Asking>();
  const unread = new Map<FastifyReply, number>();
  let bytes = 0;

  app.addHook("onRequest", async (request, reply) => {
    const { socket } = request;
    const one = asking.get(socket) ?? { requests: 0, read: Promise.resolve() };
    asking.set(socket, one);
    if (one.requests === MOST_OF_ONE) socket.destroy();
    if (socket.destroyed) {
      reply.hijack();
      return;
    }
    const { requests, read: before } = one;
    one.requests += 1;
    one.read = new Promise((resolve) => {
      reply.raw.once("close", () => {
        one.requests -= 1;
        resolve();
      });
    });
    if (requests === 0) return;
    await before;
    // An answer that comes to no connection any more never closes: nothing may count it.
    if (socket.destroyed) reply.hijack();
    // What is asked now may take as long as it takes.
    else socket.setTimeout(0);
  });

  app.addHook("onSend", async (request, reply, payload) => {
    if (request.socket.destroyed) return payload;
    const length = typeof payload === "string" ? Buffer.byteLength(payload) : ((payload as Buffer | null)?.length ?? 0);
    // Node looks whether a part was written meanwhile, and sets another one when the answer is read.
    request.socket.setTimeout(STILL_MS);
    unread.set(reply, length);
    bytes += length;
    reply.raw.once("close", () => {
      if (unread.delete(reply)) bytes -= length;
      metrics.unread(bytes);
    });
    for (const [oldest, held] of unread) {
      if (bytes <= most || oldest === reply) break;
      unread.delete(oldest);
      bytes -= held;
      oldest.raw.socket?.destroy();
    }
    metrics.unread(bytes);
    return payload;
  });
}
