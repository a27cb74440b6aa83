import { createHash } from "node:crypto";
import { MAX_DISCLOSED_BYTES, sealJson } from "../audit/index.ts";

/** Members that may be sealed (spec/entry.md, "Sealed values"). */
export const SEALABLE = ["sql", "params", "error", "client.address"] as const;
export type SealableName = (typeof SEALABLE)[number];

/** A clear value longer than this is sealed all the same: the entry must stay under 65,535 bytes. */
const CLEAR_LIMIT = 8 * 1024;

/** A member's JSON text, and what travels beside the entry when it is sealed. */
export interface Member {
  readonly json: string;
  readonly disclosure: Uint8Array | undefined;
}

/** Decides, by configuration, which values stand in the entry and which behind a digest. */
export class Values {
  readonly #sealed: ReadonlySet<SealableName>;
  readonly #limit: number;

  /** @param limit bytes of a value up to which its disclosure holds the value itself and not its digest */
  constructor(sealed: Iterable<SealableName>, limit: number) {
    this.#sealed = new Set(sealed);
    this.#limit = limit;
  }

  /** @param bytes size of the value on the wire */
  member(name: SealableName, value: unknown, bytes: number): Member {
    return this.#jsonMember(name, JSON.stringify(value), bytes);
  }

  /**
   * A value that was sent as `raw` bytes: itself where its disclosure is small enough to keep, else by its digest.
   * @param json what the disclosure says of it
   */
  bytesMember(name: SealableName, raw: Buffer, size: number, json: () => string): Member {
    if (raw.length <= this.#limit) {
      const member = this.#jsonMember(name, json(), size);
      // Escaped in JSON, a value can have several times its size.
      if (member.disclosure === undefined || member.disclosure.length <= MAX_DISCLOSED_BYTES / 2) return member;
    }
    return this.digestMember(name, raw.length, sha256Hex(raw));
  }

  #jsonMember(name: SealableName, json: string, bytes: number): Member {
    if (!this.#sealed.has(name) && (json.length * 3 <= CLEAR_LIMIT || Buffer.byteLength(json) <= CLEAR_LIMIT))
      return { json, disclosure: undefined };
    return sealJson(name, json, bytes);
  }

  digestMember(name: SealableName, bytes: number, sha256: string): Member {
    return this.member(name, { bytes, sha256 }, bytes);
  }

  get limit(): number {
    return this.#limit;
  }
}

function sha256Hex(value: Buffer): string {
  return createHash("sha256").update(value).digest("hex");
}
