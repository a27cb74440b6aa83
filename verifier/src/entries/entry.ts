import { VerifierError } from "../errors.ts";
import { parseCompact } from "../formats/compact.ts";
import { isKeyName } from "../formats/key.ts";
import { maxEntryLength } from "../formats/merkle.ts";
import { decodeUtf8, isCount, isTimestamp } from "../formats/text.ts";
import { checkMembers } from "./entry-members.ts";
import type { Shapes } from "./entry-shape.ts";

/** An entry that passed E1 and E2: the six common members, and those of its kind. */
export type Entry = {
  v: 1;
  kind: string;
  source: string;
  epoch: number;
  seq: number;
  /** When the source wrote it, by its own clock. */
  time: string;
  [member: string]: unknown;
};

const firstMembers = ["v", "kind", "source", "epoch", "seq", "time"];

/**
 * Step E1: UTF-8 (spec/entry.md, bytes).
 * @throws VerifierError `entry_malformed`
 */
function decode(bytes: Uint8Array): string {
  if (bytes.length > maxEntryLength) throw malformed(`it has more than ${maxEntryLength} bytes`);
  const text = decodeUtf8(bytes);
  if (text === undefined) throw malformed("it is not UTF-8");
  return text;
}

/** Steps E1 and E2 for the text of an entry. */
function parse(text: string): Entry {
  const parsed = parseCompact(text, true);
  if ("wrong" in parsed) throw malformed(parsed.wrong);
  const { value } = parsed;
  if (!isObject(value)) throw malformed("it is not an object");
  checkCommon(value);
  const wrong = checkMembers(value.kind, value);
  if (wrong !== undefined) throw malformed(`${value.kind}: ${wrong}`);
  return value;
}

/**
 * Steps E1 and E2.
 * @param bytes an entry, exactly as the log holds it
 * @throws VerifierError `entry_malformed`
 */
export function parseEntry(bytes: Uint8Array): Entry {
  return parse(decode(bytes));
}

/** An entry that passed E1 and E2, as an audit reads it. */
export type EntryRead = {
  text: string;
  /** All members, or of an entry like others before only those that {@link Shapes} gives. */
  entry: Entry;
};

/**
 * Steps E1 and E2 in an audit, where most entries are like others before.
 * @throws VerifierError `entry_malformed`
 */
export function readEntry(bytes: Uint8Array, shapes: Shapes): EntryRead {
  const text = decode(bytes);
  let entry = shapes.match(text);
  if (entry === undefined) {
    entry = parse(text);
    shapes.learn(entry, text);
  }
  return { text, entry };
}

/** Step E2 for the members of every kind. */
function checkCommon(value: Record<string, unknown>): asserts value is Entry {
  let position = 0;
  for (const name in value) {
    if (name !== firstMembers[position]) break;
    if (++position === firstMembers.length) break;
  }
  if (position < firstMembers.length) throw malformed(`its member ${position + 1} is not ${firstMembers[position]}`);
  if (value.v !== 1) throw malformed("its v is not 1");
  if (typeof value.kind !== "string" || value.kind === "") throw malformed("its kind is not a string, or empty");
  if (typeof value.source !== "string" || !isKeyName(value.source)) throw malformed("its source is not a key name");
  if (!isCount(value.epoch) || value.epoch < 1) throw malformed("its epoch is not an integer from 1");
  if (!isCount(value.seq)) throw malformed("its seq is not an integer from 0");
  if (!isTimestamp(value.time)) throw malformed("its time is not a timestamp");
}

/**
 * Finds the place of an entry that failed E1 or E2 in its source's chain.
 * @returns the entry, of which only the common members can be relied on; undefined when they are wrong themselves, or
 * when it is one of the source's own entries, which carry what the chain depends on
 */
export function salvageEntry(bytes: Uint8Array): Entry | undefined {
  try {
    const value: unknown = JSON.parse(decodeUtf8(bytes) ?? "");
    if (!isObject(value)) return undefined;
    checkCommon(value);
    return value.kind.startsWith("source.") ? undefined : value;
  } catch {
    return undefined; // the finding over this entry is made already
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function malformed(why: string): VerifierError {
  return new VerifierError("entry_malformed", `this is not an entry: ${why}`);
}
