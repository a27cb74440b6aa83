import { hash, randomFillSync } from "node:crypto";

/** A value taken out of the entry (spec/entry.md, sealed values). */
export interface Sealed {
  /** The JSON text that stands in the value's place: `{"sealed":"…","bytes":n}`. */
  readonly json: string;
  /** What travels beside the entry: UTF-8 of the JSON array `[salt, name, value]`. */
  readonly disclosure: Uint8Array;
}

const SALT_BYTES = 16;
// One call to the system's generator yields many salts; each is used once.
const pool = Buffer.alloc(SALT_BYTES * 512);
let used = pool.length;

function salt(): string {
  if (used === pool.length) {
    randomFillSync(pool);
    used = 0;
  }
  used += SALT_BYTES;
  return pool.toString("base64url", used - SALT_BYTES, used);
}

/**
 * Seals a value with a fresh salt of 128 bits.
 * @param name the member's path, such as `sql` or `client.address`
 * @param value what JSON can say; what it discloses for each name is laid down in spec/entry.md
 * @param bytes the size of the value as it was on the wire
 */
export function sealValue(name: string, value: unknown, bytes: number): Sealed {
  const disclosure = Buffer.from(JSON.stringify([salt(), name, value]));
  // RFC 9901 section 4.2.3: the digest is over the ASCII of the base64url text.
  const digest = hash("sha256", disclosure.toString("base64url"), "base64url");
  return { json: `{"sealed":"${digest}","bytes":${bytes}}`, disclosure };
}
