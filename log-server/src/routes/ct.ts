import type { FastifyInstance } from "fastify";
import type { ServerContext } from "../context.ts";
import { LogServerError } from "../errors.ts";
import { parseNote } from "../formats/note.ts";
import { TILE_WIDTH } from "../formats/tile.ts";
import { mayReadEntries } from "./access.ts";
import { badParameter, decimalParameter, hashParameter, withinTree } from "./parameters.ts";
import { route } from "./route.ts";

/** Entries in one answer of get-entries. */
const MAX_ENTRIES = 256;

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64");

/**
 * The tree in the shape of RFC 6962 section 4: a view of what the checkpoint and the tiles say. `leaf_input` is the
 * entry's bytes, exactly what is hashed with 0x00. `tree_head_signature` is the Ed25519 signature of the checkpoint's
 * note, which is in `checkpoint`: Ed25519 is not an algorithm of RFC 6962, and no second signature is made.
 */
export function ctRoutes(app: FastifyInstance, context: ServerContext): void {
  const { reader } = context;

  route(app, "GET", "/ct/v1/get-sth", async (_request, reply) => {
    const { size, root, note, time } = context.published();
    const signature = parseNote(Buffer.from(note))!.signatures[0]!.signature;
    reply.header("cache-control", "no-cache");
    return {
      tree_size: size,
      timestamp: time,
      sha256_root_hash: base64(root),
      tree_head_signature: base64(signature),
      checkpoint: note,
    };
  });

  route(app, "GET", "/ct/v1/get-sth-consistency", async (request) => {
    const { size } = context.published();
    const first = decimalParameter(request.query, "first");
    const second = decimalParameter(request.query, "second");
    if (first > second) throw badParameter("first", `${first} is more than second, ${second}`);
    withinTree("second", second, size, size);
    return { consistency: (await reader.consistencyProof(first, second)).map(base64) };
  });

  route(app, "GET", "/ct/v1/get-proof-by-hash", async (request, reply) => {
    const { size } = context.published();
    const hash = hashParameter(request.query, "hash");
    const treeSize = decimalParameter(request.query, "tree_size");
    withinTree("tree_size", treeSize, size, size);
    const found = await context.index.lookup(hash, treeSize);
    if (found === "behind") {
      reply.header("retry-after", "1");
      const message = `the hash index has reached ${context.index.position} entries and not yet ${treeSize}; retry`;
      throw new LogServerError("index_behind", message);
    }
    if (found === "unknown") {
      throw new LogServerError("not_found", `no entry of the tree of size ${treeSize} has this leaf hash`);
    }
    const proof = await reader.inclusionProof(found.index, treeSize);
    return { leaf_index: found.index, audit_path: proof.map(base64) };
  });

  route(app, "GET", "/ct/v1/get-entries", async (request, reply) => {
    await mayReadEntries(context, request, reply);
    const { size } = context.published();
    const start = decimalParameter(request.query, "start");
    const end = decimalParameter(request.query, "end");
    if (start > end) throw badParameter("start", `${start} is more than end, ${end}, which is inclusive`);
    withinTree("start", start, size - 1, size);
    const stop = Math.min(end + 1, start + MAX_ENTRIES, size);
    const entries: { leaf_input: string; extra_data: "" }[] = [];
    for (let from = start; from < stop; ) {
      const to = Math.min(stop, (Math.floor(from / TILE_WIDTH) + 1) * TILE_WIDTH);
      for (const entry of await reader.entries(from, to)) entries.push({ leaf_input: base64(entry), extra_data: "" });
      from = to;
    }
    return { entries };
  });

  route(app, "GET", "/ct/v1/get-entry-and-proof", async (request, reply) => {
    await mayReadEntries(context, request, reply);
    const { size } = context.published();
    const index = decimalParameter(request.query, "leaf_index");
    const treeSize = decimalParameter(request.query, "tree_size");
    withinTree("tree_size", treeSize, size, size);
    if (index >= treeSize) throw badParameter("leaf_index", `${index} is not below tree_size, ${treeSize}`);
    const [entry] = await reader.entries(index, index + 1);
    const proof = await reader.inclusionProof(index, treeSize);
    return { leaf_input: base64(entry!), extra_data: "", audit_path: proof.map(base64) };
  });
}
