import type { FastifyInstance, FastifyRequest } from "fastify";
import type { ServerContext } from "../context.ts";
import { positionOf, type Source } from "../intake/sources.ts";
import { jsonBody, readJson } from "./json-body.ts";
import { badParameter, reasonOf } from "./parameters.ts";
import { route, routes } from "./route.ts";

/** @returns the name in the path, which must be written the one way that percent-encoding has for it. */
function nameIn(request: FastifyRequest): string {
  const segment = request.raw.url!.split("?", 1)[0]!.split("/").at(-2)!;
  const { name } = request.params as { name: string };
  if (encodeURIComponent(name) === segment) return name;
  throw badParameter("name", "expected the source's name as encodeURIComponent writes it");
}

/** The sources: where the log stands with each, and who is one. */
export function sourceRoutes(app: FastifyInstance, context: ServerContext): void {
  const { sources, registry, tokens } = context;

  const shown = ({ name, key: { vkey }, retired }: Source): object => {
    const { epoch, next, chain } = positionOf(context.positions(), name, vkey);
    return { name, vkey, epoch, next, chain: chain.toString("base64"), retired };
  };

  routes(app, "/api/v1/sources", {
    GET: {
      handler: async (_request, reply) => {
        reply.header("cache-control", "no-store");
        const listed = sources.list().filter(({ name }) => !sources.isOwn(name) || context.positions().has(name));
        return { origin: context.published().origin, sources: listed.map(shown) };
      },
    },
    POST: {
      options: jsonBody,
      handler: async (request, reply) => {
        const { name: by } = await tokens.require(request.headers.authorization, "admin", "registering a source");
        const { vkey, reason } = readJson(request, ["vkey", "reason"]);
        if (typeof vkey !== "string") throw badParameter("vkey", "expected a verifier key");
        const { changed, source } = await registry.register(vkey, { by, reason: reasonOf(reason) });
        reply.header("cache-control", "no-store").code(changed ? 201 : 200);
        return shown(source);
      },
    },
  });

  route(
    app,
    "POST",
    "/api/v1/sources/:name/retire",
    async (request, reply) => {
      const { name: by } = await tokens.require(request.headers.authorization, "admin", "retiring a source");
      const name = nameIn(request);
      const { reason } = readJson(request, ["reason"]);
      const { source } = await registry.retire(name, { by, reason: reasonOf(reason) });
      reply.header("cache-control", "no-store");
      return shown(source);
    },
    jsonBody,
  );
}
