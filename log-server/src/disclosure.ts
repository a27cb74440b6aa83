import { hash } from "node:crypto";
import { isOfSource } from "./added.ts";
import { parseBase64url, parseUtf8 } from "./encoding.ts";
import type { EntryValue } from "./entry.ts";
import { LogServerError } from "./errors.ts";
import { isObject, isSealed, isTooDeep, MAX_DEPTH, sealableForms } from "./forms.ts";

const SALT_BYTES = 16;
/** The one value that is sealed once for a session: the same digest stands in each of the session's entries. */
const SHARED_NAME = "client.address";

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
  return hash("sha256", disclosure.toString("base64url"), "base64url");
}

/** The sealed digest at a member's path such as `client.address`, if one is there. */
function sealedAt(entry: EntryValue, path: string): string | undefined {
  let value: unknown = entry;
  for (const name of path.split(".")) {
    if (!isObject(value) || isSealed(value) || !Object.hasOwn(value, name)) return undefined;
    value = value[name];
  }
  return isSealed(value) ? value.sealed : undefined;
}

/** @returns the name and digest of a disclosure that opens a sealed value of the entry, or what is wrong with it. */
function opened(disclosure: Buffer, entry: EntryValue): { name: string; digest: string } | string {
  const text = parseUtf8(disclosure);
  if (text === undefined) return "it is not valid UTF-8";
  let value: unknown;
  let compact = false;
  try {
    value = JSON.parse(text);
    compact = JSON.stringify(value) === text;
  } catch (error) {
    // The parser's message may quote the value, which is what is being kept secret.
    return `it is not JSON (${(error as Error).name})`;
  }
  if (!compact) return "it is not in compact form: JSON.stringify gives other bytes";
  if (isTooDeep(value, 0)) return `it is nested more than ${MAX_DEPTH} deep`;
  if (!Array.isArray(value) || value.length !== 3) return "it is not an array [salt, name, value]";
  const [salt, name, disclosed] = value as unknown[];
  if (typeof salt !== "string" || parseBase64url(salt)?.length !== SALT_BYTES) {
    return `its salt is not base64url of ${SALT_BYTES} bytes`;
  }
  if (typeof name !== "string") return "its name is not a string";
  if (sealableForms.get(name)?.(disclosed) === false) return `its value has not the form of ${name}`;
  const sealed = sealedAt(entry, name);
  if (sealed === undefined) return `the entry has no sealed value at ${JSON.stringify(name)}`;
  const digest = disclosureDigest(disclosure);
  return sealed === digest ? { name, digest } : `its digest is not the one sealed at ${JSON.stringify(name)}`;
}

/** The disclosures of one entry, as they are to be stored. */
export interface CheckedDisclosures {
  /** Those of this entry alone; absent when there are none. */
  readonly block?: Buffer;
  /** Those whose digest stands in other entries as well. */
  readonly shared: readonly SharedDisclosure[];
}

export interface SharedDisclosure {
  /** 32 bytes. */
  readonly digest: Buffer;
  readonly disclosure: Buffer;
}

/**
 * Checks that each disclosure of a block opens the sealed value that it names.
 * @param position of the entry in its submission, for the error
 * @throws LogServerError `bad_disclosure`; the message never holds a disclosed value
 */
export function checkDisclosures(block: Buffer, entry: EntryValue, position: number): CheckedDisclosures {
  const shared: SharedDisclosure[] = [];
  const own: Buffer[] = [];
  const all = blockDisclosures(block);
  for (const [i, disclosure] of all.entries()) {
    const result = opened(disclosure, entry);
    if (typeof result === "string") {
      throw new LogServerError("bad_disclosure", `disclosure ${i} of entry ${position} of the submission: ${result}`, {
        entry: position,
      });
    }
    if (result.name === SHARED_NAME) shared.push({ digest: Buffer.from(result.digest, "base64url"), disclosure });
    // One that comes twice is kept once.
    else if (!own.some((each) => each.equals(disclosure))) own.push(disclosure);
  }
  if (own.length === 0) return { shared };
  return { block: own.length === all.length ? block : makeBlock(own), shared };
}

/**
 * @param entry as the log has it
 * @returns the digest of the entry's sealed value that other entries may share, 32 bytes, if it has one
 */
export function sharedDigest(entry: Buffer): Buffer | undefined {
  return isOfSource(entry) ? sharedDigestOf(JSON.parse(entry.toString("utf8")) as EntryValue) : undefined;
}

/** @returns as `sharedDigest`, of an entry that is parsed already. */
export function sharedDigestOf(entry: EntryValue): Buffer | undefined {
  const digest = sealedAt(entry, SHARED_NAME);
  return digest === undefined ? undefined : Buffer.from(digest, "base64url");
}
