import type { FastifyInstance, HTTPMethods, RouteHandlerMethod, RouteShorthandOptions } from "fastify";
import { LogServerError } from "../errors.ts";

const METHODS: readonly HTTPMethods[] = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/** Registers a handler for one method (and HEAD with GET), and `method_not_allowed` for the others. */
export function route(
  app: FastifyInstance,
  method: "GET" | "POST",
  url: string,
  handler: RouteHandlerMethod,
  options: RouteShorthandOptions = {},
): void {
  const allow = method === "GET" ? "GET, HEAD" : method;
  app.route({ ...options, method, url, handler });
  const others = METHODS.filter((other) => other !== method);
  app.route({
    method: method === "GET" ? others : [...others, "HEAD"],
    url,
    exposeHeadRoute: false,
    handler: unreachable,
    // Before any body is read.
    onRequest: async (request, reply) => {
      reply.header("allow", allow);
      throw new LogServerError("method_not_allowed", `${request.method} ${request.url}: the method must be ${allow}`);
    },
  });
}

function unreachable(): never {
  throw new Error("onRequest has answered");
}
