import type { FastifyInstance, FastifyRequest, RouteShorthandOptions } from "fastify";
import { isObject } from "../entries/forms.ts";
import { LogServerError } from "../errors.ts";
import { parseUtf8 } from "../formats/encoding.ts";
import { badParameter } from "./parameters.ts";

/** What an administrator sends is small. */
const MAX_BYTES = 65_536;

/** Lets the app take bodies of JSON. They are parsed by whoever asks for them. */
export function acceptJson(app: FastifyInstance): void {
  app.addContentTypeParser("application/json", { parseAs: "buffer" }, (_request, body, done) => done(null, body));
}

/** For a route whose body is JSON. */
export const jsonBody: RouteShorthandOptions = {
  bodyLimit: MAX_BYTES,
  // Before a byte of the body is read.
  onRequest: async (request) => {
    const type = request.headers["content-type"]?.toLowerCase();
    if (type !== "application/json" && type !== "application/json; charset=utf-8") {
      const message = `the content type is ${type ?? "missing"}, and must be application/json`;
      throw new LogServerError("unsupported_media_type", message);
    }
    const length = Number(request.headers["content-length"] ?? 0);
    if (length <= MAX_BYTES) return;
    const message = `the body has ${length} bytes; the limit is ${MAX_BYTES}`;
    throw new LogServerError("body_too_large", message, { limit: MAX_BYTES });
  },
};

/**
 * @param names of the members that the object must have, and no others
 * @throws LogServerError `bad_parameter`
 */
export function readJson(request: FastifyRequest, names: readonly string[]): Record<string, unknown> {
  const text = parseUtf8((request.body as Buffer | undefined) ?? Buffer.alloc(0));
  let value: unknown;
  try {
    value = JSON.parse(text ?? "");
  } catch (error) {
    throw badParameter("body", `it is not JSON in UTF-8 (${(error as Error).name})`);
  }
  if (!isObject(value)) throw badParameter("body", "it is not a JSON object");
  const unknown = Object.keys(value).find((name) => !names.includes(name));
  if (unknown !== undefined) throw badParameter("body", `it must have no member but ${names.join(" and ")}`);
  for (const name of names) if (!Object.hasOwn(value, name)) throw badParameter(name, "it is missing");
  return value;
}
