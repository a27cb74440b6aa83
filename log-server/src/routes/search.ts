import type { FastifyInstance } from "fastify";
import type { ServerContext } from "../context.ts";
import { writeCursor } from "../search/cursor.ts";
import { readSearch } from "../search/parameters.ts";
import { mayReadEntries } from "./access.ts";
import { route } from "./route.ts";

/** What the log finds in its entries. Its word alone: that a hit is in the log can be proven, that none is missing not. */
export function searchRoutes(app: FastifyInstance, context: ServerContext): void {
  const { searcher, searchPublic, tokens, metrics } = context;

  route(app, "GET", "/api/v1/search", async (request, reply) => {
    await mayReadEntries(context, request, reply);
    const { authorization } = request.headers;
    if (searchPublic) await tokens.identify(authorization);
    else await tokens.require(authorization, "viewer", "searching");
    const { size: published } = context.published();
    const search = readSearch(request.query as Record<string, unknown>, published);
    const began = process.hrtime.bigint();
    const { size, hits, below, scanned } = await searcher.page(search, published);
    metrics.search(Number(process.hrtime.bigint() - began) / 1e9);
    reply.header("cache-control", "no-store");
    return {
      size,
      hits: hits.map(({ index, entry }) => ({ index, entry: entry.toString("utf8") })),
      next: below === 0 ? null : writeCursor({ size, below }, search.query),
      scanned,
    };
  });
}
