import type { FastifyInstance } from "fastify";
import type { ServerContext } from "../context.ts";
import { route } from "./route.ts";

/** For whoever runs the log. */
export function operationRoutes(app: FastifyInstance, context: ServerContext): void {
  route(app, "GET", "/healthz", async (_request, reply) => {
    const health = context.health();
    reply.header("cache-control", "no-store").code(health.status === "ok" ? 200 : 503);
    return health;
  });

  route(app, "GET", "/metrics", async (_request, reply) => {
    const { registry } = context.metrics;
    return reply.type(registry.contentType).send(await registry.metrics());
  });
}
