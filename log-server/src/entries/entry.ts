import { LogServerError } from "../errors.ts";
import { parseUtf8 } from "../formats/encoding.ts";
import { isKeyName } from "../formats/note.ts";
import { count, exactly, hashBase64url, isObject, isSealed, MAX_DEPTH, timestamp } from "./forms.ts";
import { kindFault } from "./kinds.ts";

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

const SEALED = exactly({ sealed: hashBase64url, bytes: count });
const COMMON = ["v", "kind", "source", "epoch", "seq", "time"] as const;

/**
 * What is wrong with a value at any place of an entry: its depth, its numbers, the form of sealed values.
 * @param depth of the value's surroundings; 0 at the outermost value
 */
function faultIn(value: unknown, depth: number): string | undefined {
  if (typeof value === "number") {
    if (Number.isSafeInteger(value) && value >= 0) return undefined;
    return `the number ${value} is not an integer from 0 to 2^53 − 1`;
  }
  if (typeof value !== "object" || value === null) return undefined;
  if (depth === MAX_DEPTH) return `it is nested more than ${MAX_DEPTH} deep`;
  for (const member of Object.values(value)) {
    const fault = faultIn(member, depth + 1);
    if (fault !== undefined) return fault;
  }
  if (!isSealed(value) || SEALED(value)) return undefined;
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
  if (!timestamp(value.time)) return '"time" must be a timestamp such as 2026-11-22T22:10:00.123456Z';
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
    fault = faultIn(value, 0);
  } catch (error) {
    if (error instanceof LogServerError) throw error;
    // A SyntaxError of the parser, or a RangeError where the nesting exhausts the stack.
    throw fail(`it is not JSON that can be read: ${(error as Error).message}`);
  }
  if (!isObject(value)) throw fail("it is not a JSON object");
  fault ??= faultInCommon(value) ?? kindFault(value, value.kind as string);
  if (fault !== undefined) throw fail(fault);
  return value as unknown as EntryValue;
}

/**
 * @param bytes an entry of a source, as the store has it: its form was checked when it came
 * @throws LogServerError `store_corrupt` when it cannot be read any more; the message holds nothing of it
 */
export function storedEntry(bytes: Buffer, index: number): EntryValue {
  try {
    return JSON.parse(bytes.toString("utf8")) as EntryValue;
  } catch {
    // The parser's message quotes the text, which is not everybody's to read.
    const message = `entry ${index} is no JSON any more: the store is damaged; see vitrine log fsck, and restore a copy that is not older than the guard file`;
    throw new LogServerError("store_corrupt", message, { index });
  }
}
