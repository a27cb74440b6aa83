import { _SHA256 } from "@noble/hashes/sha2.js";

/**
 * SHA-256 by noble's compression function, over a message that stands padded in one place. An audit hashes four
 * messages for each entry, most of them of one or two blocks: making a hash object for each of these takes as long as
 * the hashing.
 */
class Sha256 extends _SHA256 {
  readonly #initial: readonly [number, number, number, number, number, number, number, number] = this.get();

  /** @returns the hash of the first `blocks` blocks of 64 bytes, 32 bytes of its own */
  of(message: DataView, blocks: number): Uint8Array {
    const [a, b, c, d, e, f, g, h] = this.#initial;
    this.set(a, b, c, d, e, f, g, h);
    for (let i = 0; i < blocks; i++) this.process(message, i * 64);
    const hash = new Uint8Array(32);
    // By bytes: a DataView would take the small array out of the heap, which is slower than all of this.
    putWord(hash, 0, this.A);
    putWord(hash, 4, this.B);
    putWord(hash, 8, this.C);
    putWord(hash, 12, this.D);
    putWord(hash, 16, this.E);
    putWord(hash, 20, this.F);
    putWord(hash, 24, this.G);
    putWord(hash, 28, this.H);
    return hash;
  }
}

/** Writes a 32-bit word, big-endian. */
function putWord(target: Uint8Array, at: number, word: number): void {
  target[at] = word >>> 24;
  target[at + 1] = word >>> 16;
  target[at + 2] = word >>> 8;
  target[at + 3] = word;
}

const sha256 = new Sha256();

/** A message of bounded length, filled in and hashed again and again. */
export class Message {
  readonly bytes: Uint8Array;
  readonly #view: DataView;

  /** @param most the longest message, in bytes */
  constructor(most: number) {
    this.bytes = new Uint8Array(Math.ceil((most + 9) / 64) * 64);
    this.#view = new DataView(this.bytes.buffer);
  }

  /** @returns SHA-256 of the first `length` bytes; those behind them are overwritten (FIPS 180-4 section 5.1.1) */
  hash(length: number): Uint8Array {
    const blocks = Math.ceil((length + 9) / 64);
    const end = blocks * 64;
    this.bytes[length] = 0x80;
    this.bytes.fill(0, length + 1, end - 8);
    // The length in bits has 64 bits.
    this.#view.setUint32(end - 8, Math.floor(length / 2 ** 29));
    this.#view.setUint32(end - 4, (length * 8) % 2 ** 32);
    return sha256.of(this.#view, blocks);
  }
}
