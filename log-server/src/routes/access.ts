import type { FastifyReply, FastifyRequest } from "fastify";
import type { ServerContext } from "../context.ts";

/**
 * Lets a request for entries pass: any, where entries are public, else one with a token, whose answer is nobody else's.
 * Hashes and checkpoints are always public.
 * @throws LogServerError `unauthorized`
 */
export async function mayReadEntries(
  context: ServerContext,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<void> {
  if (context.publicEntries) return;
  reply.header("cache-control", "private");
  await context.tokens.require(request.headers.authorization, "viewer", "reading entries of this log");
}

/** @returns the Cache-Control of bytes that never change, but that others may not be allowed to read. */
export function entriesCacheControl(context: ServerContext): string {
  return `${context.publicEntries ? "public" : "private"}, max-age=31536000, immutable`;
}
