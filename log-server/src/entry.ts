import { parseUtf8 } from "./encoding.ts";
import { LogServerError } from "./errors.ts";
import { isObject, isTimestamp, kinds } from "./kinds.ts";
import { isKeyName } from "./note.ts";

/** The length field of an entry has two bytes (spec/entry.md). */
export const MAX_ENTRY_BYTES = 65_535;

/** An entry's value, once its form is checked. The bytes stay what is stored and hashed. */
export interface EntryValue {
  readonly [member: string]: unknown;
  readonly v: 1;
  readonly kind: string;
  readonly source: string;
  readonly epoch: number;
  readonly seq: number;
  readonly time: string;
}

const COMMON = ["v", "kind", "source", "epoch", "seq", "time"] as const;
const ARRAY_INDEX = /^(?:0|[1-9][0-9]{0,9})$/;
/** base64url of 32 bytes: the last character carries four bits. */
const SEALED_DIGEST = /^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$/;

/** What is wrong with a value anywhere in an entry: its numbers, its member names, the form of sealed values. */
function faultIn(value: unknown): string | undefined {
  if (typeof value === "number") {
    if (Number.isSafeInteger(value) && value >= 0) return undefined;
    return `the number ${value} is not an integer from 0 to 2^53 − 1`;
  }
  if (typeof value !== "object" || value === null) return undefined;
  if (Array.isArray(value)) {
    for (const item of value) {
      const fault = faultIn(item);
      if (fault !== undefined) return fault;
    }
    return undefined;
  }
  const members = value as Record<string, unknown>;
  let count = 0;
  for (const name in members) {
    count += 1;
    const first = name.charCodeAt(0);
    if (first >= 48 && first <= 57 && ARRAY_INDEX.test(name) && Number(name) < 2 ** 32 - 1) {
      return `the member name "${name}" looks like an array index`;
    }
    const fault = faultIn(members[name]);
    if (fault !== undefined) return fault;
  }
  if (!Object.hasOwn(members, "sealed")) return undefined;
  const digest = members.sealed;
  if (count === 2 && typeof members.bytes === "number" && typeof digest === "string" && SEALED_DIGEST.test(digest)) {
    return undefined;
  }
  return 'an object with a member "sealed" must be exactly {"sealed":"<base64url SHA-256>","bytes":<size>}';
}

function faultInCommon(value: Record<string, unknown>): string | undefined {
  const names = Object.keys(value);
  for (const [i, name] of COMMON.entries()) {
    if (names[i] !== name) return `member ${i + 1} must be "${name}"`;
  }
  if (value.v !== 1) return '"v" must be 1';
  if (typeof value.kind !== "string" || value.kind === "") return '"kind" must be a string';
  if (typeof value.source !== "string" || !isKeyName(value.source)) return '"source" must be a key name';
  if (typeof value.epoch !== "number" || value.epoch < 1) return '"epoch" must be an integer from 1';
  if (typeof value.seq !== "number") return '"seq" must be an integer';
  if (!isTimestamp(value.time)) return '"time" must be a timestamp such as 2026-11-22T22:10:00.123456Z';
  return undefined;
}

function faultInKind(value: Record<string, unknown>, kind: string): string | undefined {
  const members = kinds.get(kind);
  if (members === undefined) return undefined;
  for (const [name, { is, required, says }] of members) {
    const member = value[name];
    if (member === undefined ? required : !is(member)) {
      return `"${name}" of a ${kind} must be ${says}${member === undefined ? ", and is missing" : ""}`;
    }
  }
  return undefined;
}

/**
 * Checks that bytes are an entry in the form of spec/entry.md.
 * @param position of the entry in its submission, for the error
 * @throws LogServerError `bad_entry`
 */
export function parseEntry(bytes: Buffer, position: number): EntryValue {
  const fail = (what: string): LogServerError =>
    new LogServerError("bad_entry", `entry ${position} of the submission: ${what}`, { entry: position });
  if (bytes.length > MAX_ENTRY_BYTES) throw fail(`it has ${bytes.length} bytes; the limit is ${MAX_ENTRY_BYTES}`);
  const text = parseUtf8(bytes);
  if (text === undefined) throw fail("it is not valid UTF-8");
  let value: unknown;
  let fault: string | undefined;
  try {
    value = JSON.parse(text);
    if (JSON.stringify(value) !== text) throw fail("it is not in compact form: JSON.stringify gives other bytes");
    fault = faultIn(value);
  } catch (error) {
    if (error instanceof LogServerError) throw error;
    // A SyntaxError of the parser, or a RangeError where the nesting exhausts the stack.
    throw fail(`it is not JSON that can be read: ${(error as Error).message}`);
  }
  if (!isObject(value)) throw fail("it is not a JSON object");
  fault ??= faultInCommon(value) ?? faultInKind(value, value.kind as string);
  if (fault !== undefined) throw fail(fault);
  return value as unknown as EntryValue;
}
