import { isUtf8 } from "node:buffer";
import { readFile } from "node:fs/promises";
import { ProxyError } from "../errors.ts";
import { parseRules } from "./parse.ts";
import type { RuleSet } from "./rules.ts";

/** Rules are written by hand; a file that is larger is not one. */
const MAX_BYTES = 4 * 1024 * 1024;

/** @throws ProxyError `bad_config`, with the line and column of the first thing that is wrong */
export async function readRules(path: string): Promise<RuleSet> {
  let bytes: Buffer;
  try {
    bytes = await readFile(path);
  } catch (error) {
    throw new ProxyError("bad_config", `the rules ${path} cannot be read: ${(error as Error).message}`);
  }
  if (bytes.length > MAX_BYTES) throw new ProxyError("bad_config", `${path} has more than ${MAX_BYTES} bytes`);
  // Read all the same, a name in another encoding would be one that nothing has, and its deny rule would deny nothing.
  if (!isUtf8(bytes)) throw new ProxyError("bad_config", `${path}: the file is not UTF-8`);
  const read = parseRules(bytes.toString("utf8"));
  if ("set" in read) return read.set;
  const [first, ...more] = read.problems;
  const rest = more.length === 0 ? "" : ` (and ${more.length} more: vitrine proxy rules check ${path})`;
  throw new ProxyError("bad_config", `${path}:${first?.line}:${first?.column}: ${first?.message}${rest}`);
}
