import { isUtf8 } from "node:buffer";
import { LogServerError } from "../errors.ts";
import { parseBase64url, parseUtf8 } from "../formats/encoding.ts";
import { digestOf, SHARED_NAME } from "./disclosure.ts";
import type { SealedValues } from "./entry-shapes.ts";
import { isTooDeep, literal, MAX_DEPTH, sealableForms } from "./forms.ts";

const SALT_BYTES = 16;
/** Characters of a name that an error shows. */
const MOST_SHOWN = 100;

/** The bytes of a block of disclosures, and where they stand. */
export interface Block {
  /** Have the block from `start` up to `end`. */
  readonly bytes: Buffer;
  readonly start: number;
  readonly end: number;
  /** Has the same bytes from `at` on, each as one character (Latin-1); absent when they are too many. */
  readonly text: string | undefined;
  readonly at: number;
}

/** @returns a block that stands alone. */
export function blockOf(bytes: Buffer): Block {
  return { bytes, start: 0, end: bytes.length, text: undefined, at: 0 };
}

export interface CheckedDisclosure {
  /** SHA-256, in base64url. */
  readonly digest: string;
  readonly disclosure: Buffer;
}

/** The disclosures of one entry, as they are to be stored. */
export interface CheckedDisclosures {
  /** Those of this entry alone, as a block; undefined when there are none. */
  readonly block: Buffer | undefined;
  /** The one whose digest stands in other entries as well. */
  readonly shared: CheckedDisclosure | undefined;
}

// `["<salt>","<name>",<value>]`, for each name that has a form. The salt has 22 characters, the last of which carries
// two bits; so the name stands at a place that is known.
const SALT_PATTERN = "[A-Za-z0-9_-]{21}[AQgw]";
const NAME_AT = '["'.length + 22 + '",'.length;
const usualForms = [...sealableForms].map(([name, { pattern }]) => ({
  name,
  quoted: `${JSON.stringify(name)},`,
  pattern: new RegExp(`\\["${SALT_PATTERN}",${literal(JSON.stringify(name))},${pattern}\\]`, "y"),
}));

/**
 * Looks at a disclosure, which is valid UTF-8, without parsing it.
 * @returns the name that it has, when it is well formed; undefined when that cannot be told by a pattern
 */
function usualName(text: string, start: number, end: number): string | undefined {
  for (const { name, quoted, pattern } of usualForms) {
    if (!text.startsWith(quoted, start + NAME_AT)) continue;
    pattern.lastIndex = start;
    return pattern.test(text) && pattern.lastIndex === end ? name : undefined;
  }
  return undefined;
}

interface Malformed {
  readonly fault: string;
}

/** @returns the name of a disclosure, or what is wrong with it. */
function nameOf(disclosure: Buffer): string | Malformed {
  const text = parseUtf8(disclosure);
  if (text === undefined) return { fault: "it is not valid UTF-8" };
  let value: unknown;
  let compact = false;
  try {
    value = JSON.parse(text);
    compact = JSON.stringify(value) === text;
  } catch (error) {
    // The parser's message may quote the value, which is what is being kept secret.
    return { fault: `it is not JSON (${(error as Error).name})` };
  }
  if (!compact) return { fault: "it is not in compact form: JSON.stringify gives other bytes" };
  if (isTooDeep(value, 0)) return { fault: `it is nested more than ${MAX_DEPTH} deep` };
  if (!Array.isArray(value) || value.length !== 3) return { fault: "it is not an array [salt, name, value]" };
  const [salt, name, disclosed] = value as unknown[];
  if (typeof salt !== "string" || parseBase64url(salt)?.length !== SALT_BYTES) {
    return { fault: `its salt is not base64url of ${SALT_BYTES} bytes` };
  }
  if (typeof name !== "string") return { fault: "its name is not a string" };
  if (sealableForms.get(name)?.(disclosed) === false) return { fault: `its value has not the form of ${name}` };
  return name;
}

/**
 * Checks that each disclosure of a block opens the sealed value that it names.
 * @param entry that the block belongs to
 * @param position of the entry in its submission, for the error
 * @throws LogServerError `bad_disclosure`; the message never holds a disclosed value
 */
export function checkDisclosures(block: Block, entry: SealedValues, position: number): CheckedDisclosures {
  const { bytes, start, end, text, at } = block;
  const names = new Set<string>();
  let shared: CheckedDisclosure | undefined;
  // Where those of the entry alone stand, each with its length in front: beginning and end of each stretch of them.
  const stretches: number[] = [];
  let own = 0;
  let i = 0;
  for (let offset = start + 2; offset < end; i += 1) {
    const from = offset + 4;
    const to = from + bytes.readUInt32BE(offset);
    const disclosure = bytes.subarray(from, to);
    const usual =
      text === undefined || !isUtf8(disclosure) ? undefined : usualName(text, at + from - start, at + to - start);
    const name = usual ?? nameOf(disclosure);
    const digest = typeof name === "string" ? entry.digestAt(name) : undefined;
    if (typeof name !== "string" || digest === undefined || digest !== digestOf(bytes, from, to)) {
      throw refusal(i, position, name, digest);
    }
    // One that comes twice is kept once: with the same name it has the same digest.
    if (!names.has(name)) {
      names.add(name);
      if (name === SHARED_NAME) shared = { digest, disclosure };
      else {
        own += 1;
        if (stretches.at(-1) === offset) stretches[stretches.length - 1] = to;
        else stretches.push(offset, to);
      }
    }
    offset = to;
  }
  if (own === 0) return { block: undefined, shared };
  return { block: own === i ? bytes.subarray(start, end) : joined(bytes, stretches, own), shared };
}

function joined(bytes: Buffer, stretches: readonly number[], count: number): Buffer {
  const head = Buffer.allocUnsafe(2);
  head.writeUInt16BE(count);
  const parts: Buffer[] = [head];
  for (let i = 0; i < stretches.length; i += 2) parts.push(bytes.subarray(stretches[i], stretches[i + 1]));
  return Buffer.concat(parts);
}

function refusal(
  disclosure: number,
  position: number,
  name: string | Malformed,
  sealed: string | undefined,
): LogServerError {
  let what: string;
  if (typeof name !== "string") what = name.fault;
  else if (sealed === undefined) what = `the entry has no sealed value at ${shown(name)}`;
  else what = `its digest is not the one sealed at ${shown(name)}`;
  const message = `disclosure ${disclosure} of entry ${position} of the submission: ${what}`;
  return new LogServerError("bad_disclosure", message, { entry: position });
}

/** A name may be as long as a disclosure. */
function shown(name: string): string {
  return JSON.stringify(name.length > MOST_SHOWN ? `${name.slice(0, MOST_SHOWN)}…` : name);
}
