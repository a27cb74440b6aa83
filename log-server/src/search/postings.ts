import { hash } from "node:crypto";
import { crc32 } from "node:zlib";

// The records of the search index. The index covers the tree in chunks of a fixed number of entries; a posting is the
// offset of an entry in its chunk.

/** Entries in a chunk: sixteen bundles. A chunk is written once, when it is full. */
export const CHUNK_ENTRIES = 4096;

const TERM_BYTES = 8;
const NUMBER_BYTES = 6;
const CRC_BYTES = 4;
/** Longer values stand for themselves by their digest, so that no value takes much memory. */
const LONGEST_TERM = 128;

/** @returns what stands for a value in memory. */
export function termOf(value: string): string {
  return value.length <= LONGEST_TERM ? value : hash("sha256", value, "base64");
}

/** Where the postings of a term begin: u8 field code, and the start of the term's SHA-256. Two terms may share it. */
export function termPrefix(code: number, term: string): Buffer {
  const prefix = Buffer.allocUnsafe(1 + TERM_BYTES);
  prefix[0] = code;
  prefix.write(hash("sha256", term, "binary"), 1, TERM_BYTES, "latin1");
  return prefix;
}

/** @returns the key of a record: its prefix, and the number of the chunk (or group of chunks) as u48. */
export function numbered(prefix: Buffer, number: number): Buffer {
  const key = Buffer.allocUnsafe(prefix.length + NUMBER_BYTES);
  prefix.copy(key);
  key.writeUIntBE(number, prefix.length, NUMBER_BYTES);
  return key;
}

export function numberOf(key: Buffer): number {
  return key.readUIntBE(key.length - NUMBER_BYTES, NUMBER_BYTES);
}

/** LevelDB does not check what it reads here: a record carries a CRC-32 over its key and its payload. */
export function sealRecord(key: Buffer, payload: Buffer): Buffer {
  const value = Buffer.allocUnsafe(CRC_BYTES + payload.length);
  value.writeUInt32BE(crc32(payload, crc32(key)), 0);
  payload.copy(value, CRC_BYTES);
  return value;
}

/** @returns the payload; undefined when the record is damaged. */
export function openRecord(key: Buffer, value: Buffer): Buffer | undefined {
  if (value.length < CRC_BYTES) return undefined;
  const payload = value.subarray(CRC_BYTES);
  return value.readUInt32BE(0) === crc32(payload, crc32(key)) ? payload : undefined;
}

/**
 * Encodes offsets as runs: `varint(2 · gap)` for a single offset, `varint(2 · gap + 1) varint(length − 2)` for several
 * that follow on one another, where the gap counts the offsets left out since the run before. What nearly every entry
 * has takes a few bytes a chunk, what one in thirty has a byte each.
 * @param offsets ascending, each once, below CHUNK_ENTRIES
 */
export function encodeOffsets(offsets: readonly number[]): Buffer {
  const bytes: number[] = [];
  let next = 0;
  for (let i = 0; i < offsets.length; ) {
    const start = offsets[i]!;
    let length = 1;
    while (offsets[i + length] === start + length) length += 1;
    pushVarint(bytes, 2 * (start - next) + (length > 1 ? 1 : 0));
    if (length > 1) pushVarint(bytes, length - 2);
    next = start + length;
    i += length;
  }
  return Buffer.from(bytes);
}

function pushVarint(bytes: number[], value: number): void {
  let rest = value;
  for (; rest > 127; rest = Math.floor(rest / 128)) bytes.push((rest % 128) + 128);
  bytes.push(rest);
}

/**
 * Decodes offsets, one run at a time.
 * @param each is called with the first offset of a run and the one behind its last, ascending
 * @returns false when the bytes are no encoding of offsets in a chunk; what was reported until then is void
 */
export function eachRun(bytes: Buffer, each: (start: number, end: number) => void): boolean {
  let at = 0;
  let next = 0;
  const varint = (): number => {
    let value = 0;
    for (let unit = 1; at < bytes.length && unit <= CHUNK_ENTRIES * 4; unit *= 128) {
      const byte = bytes[at]!;
      at += 1;
      value += (byte % 128) * unit;
      if (byte < 128) return value;
    }
    return Number.POSITIVE_INFINITY;
  };
  while (at < bytes.length) {
    const head = varint();
    const start = next + Math.floor(head / 2);
    const length = head % 2 === 0 ? 1 : varint() + 2;
    next = start + length;
    if (!(next <= CHUNK_ENTRIES)) return false;
    each(start, next);
  }
  return true;
}
