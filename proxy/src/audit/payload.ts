import { leafHash } from "./chain.ts";

const FIRST_BYTES = 1024 * 1024;
const KEPT_BYTES = 4 * 1024 * 1024;

/** The payload of a submission (spec/submission.md): entries of one epoch that follow on each other, as they travel. */
export class Payload {
  #bytes: Buffer = Buffer.allocUnsafeSlow(FIRST_BYTES);
  /** Where each entry ends. */
  readonly #ends: number[] = [];
  epoch = 0;
  /** The sequence of the first entry. */
  first = 0;

  get count(): number {
    return this.#ends.length;
  }

  get length(): number {
    return this.#ends.at(-1) ?? 0;
  }

  clear(): void {
    this.#ends.length = 0;
    if (this.#bytes.length > KEPT_BYTES) this.#bytes = Buffer.allocUnsafeSlow(FIRST_BYTES);
  }

  /** @param form the entry with its disclosures, in the form of a submission; copied */
  add(epoch: number, seq: number, form: Uint8Array): void {
    const start = this.length;
    if (this.count === 0) {
      this.epoch = epoch;
      this.first = seq;
    }
    if (start + form.length > this.#bytes.length) {
      const larger = Buffer.allocUnsafeSlow(start + form.length);
      this.#bytes.copy(larger, 0, 0, start);
      this.#bytes = larger;
    }
    this.#bytes.set(form, start);
    this.#ends.push(start + form.length);
  }

  /** The leaf hash of an entry, as {@link leafHash} gives it. */
  leaf(at: number): string {
    const start = (this.#ends[at - 1] ?? 0) + 2;
    return leafHash(this.#bytes, start, start + this.#bytes.readUInt16BE(start - 2));
  }

  /** The bytes of the entries `from` to `to`, valid until the next change. */
  slice(from: number, to: number): Buffer {
    return this.#bytes.subarray(this.#ends[from - 1] ?? 0, this.#ends[to - 1]);
  }
}
