import { hash, randomFillSync } from "node:crypto";

/** A value taken out of the entry (spec/entry.md, sealed values). */
export interface Sealed {
  /** The JSON text that stands in the value's place: `{"sealed":"…","bytes":n}`. */
  readonly json: string;
  /** What travels beside the entry: UTF-8 of the JSON array `[salt, name, value]`. */
  readonly disclosure: Uint8Array;
}

const SALT_BYTES = 16;
/** In a cell of 18 bytes, a multiple of 3, each salt's base64url stands for itself among the others'. */
const CELL_BYTES = 18;
const CELL_CHARACTERS = 24;
const SALT_CHARACTERS = 22;
// One call to the system's generator, and one to the encoder, yield many salts; each is used once.
const SALTS = 512;
const random = Buffer.alloc(SALT_BYTES * SALTS);
const cells = Buffer.alloc(CELL_BYTES * SALTS);
let salts = "";
let used = SALTS;

function salt(): string {
  if (used === SALTS) {
    randomFillSync(random);
    for (let i = 0; i < SALTS; i++) random.copy(cells, i * CELL_BYTES, i * SALT_BYTES, (i + 1) * SALT_BYTES);
    salts = cells.toString("base64url");
    used = 0;
  }
  const at = CELL_CHARACTERS * used++;
  return salts.slice(at, at + SALT_CHARACTERS);
}

/**
 * Seals a value with a fresh salt of 128 bits.
 * @param name the member's path, such as `sql` or `client.address`
 * @param value what JSON can say; what it discloses for each name is laid down in spec/entry.md
 * @param bytes the size of the value as it was on the wire
 */
export function sealValue(name: string, value: unknown, bytes: number): Sealed {
  return sealJson(name, JSON.stringify(value), bytes);
}

/**
 * The same of a value that is JSON already.
 * @param name of letters and dots
 * @param json as JSON.stringify makes it
 */
export function sealJson(name: string, json: string, bytes: number): Sealed {
  const disclosure = Buffer.from(`["${salt()}","${name}",${json}]`);
  // RFC 9901 section 4.2.3: the digest is over the ASCII of the base64url text.
  const digest = hash("sha256", disclosure.toString("base64url"), "base64url");
  return { json: `{"sealed":"${digest}","bytes":${bytes}}`, disclosure };
}
