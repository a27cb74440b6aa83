import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import type { ServerContext } from "../context.ts";
import { type HttpCode, LogServerError } from "../errors.ts";
import { SUBMISSIONS } from "./submissions.ts";

/** What costs the log much more than it costs who asks. Tiles and checkpoints are not among them. */
const EXPENSIVE: ReadonlySet<string> = new Set([
  "/ct/v1/get-sth-consistency",
  "/ct/v1/get-proof-by-hash",
  "/ct/v1/get-entries",
  "/ct/v1/get-entry-and-proof",
  "/api/v1/entries/:index/bundle",
  "/api/v1/entries/:index/disclosures",
  "/api/v1/search",
]);

/** Answers to submissions that no registered source has signed. */
const UNSIGNED: ReadonlySet<HttpCode> = new Set(["bad_submission", "unknown_source", "bad_signature"]);

function refuse(reply: FastifyReply, seconds: number, what: string): void {
  if (seconds === 0) return;
  reply.header("retry-after", String(seconds));
  const message = `${what} come from this address faster than the log takes them; retry after ${seconds} s`;
  throw new LogServerError("too_many_requests", message);
}

/** Holds each address to `limits.requests_per_second`, before anything of a request is read or looked up. */
export function limitRequests(app: FastifyInstance, { limiters }: ServerContext): void {
  app.addHook("onRequest", async (request, reply) => {
    const { url } = request.routeOptions;
    if (url === undefined) return;
    if (EXPENSIVE.has(url)) refuse(reply, limiters.reads.take(request.ip), "requests");
    if (url === SUBMISSIONS) refuse(reply, limiters.unsigned.wait(request.ip), "submissions that no source has signed");
  });
}

/** Counts a submission that was refused, if no registered source has signed it. */
export function countRefusal({ limiters }: ServerContext, request: FastifyRequest, code: HttpCode): void {
  if (UNSIGNED.has(code)) limiters.unsigned.charge(request.ip);
}
