/**
 * Records, and the batch that carries them to disk. All integers are big-endian.
 *
 *   batch   8 nonce of the segment | u32 length of the records | u32 CRC-32 | records
 *   record  u8 type | u32 length of the body | body
 *   intent        u64 id | u64 epoch | u8 length, kind | u32 length, members | disclosures
 *   entry         u64 epoch | u64 seq | u64 id of the intent it ends, or 0 | u64 time, µs | u8 kind's code | form
 *   drop          u64 id
 *   acknowledged  u64 epoch | u64 next
 *   form          u16 length, entry | disclosures               (as submitted, spec/submission.md)
 *   disclosures   u16 number | for each u32 length, bytes
 *
 * A batch is what one write brings to disk: all of it counts, or nothing. Its checksum starts from the nonce, so what
 * an earlier use of the same file left behind is never taken for a record. The nonce is random and never leaves the
 * folder: no client can put it into a statement to make one look like a batch.
 */
import { crc32 } from "node:zlib";
import { leafHash } from "./chain.ts";

export const BATCH_HEAD = 16;
export const NONCE_BYTES = 8;
export const RECORD_HEAD = 5;
export const ENTRY_HEAD = 33;
export const TYPE_INTENT = 1;
export const TYPE_ENTRY = 2;
export const TYPE_DROP = 3;
export const TYPE_ACKNOWLEDGED = 4;

/** spec/entry.md, bytes. */
export const MAX_ENTRY_BYTES = 65_535;
const MAX_DISCLOSURES = 65_535;
const FIRST_CAPACITY = 256 * 1024;
const KEPT_CAPACITY = 4 * 1024 * 1024;
const TWO_32 = 2 ** 32;

export function writeU64(bytes: Buffer, value: number, at: number): void {
  bytes.writeUInt32BE(Math.floor(value / TWO_32), at);
  bytes.writeUInt32BE(value % TWO_32, at + 4);
}

/** @throws Error when the number is not a safe integer: no writer of ours makes one */
export function readU64(bytes: Buffer, at: number): number {
  const value = bytes.readUInt32BE(at) * TWO_32 + bytes.readUInt32BE(at + 4);
  if (!Number.isSafeInteger(value)) throw new Error(`the number at byte ${at} is not a safe integer`);
  return value;
}

export function disclosuresLength(disclosures: readonly Uint8Array[]): number {
  let length = 2;
  for (const one of disclosures) length += 4 + one.length;
  return length;
}

/** The checksum of a batch: over its nonce, its length and its records, in that order. */
export function batchChecksum(batch: Buffer, end: number): number {
  return crc32(batch.subarray(BATCH_HEAD, end), crc32(batch.subarray(0, NONCE_BYTES + 4)));
}

/** A growing buffer of records. */
export class RecordBuffer {
  #bytes: Buffer = Buffer.allocUnsafeSlow(FIRST_CAPACITY);
  #length = BATCH_HEAD;

  get length(): number {
    return this.#length;
  }

  get isEmpty(): boolean {
    return this.#length === BATCH_HEAD;
  }

  clear(): void {
    this.#length = BATCH_HEAD;
    if (this.#bytes.length > KEPT_CAPACITY) this.#bytes = Buffer.allocUnsafeSlow(FIRST_CAPACITY);
  }

  /** The batch as it goes to disk, in a segment with this nonce. Valid until the next change. */
  seal(nonce: Uint8Array): Buffer {
    this.#bytes.set(nonce, 0);
    this.#bytes.writeUInt32BE(this.#length - BATCH_HEAD, NONCE_BYTES);
    this.#bytes.writeUInt32BE(batchChecksum(this.#bytes, this.#length), NONCE_BYTES + 4);
    return this.#bytes.subarray(0, this.#length);
  }

  intent(id: number, epoch: number, kind: string, members: string, disclosures: readonly Uint8Array[]): void {
    const start = this.#reserve(RECORD_HEAD + 21 + (kind.length + members.length) * 3 + disclosuresLength(disclosures));
    let at = start + RECORD_HEAD;
    writeU64(this.#bytes, id, at);
    writeU64(this.#bytes, epoch, at + 8);
    const kindLength = this.#bytes.write(kind, at + 17);
    this.#bytes[at + 16] = kindLength;
    at += 17 + kindLength;
    const membersLength = this.#bytes.write(members, at + 4);
    this.#bytes.writeUInt32BE(membersLength, at);
    this.#close(TYPE_INTENT, start, this.#disclosures(disclosures, at + 4 + membersLength));
  }

  /**
   * @param text the whole entry
   * @returns its leaf hash, as a latin1 string
   * @throws Error when the entry is too long; nothing was added then
   */
  entry(
    epoch: number,
    seq: number,
    intent: number,
    micros: number,
    kindCode: number,
    text: string,
    disclosures: readonly Uint8Array[],
  ): string {
    const start = this.#reserve(RECORD_HEAD + ENTRY_HEAD + 2 + text.length * 3 + disclosuresLength(disclosures));
    const at = start + RECORD_HEAD;
    writeU64(this.#bytes, epoch, at);
    writeU64(this.#bytes, seq, at + 8);
    writeU64(this.#bytes, intent, at + 16);
    writeU64(this.#bytes, micros, at + 24);
    this.#bytes[at + 32] = kindCode;
    const entryAt = at + ENTRY_HEAD + 2;
    const length = this.#bytes.write(text, entryAt);
    if (length > MAX_ENTRY_BYTES)
      throw new Error(`an entry of ${length} bytes was composed; at most ${MAX_ENTRY_BYTES} are allowed`);
    this.#bytes.writeUInt16BE(length, entryAt - 2);
    const leaf = leafHash(this.#bytes, entryAt, entryAt + length);
    this.#close(TYPE_ENTRY, start, this.#disclosures(disclosures, entryAt + length));
    return leaf;
  }

  drop(id: number): void {
    const start = this.#reserve(RECORD_HEAD + 8);
    writeU64(this.#bytes, id, start + RECORD_HEAD);
    this.#close(TYPE_DROP, start, start + RECORD_HEAD + 8);
  }

  acknowledged(epoch: number, next: number): void {
    const start = this.#reserve(RECORD_HEAD + 16);
    writeU64(this.#bytes, epoch, start + RECORD_HEAD);
    writeU64(this.#bytes, next, start + RECORD_HEAD + 8);
    this.#close(TYPE_ACKNOWLEDGED, start, start + RECORD_HEAD + 16);
  }

  #reserve(bytes: number): number {
    const needed = this.#length + bytes;
    if (needed > this.#bytes.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(this.#bytes.length * 2, needed));
      this.#bytes.copy(larger, 0, 0, this.#length);
      this.#bytes = larger;
    }
    return this.#length;
  }

  #close(type: number, start: number, end: number): void {
    this.#bytes[start] = type;
    this.#bytes.writeUInt32BE(end - start - RECORD_HEAD, start + 1);
    this.#length = end;
  }

  #disclosures(disclosures: readonly Uint8Array[], at: number): number {
    if (disclosures.length > MAX_DISCLOSURES) throw new Error(`${disclosures.length} disclosures in one entry`);
    let end = this.#bytes.writeUInt16BE(disclosures.length, at);
    for (const one of disclosures) {
      end = this.#bytes.writeUInt32BE(one.length, end);
      this.#bytes.set(one, end);
      end += one.length;
    }
    return end;
  }
}
