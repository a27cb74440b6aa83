import { hash } from "node:crypto";
import { setImmediate } from "node:timers/promises";
import { type CheckedDisclosures, checkDisclosures } from "./disclosure.ts";
import { type EntryValue, parseEntry } from "./entry.ts";
import { LogServerError } from "./errors.ts";
import { HASH_BYTES, leafHashInto } from "./merkle.ts";
import { checkNote, type VerifierKey } from "./note.ts";
import type { Sources } from "./sources.ts";
import { type FramedSubmission, parsePayload } from "./submission.ts";

/** The end of the epoch before, as a `source.start` states it. */
interface Previous {
  readonly epoch: number;
  readonly next: number;
  readonly chain: string;
}

/** A submission for which everything holds that can be told without knowing where its source stands. */
export interface CheckedSubmission {
  readonly payload: Buffer;
  /** By entry: where it begins and ends in the payload. */
  readonly starts: readonly number[];
  readonly ends: readonly number[];
  /** Of the entries that came with disclosures. */
  readonly disclosures: readonly (CheckedDisclosures & { readonly position: number })[];
  readonly source: string;
  readonly vkey: string;
  readonly epoch: number;
  readonly seq: number;
  readonly count: number;
  /** The entries' leaf hashes, one after the other. */
  readonly leaves: Buffer;
  /** Of the first entry, when that is a `source.start`. */
  readonly previous?: Previous | null;
}

// How many entries are checked before others get a turn: about 3 ms.
const SLICE = 256;

function authenticate(framed: FramedSubmission, origin: string, sources: Sources): VerifierKey {
  const { note, announced } = framed;
  const key = sources.get(announced.source);
  if (key === undefined) {
    const message = `the source ${announced.source} is not registered: add its verifier key to "sources" in the log's configuration`;
    throw new LogServerError("unknown_source", message);
  }
  const signature = checkNote(note, key);
  if (signature !== "good") {
    throw new LogServerError(
      "bad_signature",
      `the note's signature by ${key.name}+${key.id.toString("hex")} is ${signature}`,
    );
  }
  if (announced.origin !== origin) {
    const message = `the submission is made for the log ${announced.origin}, and this one is ${origin}`;
    throw new LogServerError("bad_signature", message);
  }
  return key;
}

function faultInPlace(entry: EntryValue, source: VerifierKey, epoch: number, seq: number): string | undefined {
  if (entry.source !== source.name) return `its source is ${entry.source}, and ${source.name} was announced`;
  if (entry.epoch !== epoch) return `its epoch is ${entry.epoch}, and ${epoch} was announced`;
  if (entry.seq !== seq) return `its seq is ${entry.seq}, and ${seq} was announced`;
  if ((entry.kind === "source.start") !== (seq === 0)) {
    return `its kind is ${entry.kind} at seq ${seq}: source.start is the first entry of an epoch, and only that`;
  }
  return undefined;
}

/**
 * Makes the checks 3 to 7 of spec/submission.md.
 * @throws LogServerError `unknown_source`, `bad_signature`, `bad_submission`, `bad_entry`, `bad_disclosure`
 */
export async function checkSubmission(
  framed: FramedSubmission,
  origin: string,
  sources: Sources,
): Promise<CheckedSubmission> {
  const key = authenticate(framed, origin, sources);
  const { payload } = framed;
  const { epoch, seq, count, digest } = framed.announced;
  if (!hash("sha256", payload, "buffer").equals(digest)) {
    throw new LogServerError(
      "bad_submission",
      "the payload is not the one signed: its SHA-256 differs from the note's",
    );
  }
  const { starts, ends, blockEnds } = parsePayload(payload, count);
  const disclosures: CheckedSubmission["disclosures"][number][] = [];
  const leaves = Buffer.allocUnsafeSlow(count * HASH_BYTES);
  let previous: Previous | null | undefined;
  for (let i = 0; i < count; i += 1) {
    if (i > 0 && i % SLICE === 0) await setImmediate();
    const bytes = payload.subarray(starts[i], ends[i]);
    const entry = parseEntry(bytes, i);
    const fault = faultInPlace(entry, key, epoch, seq + i);
    if (fault !== undefined) {
      throw new LogServerError("bad_entry", `entry ${i} of the submission: ${fault}`, { entry: i });
    }
    if (seq + i === 0) previous = entry.previous as Previous | null;
    const block = payload.subarray(ends[i], blockEnds[i]);
    // Two bytes say that there are none.
    if (block.length > 2) disclosures.push({ ...checkDisclosures(block, entry, i), position: i });
    leafHashInto(leaves, i * HASH_BYTES, bytes);
  }
  const checked = { source: key.name, vkey: key.vkey, epoch, seq, count, payload, starts, ends, disclosures, leaves };
  return previous === undefined ? checked : { ...checked, previous };
}
