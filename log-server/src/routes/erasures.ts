import type { FastifyInstance } from "fastify";
import type { ServerContext } from "../context.ts";
import type { Erasure } from "../erasure/erasure.ts";
import { parseScope } from "../erasure/scope.ts";
import { LogServerError } from "../errors.ts";
import { jsonBody, readJson } from "./json-body.ts";
import { badParameter, decimalParameter, reasonOf } from "./parameters.ts";
import { route } from "./route.ts";

function shown({ order, scope, by, done, scanned, entries, values }: Erasure): object {
  return { order, scope, by, state: done ? "done" : "pending", scanned, entries, values };
}

/** Deleting disclosures for good (spec/entry.md, "erasure.ordered"). */
export function erasureRoutes(app: FastifyInstance, context: ServerContext): void {
  const { erasures, tokens } = context;

  route(
    app,
    "POST",
    "/api/v1/erasures",
    async (request, reply) => {
      const { name: by } = await tokens.require(request.headers.authorization, "admin", "ordering an erasure");
      const { scope: given, reason } = readJson(request, ["scope", "reason"]);
      const scope = parseScope(given);
      if (typeof scope === "string") throw badParameter("scope", scope);
      const erasure = await erasures.order(scope, { by, reason: reasonOf(reason) });
      const location = `/api/v1/erasures/${erasure.order}`;
      reply.code(202).header("cache-control", "no-store").header("location", location);
      return shown(erasure);
    },
    jsonBody,
  );

  route(app, "GET", "/api/v1/erasures/:order", async (request, reply) => {
    await tokens.require(request.headers.authorization, "admin", "looking at an erasure");
    const order = decimalParameter(request.params, "order");
    const erasure = erasures.get(order);
    if (erasure === undefined) throw new LogServerError("not_found", `entry ${order} is no order of an erasure`);
    reply.header("cache-control", "no-store");
    return shown(erasure);
  });
}
