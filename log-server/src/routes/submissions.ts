import type { FastifyInstance } from "fastify";
import type { ServerContext } from "../context.ts";
import { LogServerError } from "../errors.ts";
import { findPlace } from "./octets.ts";
import { route } from "./route.ts";

export const SUBMISSIONS: string = "/api/v1/submissions";

/** How sources reach the log (spec/submission.md). */
export function submissionRoutes(app: FastifyInstance, context: ServerContext): void {
  const { bodyBytes } = context.limits;
  const refuseWhenStopping = (): void => {
    if (!context.stopping()) return;
    throw new LogServerError("stopping", "the log is shutting down; nothing was changed, retry when it runs again");
  };

  route(
    app,
    "POST",
    SUBMISSIONS,
    async (request) => {
      const { place } = request;
      // From here on the room is given back when the submission is dealt with, even if the client has gone.
      request.place = undefined;
      try {
        // It may have begun to while the body came.
        refuseWhenStopping();
        const receipt = await context.intake.submit((request.body as Buffer | undefined) ?? Buffer.alloc(0));
        context.metrics.submission("accepted");
        return receipt;
      } finally {
        place?.leave();
      }
    },
    {
      bodyLimit: bodyBytes,
      // Before a byte of the body is read.
      onRequest: async (request, reply) => {
        refuseWhenStopping();
        const type = request.headers["content-type"];
        if (type?.toLowerCase() !== "application/octet-stream") {
          const message = `the content type is ${type ?? "missing"}, and must be application/octet-stream`;
          throw new LogServerError("unsupported_media_type", message);
        }
        const length = Number(request.headers["content-length"] ?? 0);
        if (length > bodyBytes) {
          const message = `the body has ${length} bytes; the limit is ${bodyBytes}: submit fewer entries`;
          throw new LogServerError("body_too_large", message, { limit: bodyBytes });
        }
        findPlace(context.waiting, request, reply);
      },
    },
  );
}
