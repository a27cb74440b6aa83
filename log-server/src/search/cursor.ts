import { hash } from "node:crypto";
import { parseBase64url } from "../formats/encoding.ts";
import { readU64, writeU64 } from "../store/level-keys.ts";
import type { SearchQuery } from "./terms.ts";

// Where a page ended. Opaque to whoever gets it; nothing depends on its being genuine, as it says nothing but where to
// go on.

export interface SearchCursor {
  /** Of the tree that the first page was of. */
  readonly size: number;
  /** Only entries below this index are left. */
  readonly below: number;
}

const VERSION = 1;
const DIGEST_BYTES = 8;
const BYTES = 1 + 8 + 8 + DIGEST_BYTES;

/** @returns what tells a query from others: the order of fields and values does not matter. */
function digestOf({ values, since, until }: SearchQuery): Buffer {
  const fields = [...values].map(([{ name }, list]) => [name, [...list].sort()] as const);
  fields.sort(([a], [b]) => (a < b ? -1 : 1));
  const text = JSON.stringify([fields, since ?? null, until ?? null]);
  return hash("sha256", text, "buffer").subarray(0, DIGEST_BYTES);
}

export function writeCursor({ size, below }: SearchCursor, query: SearchQuery): string {
  const bytes = Buffer.alloc(BYTES - DIGEST_BYTES, VERSION);
  writeU64(bytes, below, writeU64(bytes, size, 1));
  return Buffer.concat([bytes, digestOf(query)]).toString("base64url");
}

/** @returns the cursor; undefined when the text is none; "other" when it is one of another query. */
export function readCursor(text: string, query: SearchQuery): SearchCursor | "other" | undefined {
  const bytes = text.length > 2 * BYTES ? undefined : parseBase64url(text);
  if (bytes?.length !== BYTES || bytes[0] !== VERSION) return undefined;
  const size = readU64(bytes, 1);
  const below = readU64(bytes, 9);
  if (!Number.isSafeInteger(size) || below === 0 || below > size) return undefined;
  return bytes.subarray(BYTES - DIGEST_BYTES).equals(digestOf(query)) ? { size, below } : "other";
}
