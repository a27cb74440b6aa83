import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import type { ServerContext } from "../context.ts";
import { MAX_ENTRY_BYTES } from "../entries/entry.ts";
import { LogServerError } from "../errors.ts";
import { findPlace } from "./octets.ts";
import { route } from "./route.ts";

export const ADD: string = "/add";

/** Entries of no source, one a request, as clients of other logs send them (spec/submission.md). */
export function addRoutes(app: FastifyInstance, context: ServerContext): void {
  const { add } = context;
  if (add === undefined) return;
  const refuseWhenStopping = (): void => {
    if (!context.stopping()) return;
    throw new LogServerError("stopping", "the log is shutting down; nothing was added, retry when it runs again");
  };
  // Before a byte of the body is read.
  const onRequest = async (request: FastifyRequest, reply: FastifyReply): Promise<void> => {
    refuseWhenStopping();
    await add.tokens?.require(request.headers.authorization, "viewer", "adding");
    const encoding = request.headers["content-encoding"];
    if (encoding !== undefined && encoding.toLowerCase() !== "identity") {
      throw new LogServerError("unsupported_media_type", `the body is encoded as ${encoding}: send the entry itself`);
    }
    const length = Number(request.headers["content-length"] ?? 0);
    if (length > MAX_ENTRY_BYTES) {
      const message = `the body has ${length} bytes; an entry has at most ${MAX_ENTRY_BYTES}`;
      throw new LogServerError("body_too_large", message, { limit: MAX_ENTRY_BYTES });
    }
    // Whatever a client calls its bytes, or does not: they are the entry as they are.
    request.raw.headers["content-type"] = "application/octet-stream";
    findPlace(add.waiting, request, reply);
  };
  route(
    app,
    "POST",
    ADD,
    async (request, reply) => {
      const { place } = request;
      // From here on the room is given back when the entry is dealt with, even if the client has gone.
      request.place = undefined;
      try {
        // It may have begun to while the body came.
        refuseWhenStopping();
        const index = await context.intake.add((request.body as Buffer | undefined) ?? Buffer.alloc(0));
        context.metrics.added("accepted");
        return reply.type("text/plain; charset=utf-8").header("cache-control", "no-store").send(String(index));
      } finally {
        place?.leave();
      }
    },
    { bodyLimit: MAX_ENTRY_BYTES, onRequest },
  );
}
