import type { FastifyInstance, HTTPMethods, RouteHandlerMethod, RouteShorthandOptions } from "fastify";
import { LogServerError } from "../errors.ts";

const METHODS: readonly HTTPMethods[] = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/** What a path does with one method. */
export interface Handler {
  readonly handler: RouteHandlerMethod;
  readonly options?: RouteShorthandOptions;
}

/** Registers the handlers of a path (HEAD comes with GET), and `method_not_allowed` for all other methods. */
export function routes(
  app: FastifyInstance,
  url: string,
  handlers: { readonly GET?: Handler; readonly POST?: Handler },
): void {
  const { GET, POST } = handlers;
  if (GET !== undefined) app.route({ ...GET.options, method: "GET", url, handler: GET.handler });
  if (POST !== undefined) app.route({ ...POST.options, method: "POST", url, handler: POST.handler });
  const allow = [...(GET === undefined ? [] : ["GET", "HEAD"]), ...(POST === undefined ? [] : ["POST"])];
  app.route({
    method: [...METHODS, "HEAD" as const].filter((other) => !allow.includes(other)),
    url,
    exposeHeadRoute: false,
    handler: unreachable,
    // Before any body is read.
    onRequest: async (request, reply) => {
      const allowed = allow.join(", ");
      reply.header("allow", allowed);
      const message = `${request.method} ${request.url}: the method must be ${allowed}`;
      throw new LogServerError("method_not_allowed", message);
    },
  });
}

/** Registers a handler for one method (and HEAD with GET), and `method_not_allowed` for the others. */
export function route(
  app: FastifyInstance,
  method: "GET" | "POST",
  url: string,
  handler: RouteHandlerMethod,
  options: RouteShorthandOptions = {},
): void {
  routes(app, url, { [method]: { handler, options } });
}

function unreachable(): never {
  throw new Error("onRequest has answered");
}
