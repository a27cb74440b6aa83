import { hash, timingSafeEqual } from "node:crypto";
import { readFile } from "node:fs/promises";
import { LogServerError, reason } from "./errors.ts";

/** SHA-256 of each token. */
export type TokenDigests = readonly Buffer[];

/**
 * Reads a file of tokens: in each line the lowercase hex SHA-256 of a token, and after a space, if there
 * is one, whose it is. Empty lines and lines that begin with # are passed over.
 * @param key of the configuration that names the file, for the error
 * @throws LogServerError `bad_config`
 */
export async function readTokens(path: string, key: string = "auditor_tokens"): Promise<TokenDigests> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    throw new LogServerError("bad_config", `${key}: ${path} cannot be read: ${reason(error)}`, {}, { cause: error });
  }
  const digests: Buffer[] = [];
  for (const [i, line] of text.split(/\r?\n/).entries()) {
    if (line === "" || line.startsWith("#")) continue;
    const match = /^([0-9a-f]{64})(?: .*)?$/.exec(line);
    if (match === null) {
      const message = `${key}: ${path}, line ${i + 1}: expected the lowercase hex SHA-256 of a token, then at most a space and a comment`;
      throw new LogServerError("bad_config", message);
    }
    digests.push(Buffer.from(match[1]!, "hex"));
  }
  return digests;
}

/**
 * @param authorization the header, if there is one
 * @returns whether it carries a known token; false without the header
 * @throws LogServerError `unauthorized` when it carries anything else
 */
export function authorize(authorization: string | undefined, digests: TokenDigests): boolean {
  if (authorization === undefined) return false;
  const token = /^Bearer +([A-Za-z0-9._~+/=-]+)$/i.exec(authorization)?.[1];
  const digest = hash("sha256", token ?? "", "buffer");
  let known = false;
  // All of them, and each in constant time: how long it takes says nothing about which came close.
  for (const each of digests) known = timingSafeEqual(each, digest) || known;
  if (token !== undefined && known) return true;
  throw new LogServerError("unauthorized", "the token sent is not known; send Authorization: Bearer <token>");
}
