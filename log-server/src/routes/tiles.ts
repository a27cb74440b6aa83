import { hash } from "node:crypto";
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import type { FastifyInstance } from "fastify";
import type { ServerContext } from "../context.ts";
import { LogServerError } from "../errors.ts";
import { countAt, parseTilePath, TILE_WIDTH } from "../formats/tile.ts";
import { prefersGzip } from "./accept-encoding.ts";
import { entriesCacheControl, mayReadEntries } from "./access.ts";
import { route } from "./route.ts";

const compress = promisify(gzip);

/** Whether an If-None-Match header names the tag (RFC 9110 section 13.1.2, weak comparison). */
function matches(header: string | undefined, tag: string): boolean {
  if (header === undefined) return false;
  if (header.trim() === "*") return true;
  return header.split(",").some((each) => each.trim().replace(/^W\//, "") === tag);
}

/** The static reading surface (spec/tiles.md). */
export function tileRoutes(app: FastifyInstance, context: ServerContext): void {
  route(app, "GET", "/checkpoint", async (request, reply) => {
    const { note } = context.published();
    const tag = `"${hash("sha256", note, "hex").slice(0, 32)}"`;
    reply.header("cache-control", "no-cache").header("etag", tag);
    if (matches(request.headers["if-none-match"], tag)) return reply.code(304).send();
    return reply.type("text/plain; charset=utf-8").send(note);
  });

  route(app, "GET", "/tile/*", async (request, reply) => {
    // The path as it was sent, which may be with the host before it (RFC 9112 section 3.2.2): decoding could make a
    // canonical path out of one that is not.
    const path = request.raw.url!.replace(/^https?:\/\/[^/]*/i, "").slice(1);
    const { level, number, width } = parseTilePath(path);
    if (level === "entries") await mayReadEntries(context, request, reply);
    const { size } = context.published();
    const there = countAt(level, size) - number * TILE_WIDTH;
    if (width > there) {
      const message = `/${path} is beyond the latest checkpoint, whose size is ${size}; wait for the next`;
      throw new LogServerError("beyond_tree", message, { size });
    }
    const bytes = await context.reader.tile(level, number, width);
    const forever = level === "entries" ? entriesCacheControl(context) : "public, max-age=31536000, immutable";
    reply.header("cache-control", forever).type("application/octet-stream");
    // Hashes do not compress.
    if (level !== "entries") return reply.send(bytes);
    reply.header("vary", "accept-encoding");
    if (!prefersGzip(request.headers["accept-encoding"])) return reply.send(bytes);
    return reply.header("content-encoding", "gzip").send(await compress(bytes));
  });
}
