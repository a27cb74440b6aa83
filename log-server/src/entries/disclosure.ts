import { hash } from "node:crypto";
import { LogServerError } from "../errors.ts";
import { isOfSource } from "./added.ts";
import { type EntryValue, MAX_ENTRY_BYTES, storedEntry } from "./entry.ts";
import type { SealedValues } from "./entry-shapes.ts";
import { isObject, isSealed } from "./forms.ts";

/** The one value that is sealed once for a session: the same digest stands in each of the session's entries. */
export const SHARED_NAME = "client.address";

// Disclosures of one entry travel and are stored as one block: u16 number, then for each u32 length and the UTF-8
// JSON array (spec/submission.md).

/** @returns the end of the disclosure block that begins at `offset`, or undefined if the bytes end before. */
export function disclosureBlockEnd(bytes: Buffer, offset: number): number | undefined {
  if (offset + 2 > bytes.length) return undefined;
  let end = offset + 2;
  for (let left = bytes.readUInt16BE(offset); left > 0; left -= 1) {
    if (end + 4 > bytes.length) return undefined;
    end += 4 + bytes.readUInt32BE(end);
  }
  return end <= bytes.length ? end : undefined;
}

/** @returns the disclosures of a whole block, as views into it. */
export function blockDisclosures(block: Buffer): Buffer[] {
  const disclosures: Buffer[] = [];
  for (let offset = 2; offset < block.length; ) {
    const end = offset + 4 + block.readUInt32BE(offset);
    disclosures.push(block.subarray(offset + 4, end));
    offset = end;
  }
  return disclosures;
}

/**
 * @param disclosure as the store has it: its form was checked when it came
 * @param index of its entry
 * @throws LogServerError `store_corrupt` when it cannot be read any more; the message holds nothing of it
 */
export function openDisclosure(disclosure: Buffer, index: number): { name: string; value: unknown } {
  try {
    const [, name, value] = JSON.parse(disclosure.toString("utf8")) as [string, string, unknown];
    return { name, value };
  } catch {
    // The parser's message quotes the text, which is what is being kept secret.
    const message = `a disclosure of entry ${index} is no JSON any more: the store is damaged; see vitrine log fsck, and restore a copy that is not older than the guard file`;
    throw new LogServerError("store_corrupt", message, { index });
  }
}

/** @returns a block of these disclosures. */
export function makeBlock(disclosures: readonly Buffer[]): Buffer {
  const count = Buffer.alloc(2);
  count.writeUInt16BE(disclosures.length);
  const parts = disclosures.flatMap((disclosure) => {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(disclosure.length);
    return [length, disclosure];
  });
  return Buffer.concat([count, ...parts]);
}

/** @returns the digest of a disclosure: base64url of SHA-256 over its base64url form (RFC 9901 section 4.2.3). */
export function disclosureDigest(disclosure: Buffer): string {
  return digestOf(disclosure, 0, disclosure.length);
}

/** @returns as `disclosureDigest`, of the disclosure that stands from `start` up to `end`. */
export function digestOf(bytes: Buffer, start: number, end: number): string {
  return hash("sha256", bytes.toString("base64url", start, end), "base64url");
}

/** The sealed digest at a member's path such as `client.address`, if one is there. */
function sealedAt(entry: EntryValue, path: string): string | undefined {
  // A disclosure may name anything, of any length; what an entry has in it is no longer than the entry.
  if (path.length > MAX_ENTRY_BYTES) return undefined;
  let value: unknown = entry;
  for (const name of path.split(".")) {
    if (!isObject(value) || isSealed(value) || !Object.hasOwn(value, name)) return undefined;
    value = value[name];
  }
  return isSealed(value) ? value.sealed : undefined;
}

/** @returns what is sealed in an entry that was parsed. */
export function sealedValues(entry: EntryValue): SealedValues {
  return { digestAt: (path) => sealedAt(entry, path) };
}

/**
 * @param entry as the log has it
 * @returns the digest of the entry's sealed value that other entries may share, 32 bytes, if it has one
 * @throws LogServerError `store_corrupt`
 */
export function sharedDigest(entry: Buffer, index: number): Buffer | undefined {
  return isOfSource(entry) ? sharedDigestOf(storedEntry(entry, index)) : undefined;
}

/** @returns as `sharedDigest`, of an entry that is parsed already. */
export function sharedDigestOf(entry: EntryValue): Buffer | undefined {
  const digest = sealedAt(entry, SHARED_NAME);
  return digest === undefined ? undefined : Buffer.from(digest, "base64url");
}
