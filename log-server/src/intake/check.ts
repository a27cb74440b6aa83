import { isUtf8 } from "node:buffer";
import { hash } from "node:crypto";
import { setImmediate } from "node:timers/promises";
import { sealedValues } from "../entries/disclosure.ts";
import { type CheckedDisclosure, checkDisclosures } from "../entries/disclosure-check.ts";
import { type EntryValue, parseEntry } from "../entries/entry.ts";
import { type EntryShapes, runOf } from "../entries/entry-shapes.ts";
import { handoverFault } from "../entries/handover.ts";
import { type FramedSubmission, parsePayload } from "../entries/submission.ts";
import { LogServerError } from "../errors.ts";
import { HASH_BYTES, leafHashInto } from "../formats/merkle.ts";
import { checkNote, type VerifierKey } from "../formats/note.ts";
import type { ErasureRecord, SourceRecord } from "../store/store.ts";
import type { Source, Sources } from "./sources.ts";

/** The end of the epoch before, as a `source.start` states it. */
interface Previous {
  readonly epoch: number;
  readonly next: number;
  readonly chain: string;
}

/** What an entry of the log's own changes, besides being there; durable with it. */
export interface Effect {
  readonly source?: SourceRecord;
  readonly erasure?: { readonly order: number; readonly record: ErasureRecord };
}

export type EffectOf = (index: number, source: (name: string) => SourceRecord | undefined) => Effect;

/** A submission for which everything holds that can be told without knowing where its source stands. */
export interface CheckedSubmission {
  readonly payload: Buffer;
  /** By entry: where it begins and ends in the payload. */
  readonly starts: readonly number[];
  readonly ends: readonly number[];
  /** The disclosures of single entries, by entry: a block of them. */
  readonly blocks: readonly { readonly position: number; readonly block: Buffer }[];
  /** Those that entries share, each once; with the last entry in the submission that came with it. */
  readonly shared: readonly (CheckedDisclosure & { readonly position: number })[];
  readonly source: string;
  /** The key that signed it. */
  readonly vkey: string;
  /** The key in force behind it, when its last entry is a new `source.key`. */
  readonly newKey?: string;
  /** Of the log's own entry in it, by the index that it gets, and by what is known of a source just before it. */
  readonly effect?: EffectOf;
  readonly epoch: number;
  readonly seq: number;
  readonly count: number;
  /** The entries' leaf hashes, one after the other. */
  readonly leaves: Buffer;
  /** Of the first entry, when that is a `source.start`. */
  readonly previous?: Previous | null;
}

// How many entries, or how many bytes of them, are checked before others get a turn: 1 ms or two, and up to 8 where each
// has to be parsed. A single disclosure may be larger.
const SLICE = 256;
const SLICE_BYTES = 2 ** 18;
/** Bytes of an entry and its disclosures that patterns are tried on, at most: what they keep on their stack is bounded. */
const MOST_TEXT_BYTES = 2 ** 17;

/** The keys that a batch whose last entry is this one may be signed by (spec/submission.md, "Keys"). */
function keysFor({ key, former }: Source, epoch: number, last: number): VerifierKey[] {
  const good = former.filter((each) => epoch < each.epoch || (epoch === each.epoch && last <= each.seq));
  return [key, ...good.map((each) => each.key)];
}

/** @returns the source, and its key that signed the submission. */
function authenticate(
  framed: FramedSubmission,
  origin: string,
  sources: Sources,
): { source: Source; key: VerifierKey } {
  const { note, announced } = framed;
  const source = sources.get(announced.source);
  if (source === undefined || sources.isOwn(announced.source)) {
    const what = source === undefined ? "is not registered" : "is the log itself, in whose name nobody submits";
    const message = `the source ${announced.source} ${what}: register its verifier key`;
    throw new LogServerError("unknown_source", message);
  }
  if (source.retired) throw retired(source.name);
  const { epoch, seq, count } = announced;
  const signed = keysFor(source, epoch, seq + count - 1).map((key) => ({ key, signature: checkNote(note, key) }));
  const { key, signature } =
    signed.find((each) => each.signature === "invalid") ??
    signed.find((each) => each.signature === "good") ??
    signed[0]!;
  if (signature !== "good") {
    const message = `the note's signature by ${key.name}+${key.id.toString("hex")} is ${signature}`;
    throw new LogServerError("bad_signature", message);
  }
  if (announced.origin !== origin) {
    const message = `the submission is made for the log ${announced.origin}, and this one is ${origin}`;
    throw new LogServerError("bad_signature", message);
  }
  return { source, key };
}

