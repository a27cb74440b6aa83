import type { FastifyInstance } from "fastify";
import type { ServerContext } from "../context.ts";
import { blockDisclosures } from "../disclosure.ts";
import { LogServerError } from "../errors.ts";
import { evidenceBundle, formatProof } from "../evidence.ts";
import { authorize } from "../tokens.ts";
import { decimalParameter, withinTree } from "./parameters.ts";
import { route } from "./route.ts";

/** One entry, its evidence and its disclosures. */
export function entryRoutes(app: FastifyInstance, context: ServerContext): void {
  const { reader, store, tokens } = context;

  const disclosuresOf = async (index: number): Promise<Buffer[]> => {
    const block = await store.disclosures(index);
    return block === undefined ? [] : blockDisclosures(block);
  };

  route(app, "GET", "/api/v1/entries/:index/bundle", async (request, reply) => {
    const auditor = authorize(request.headers.authorization, tokens);
    const { size, note } = context.published();
    const index = decimalParameter(request.params, "index");
    withinTree("index", index, size - 1, size);
    const [entry] = await reader.entries(index, index + 1);
    const proof = formatProof(index, await reader.inclusionProof(index, size), note);
    reply.header("cache-control", "no-store");
    return evidenceBundle(entry!, proof, auditor ? await disclosuresOf(index) : []);
  });

  route(app, "GET", "/api/v1/entries/:index/disclosures", async (request, reply) => {
    if (!authorize(request.headers.authorization, tokens)) {
      throw new LogServerError("unauthorized", "disclosures need a token: send Authorization: Bearer <token>");
    }
    const { size } = context.published();
    const index = decimalParameter(request.params, "index");
    withinTree("index", index, size - 1, size);
    reply.header("cache-control", "no-store");
    return { index, disclosures: (await disclosuresOf(index)).map((bytes) => bytes.toString("base64url")) };
  });
}
