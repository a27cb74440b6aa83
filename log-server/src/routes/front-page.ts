import type { FastifyInstance } from "fastify";
import type { ServerContext } from "../context.ts";
import { route } from "./route.ts";

/**
 * `GET /`: for a person who opens the log's address in a browser. The log's key is not on it: whoever took it from
 * here would trust the log about itself.
 */
export function frontPageRoute(app: FastifyInstance, context: ServerContext): void {
  route(app, "GET", "/", async (_request, reply) => {
    const { origin, size } = context.published();
    const lines = [
      `The log ${origin}, with ${size} signed ${size === 1 ? "entry" : "entries"}.`,
      "",
      "Audit it, with its verifier key, which you should have by another way than from here:",
      "",
      "  vitrine-verifier audit --log URL --vkey KEY",
      "",
      "GET /checkpoint     the signed head of its tree (C2SP tlog-checkpoint)",
      "GET /tile/...       its hashes and entries (C2SP tlog-tiles)",
      "GET /ct/v1/...      proofs (in the shape of RFC 6962)",
      "GET /api/v1/search  entries by who, what and when",
      "GET /healthz        how the log is; numbers in /metrics",
    ];
    reply.header("cache-control", "no-store");
    return reply.type("text/plain; charset=utf-8").send(`${lines.join("\n")}\n`);
  });
}
