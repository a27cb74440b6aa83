import { VerifierError } from "../errors.ts";
import { decodeBase64 } from "../formats/base64.ts";
import { isKeyName } from "../formats/key.ts";
import { hashLength } from "../formats/merkle.ts";
import { decodeUtf8, isCount } from "../formats/text.ts";

/** A source's record of what the log acknowledged (spec/record.md), parsed; nothing about it is verified. */
export type SubmittedRecord = {
  origin: string;
  source: string;
  /** The source's verifier key, as it stands there. */
  vkey: string;
  ranges: SubmittedRange[];
  /** What stands behind the last newline was ignored. */
  torn: boolean;
};

export type SubmittedRange = {
  /** In the file, from 1; the header is the first. */
  line: number;
  epoch: number;
  /** Of the first entry. */
  seq: number;
  count: number;
  /** Of the first entry, in the log. */
  index: number;
  /** c(seq) and c(seq + count), 32 bytes. */
  before: Uint8Array;
  after: Uint8Array;
};

/** Bytes of a file (spec/record.md). */
export const maxRecordLength = 134_217_728;
const format = "vitrine/submitted/v1";
const maxCount = 4096;

/**
 * Step R1.
 * @throws VerifierError `record_malformed`
 */
export function parseRecord(bytes: Uint8Array): SubmittedRecord {
  if (bytes.length > maxRecordLength) throw malformed(`it has more than ${maxRecordLength} bytes`);
  const end = bytes.lastIndexOf(0x0a) + 1;
  if (end === 0) throw malformed("it has no whole line");
  // What is torn may end anywhere, also inside a character.
  const text = decodeUtf8(bytes.subarray(0, end));
  if (text === undefined) throw malformed("it is not UTF-8");
  const header = parseHeader(text.slice(0, text.indexOf("\n")));
  const ranges: SubmittedRange[] = [];
  let last = "";
  let line = 2;
  for (let at = text.indexOf("\n") + 1; at < text.length; line++) {
    const next = text.indexOf("\n", at);
    const one = text.slice(at, next);
    if (one !== last) ranges.push(parseRange(one, line));
    last = one;
    at = next + 1;
  }
  if (ranges.length === 0) throw malformed("it has a header and no range");
  return { ...header, ranges, torn: end < bytes.length };
}

function parseHeader(text: string): Pick<SubmittedRecord, "origin" | "source" | "vkey"> {
  const value = parseLine(text, 1);
  const { origin, source, vkey } = value;
  if (value.format !== format) throw malformed(`its first line does not have the format ${format}`);
  if (typeof origin !== "string" || !isKeyName(origin)) throw malformed("its origin is not the name of a key");
  if (typeof source !== "string" || !isKeyName(source)) throw malformed("its source is not the name of a key");
  if (typeof vkey !== "string") throw malformed("its vkey is not a text");
  demandCompact(text, { format, origin, source, vkey }, 1);
  return { origin, source, vkey };
}

function parseRange(text: string, line: number): SubmittedRange {
  const { epoch, seq, count, index, before, after } = parseLine(text, line);
  if (!isCount(epoch) || epoch < 1) throw malformed("epoch is not an integer from 1", line);
  if (!isCount(count) || count < 1 || count > maxCount) throw malformed(`count is not from 1 to ${maxCount}`, line);
  if (!isCount(seq) || !isCount(seq + count)) throw malformed("seq is not an integer from 0, or too large", line);
  if (!isCount(index) || !isCount(index + count)) throw malformed("index is not an integer from 0, or too large", line);
  const range = { epoch, seq, count, index, before, after };
  demandCompact(text, range, line);
  return { ...range, line, before: parseChain(before, "before", line), after: parseChain(after, "after", line) };
}

function parseChain(value: unknown, name: string, line: number): Uint8Array {
  const bytes = typeof value === "string" ? decodeBase64(value) : undefined;
  if (bytes?.length !== hashLength) throw malformed(`${name} is not the strict base64 of 32 bytes`, line);
  return bytes;
}

function parseLine(text: string, line: number): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw malformed("it is not JSON", line);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw malformed("it is no object", line);
  return value as Record<string, unknown>;
}

/** No other members, no other order, no white space: two readers must not understand one line differently. */
function demandCompact(text: string, members: Record<string, unknown>, line: number): void {
  if (JSON.stringify(members) !== text) throw malformed("it has other members, another order or white space", line);
}

function malformed(why: string, line?: number): VerifierError {
  const where = line === undefined ? {} : { where: `line ${line}` };
  const of = line === undefined ? "" : `line ${line}: `;
  return new VerifierError("record_malformed", `this is not a record of what was submitted: ${of}${why}`, where);
}
