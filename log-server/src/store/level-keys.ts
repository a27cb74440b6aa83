import type { TileLevel } from "../formats/tile.ts";

// Keys of the store in LevelDB: one byte that says what it is, then fixed-width big-endian numbers, so that the order
// of the keys is the order of the things. Values are in level-store.ts.

/** Version of the layout. A store of another version is refused. */
export const LAYOUT = 1;

export const META_KEY: Buffer = Buffer.from("m");
export const HEAD_KEY: Buffer = Buffer.from("t");
export const CHECKPOINT_KEY: Buffer = Buffer.from("c");
export const POSITION_PREFIX: Buffer = Buffer.from("s");

/** Sources, erasures, and digests of shared disclosures that were erased. */
export const SOURCE_PREFIX: Buffer = Buffer.from("r");
export const ERASURE_PREFIX: Buffer = Buffer.from("x");
export const ERASED_PREFIX: Buffer = Buffer.from("y");

/** Writes a safe integer as u64. @returns the offset behind it */
export function writeU64(target: Buffer, value: number, offset: number): number {
  target.writeUInt32BE(Math.floor(value / 2 ** 32), offset);
  return target.writeUInt32BE(value % 2 ** 32, offset + 4);
}

export function readU64(source: Buffer, offset: number): number {
  return source.readUInt32BE(offset) * 2 ** 32 + source.readUInt32BE(offset + 4);
}

/** `e` + u64 first index, or `h` + u8 level + u64 first index: a run of entries or hashes. */
export function runKey(level: TileLevel, first: number): Buffer {
  const prefix = level === "entries" ? Buffer.from("e") : Buffer.of("h".charCodeAt(0), level);
  const key = Buffer.alloc(prefix.length + 8);
  prefix.copy(key);
  writeU64(key, first, prefix.length);
  return key;
}

const DISCLOSURES = "d".charCodeAt(0);

/** `d` + u64 index: the disclosure block of an entry. */
export function disclosuresKey(index: number): Buffer {
  // One for each entry: from the pool.
  const key = Buffer.allocUnsafe(9);
  key[0] = DISCLOSURES;
  writeU64(key, index, 1);
  return key;
}

/** `a` + digest: a disclosure that several entries share. */
export function sharedKey(digest: Buffer): Buffer {
  return Buffer.concat([Buffer.from("a"), digest]);
}

/** `s` + name: the position of a source. */
export function positionKey(source: string): Buffer {
  return Buffer.concat([POSITION_PREFIX, Buffer.from(source)]);
}

/** `b` + u16 length and name of the source + u64 epoch + u64 first sequence: an accepted range. */
export function acceptedKey(source: string, epoch: number, seq: number): Buffer {
  const name = Buffer.from(source);
  const key = Buffer.alloc(1 + 2 + name.length + 16, "b");
  key.writeUInt16BE(name.length, 1);
  name.copy(key, 3);
  writeU64(key, seq, writeU64(key, epoch, 3 + name.length));
  return key;
}

/** `r` + name: what the log was told of a source. */
export function sourceKey(source: string): Buffer {
  return Buffer.concat([SOURCE_PREFIX, Buffer.from(source)]);
}

/** `x` + u64 index of the order: an erasure. */
export function erasureKey(order: number): Buffer {
  const key = Buffer.alloc(9);
  ERASURE_PREFIX.copy(key);
  writeU64(key, order, 1);
  return key;
}

/** `y` + digest: a shared disclosure that must not come back. */
export function erasedKey(digest: Buffer): Buffer {
  return Buffer.concat([ERASED_PREFIX, digest]);
}

/** @returns the keys from `prefix` on, up to those of the next prefix of the same length. */
export function within(prefix: Buffer): { gte: Buffer; lt: Buffer } {
  const lt = Buffer.from(prefix);
  lt[lt.length - 1]! += 1;
  return { gte: prefix, lt };
}
