import type { FastifyInstance } from "fastify";
import type { ServerContext } from "../context.ts";
import { httpStatus, LogServerError } from "../errors.ts";
import { route } from "./route.ts";

/** For whoever runs the log. */
export function operationRoutes(app: FastifyInstance, context: ServerContext): void {
  route(app, "GET", "/healthz", async (_request, reply) => {
    reply.header("cache-control", "no-store");
    if (context.stopping()) throw new LogServerError("stopping", "the log is shutting down");
    const health = await context.health();
    if (health.status !== "failing") return health;
    const failed = Object.entries(health.checks).filter(([, found]) => found !== "ok");
    const message = failed.map(([check, found]) => `${check}: ${found}`).join("; ");
    return reply.code(httpStatus.internal).send({ error: { code: "internal", message }, ...health });
  });

  route(app, "GET", "/metrics", async (_request, reply) => {
    const { registry } = context.metrics;
    return reply.type(registry.contentType).send(await registry.metrics());
  });
}
