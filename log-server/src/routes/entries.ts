import { Readable } from "node:stream";
import type { FastifyInstance } from "fastify";
import type { Token } from "../access/token-file.ts";
import { hasRole } from "../access/tokens.ts";
import type { ServerContext } from "../context.ts";
import { blockDisclosures, openDisclosure, sharedDigest } from "../entries/disclosure.ts";
import { LogServerError } from "../errors.ts";
import { parseUtf8 } from "../formats/encoding.ts";
import { evidenceBundle, formatProof } from "../formats/evidence.ts";
import { mayReadEntries } from "./access.ts";
import { decimalParameter, reasonParameter, withinTree } from "./parameters.ts";
import { route } from "./route.ts";

/** One entry, its evidence and its disclosures. */
export function entryRoutes(app: FastifyInstance, context: ServerContext): void {
  const { reader, store, tokens } = context;

  const disclosuresOf = async (index: number, entry: Buffer): Promise<Buffer[]> => {
    const block = await store.disclosures(index);
    const own = block === undefined ? [] : blockDisclosures(block);
    const digest = sharedDigest(entry, index);
    const shared = digest === undefined ? undefined : await store.sharedDisclosure(digest);
    return shared === undefined ? own : [...own, shared];
  };

  /**
   * What an auditor is given of an entry, once it is durable that it was asked for.
   * @throws LogServerError as `Acts.record`: then nothing is given
   */
  const readDisclosures = async (
    { name: reader }: Token,
    index: number,
    entry: Buffer,
    reason: string,
  ): Promise<Buffer[]> => {
    const there = await disclosuresOf(index, entry);
    const names = [...new Set(there.map((bytes) => openDisclosure(bytes, index).name))].sort();
    await context.acts.record({ kind: "disclosure.read", members: { reader, index, names }, reason });
    // What was erased meanwhile is not given any more.
    const left = await disclosuresOf(index, entry);
    return there.filter((bytes) => left.some((each) => each.equals(bytes)));
  };

  route(app, "GET", "/api/v1/entries/:index/bundle", async (request, reply) => {
    await mayReadEntries(context, request, reply);
    const token = await tokens.identify(request.headers.authorization);
    const { size, note } = context.published();
    const index = decimalParameter(request.params, "index");
    withinTree("index", index, size - 1, size);
    const auditor = token !== undefined && hasRole(token, "auditor") ? token : undefined;
    const reason = auditor === undefined ? "" : reasonParameter(request.query);
    const [entry] = await reader.entries(index, index + 1);
    if (parseUtf8(entry!) === undefined) {
      const message = `entry ${index} belongs to no source and is no text: an evidence bundle cannot hold it; its proof is at /ct/v1/get-entry-and-proof`;
      throw new LogServerError("not_found", message);
    }
    const proof = formatProof(index, await reader.inclusionProof(index, size), note);
    // HEAD gives nothing away, so that it is no reading.
    const reads = auditor !== undefined && request.method === "GET";
    const disclosures = reads ? await readDisclosures(auditor, index, entry!, reason) : [];
    reply.header("cache-control", "no-store");
    return evidenceBundle(entry!, proof, disclosures);
  });

  route(app, "GET", "/api/v1/entries/:index/disclosures", async (request, reply) => {
    const token = await tokens.require(request.headers.authorization, "auditor", "reading disclosures");
    const { size } = context.published();
    const index = decimalParameter(request.params, "index");
    withinTree("index", index, size - 1, size);
    const reason = reasonParameter(request.query);
    reply.header("cache-control", "no-store").type("application/json; charset=utf-8");
    // A stream has no Content-Length, which would tell how long the values are.
    if (request.method === "HEAD") return reply.send(Readable.from([]));
    const [entry] = await reader.entries(index, index + 1);
    const disclosures = await readDisclosures(token, index, entry!, reason);
    return { index, disclosures: disclosures.map((bytes) => bytes.toString("base64url")) };
  });
}
