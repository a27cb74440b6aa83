import type { Readable } from "node:stream";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { LogServerError } from "../errors.ts";
import type { Place, WaitingRoom } from "../intake/waiting-room.ts";

declare module "fastify" {
  interface FastifyRequest {
    /** Where the body is waited for; undefined once whoever answers has taken it over. */
    place: Place | undefined;
  }
}

/** Lets the app take bodies of bytes, for routes that have called `findPlace`. */
export function acceptOctets(app: FastifyInstance): void {
  app.decorateRequest("place", undefined);
  app.addContentTypeParser("application/octet-stream", (request: FastifyRequest, payload: Readable) =>
    receive(payload, request.routeOptions.bodyLimit, request.place),
  );
}

/**
 * Finds room for a body, before a byte of it is read.
 * @throws LogServerError `too_busy`
 */
export function findPlace(room: WaitingRoom, request: FastifyRequest, reply: FastifyReply): void {
  request.place = room.enter();
  // However it ends before it is handled.
  reply.raw.once("close", () => request.place?.leave());
}

/** @throws LogServerError `body_too_large`, `too_busy` */
async function receive(payload: Readable, limit: number, place: Place | undefined): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  try {
    for await (const chunk of payload.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      length += chunk.length;
      if (length > limit) {
        throw new LogServerError("body_too_large", `the body is over the limit of ${limit} bytes`, { limit });
      }
      place?.receive(chunk.length);
      chunks.push(chunk);
    }
    place?.complete();
  } catch (error) {
    // The rest is read and forgotten, so that the client comes to read the answer.
    payload.resume();
    throw error;
  }
  return Buffer.concat(chunks, length);
}
