import type { FastifyInstance } from "fastify";
import type { ServerContext } from "../context.ts";
import { blockDisclosures, sharedDigest } from "../disclosure.ts";
import { parseUtf8 } from "../encoding.ts";
import { LogServerError } from "../errors.ts";
import { evidenceBundle, formatProof } from "../evidence.ts";
import { hasRole } from "../tokens.ts";
import { mayReadEntries } from "./access.ts";
import { decimalParameter, withinTree } from "./parameters.ts";
import { route } from "./route.ts";

/** One entry, its evidence and its disclosures. */
export function entryRoutes(app: FastifyInstance, context: ServerContext): void {
  const { reader, store, tokens } = context;

  const disclosuresOf = async (index: number, entry: Buffer): Promise<Buffer[]> => {
    const block = await store.disclosures(index);
    const own = block === undefined ? [] : blockDisclosures(block);
    const digest = sharedDigest(entry);
    const shared = digest === undefined ? undefined : await store.sharedDisclosure(digest);
    return shared === undefined ? own : [...own, shared];
  };

  route(app, "GET", "/api/v1/entries/:index/bundle", async (request, reply) => {
    await mayReadEntries(context, request);
    const token = await tokens.identify(request.headers.authorization);
    const { size, note } = context.published();
    const index = decimalParameter(request.params, "index");
    withinTree("index", index, size - 1, size);
    const [entry] = await reader.entries(index, index + 1);
    if (parseUtf8(entry!) === undefined) {
      const message = `entry ${index} belongs to no source and is no text: an evidence bundle cannot hold it; its proof is at /ct/v1/get-entry-and-proof`;
      throw new LogServerError("not_found", message);
    }
    const proof = formatProof(index, await reader.inclusionProof(index, size), note);
    reply.header("cache-control", "no-store");
    return evidenceBundle(
      entry!,
      proof,
      token !== undefined && hasRole(token, "auditor") ? await disclosuresOf(index, entry!) : [],
    );
  });

  route(app, "GET", "/api/v1/entries/:index/disclosures", async (request, reply) => {
    await tokens.require(request.headers.authorization, "auditor", "reading disclosures");
    const { size } = context.published();
    const index = decimalParameter(request.params, "index");
    withinTree("index", index, size - 1, size);
    const [entry] = await reader.entries(index, index + 1);
    const disclosures = await disclosuresOf(index, entry!);
    reply.header("cache-control", "no-store");
    return { index, disclosures: disclosures.map((bytes) => bytes.toString("base64url")) };
  });
}