/** @returns the error for a source whose entries are taken no more. */
export function retired(name: string): LogServerError {
  return new LogServerError("source_retired", `the source ${name} is retired: the log takes no more entries of it`);
}

/**
 * Checks an entry `source.key`. One that changed the key before is compared with what was logged, later.
 * @param last whether it is the last entry of its batch
 * @returns what is wrong with it; or the new key, when the change is new
 */
function checkHandover(entry: EntryValue, source: Source, last: boolean): { fault: string } | { newKey?: string } {
  const { epoch, seq } = entry;
  if (source.former.some((each) => each.epoch === epoch && each.seq === seq)) return {};
  if (!last) return { fault: "source.key must be the last entry of its batch: what follows is signed by the new key" };
  const handover = { source: source.name, epoch, seq, vkey: entry.vkey as string, proof: entry.proof as string };
  const former = source.former.map((each) => each.key);
  const fault = handoverFault(handover, source.key, former);
  return fault === undefined ? { newKey: handover.vkey } : { fault };
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
 * @param shapes of the entries checked before; those of this submission are added
 * @throws LogServerError `unknown_source`, `bad_signature`, `bad_submission`, `bad_entry`, `bad_disclosure`
 */
export async function checkSubmission(
  framed: FramedSubmission,
  origin: string,
  sources: Sources,
  shapes: EntryShapes,
): Promise<CheckedSubmission> {
  const { source, key } = authenticate(framed, origin, sources);
  const { payload } = framed;
  const { epoch, seq, count, digest } = framed.announced;
  if (!hash("sha256", payload, "buffer").equals(digest)) {
    throw new LogServerError(
      "bad_submission",
      "the payload is not the one signed: its SHA-256 differs from the note's",
    );
  }
  const { starts, ends, blockEnds } = parsePayload(payload, count);
  const blocks: CheckedSubmission["blocks"][number][] = [];
  const shared = new Map<string, CheckedDisclosure & { position: number }>();
  const leaves = Buffer.allocUnsafeSlow(count * HASH_BYTES);
  const run = runOf(key.name, epoch);
  let previous: Previous | null | undefined;
  let newKey: string | undefined;
  let slice = { entry: 0, offset: 0 };
  for (let i = 0; i < count; i += 1) {
    const [start, end, blockEnd] = [starts[i]!, ends[i]!, blockEnds[i]!];
    if (i - slice.entry >= SLICE || (i > slice.entry && blockEnd - slice.offset > SLICE_BYTES)) {
      await setImmediate();
      slice = { entry: i, offset: start };
    }
    const bytes = payload.subarray(start, end);
    const text = blockEnd - start > MOST_TEXT_BYTES ? undefined : payload.toString("latin1", start, blockEnd);
    // The first one is a source.start, which has no shape.
    const first = seq + i === 0;
    let sealed =
      first || text === undefined || !isUtf8(bytes) ? undefined : shapes.match(text, end - start, run, seq + i);
    if (sealed === undefined) {
      const entry = parseEntry(bytes, i);
      const fault = faultInPlace(entry, key, epoch, seq + i);
      if (fault !== undefined) throw badEntry(i, fault);
      if (entry.kind === "source.key") {
        const handover = checkHandover(entry, source, i === count - 1);
        if ("fault" in handover) throw badEntry(i, handover.fault);
        newKey = handover.newKey;
      }
      if (first) previous = entry.previous as Previous | null;
      else if (text !== undefined) shapes.learn(entry, text, end - start, run);
      sealed = sealedValues(entry);
    }
    // Two bytes say that there are none.
    if (blockEnd - end > 2) {
      const block = { bytes: payload, start: end, end: blockEnd, text, at: end - start };
      const checked = checkDisclosures(block, sealed, i);
      if (checked.block !== undefined) blocks.push({ position: i, block: checked.block });
      if (checked.shared !== undefined) {
        const known = shared.get(checked.shared.digest);
        if (known === undefined) shared.set(checked.shared.digest, { ...checked.shared, position: i });
        else known.position = i;
      }
    }
    leafHashInto(leaves, i * HASH_BYTES, bytes);
  }
  return {
    source: key.name,
    vkey: key.vkey,
    epoch,
    seq,
    count,
    payload,
    starts,
    ends,
    blocks,
    shared: [...shared.values()],
    leaves,
    ...(previous === undefined ? {} : { previous }),
    ...(newKey === undefined ? {} : { newKey }),
  };
}

function badEntry(position: number, what: string): LogServerError {
  return new LogServerError("bad_entry", `entry ${position} of the submission: ${what}`, { entry: position });
}
