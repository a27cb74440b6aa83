import type { FastifyRequest } from "fastify";
import type { ServerContext } from "../context.ts";

/**
 * Lets a request for entries pass: any, where entries are public, else one with a token. Hashes and checkpoints are
 * always public.
 * @throws LogServerError `unauthorized`
 */
export async function mayReadEntries(context: ServerContext, request: FastifyRequest): Promise<void> {
  if (context.publicEntries) return;
  await context.tokens.require(request.headers.authorization, "viewer", "reading entries of this log");
}

/** @returns the Cache-Control of bytes that never change, but that others may not be allowed to read. */
export function entriesCacheControl(context: ServerContext): string {
  return `${context.publicEntries ? "public" : "private"}, max-age=31536000, immutable`;
}
