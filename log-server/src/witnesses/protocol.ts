import { checkCosignature, isBy } from "../formats/cosignature.ts";
import { parseDecimal, parseUtf8 } from "../formats/encoding.ts";
import { type CosignerKey, parseSignature, type Signature } from "../formats/note.ts";
import type { NoAnswer, WitnessAnswer } from "./http.ts";

// C2SP tlog-witness, add-checkpoint, from the log's side (spec/policy.md, "Asking witnesses"): what is sent, and what
// an answer means. Nothing that a witness wrote is repeated in a message.

/** Why there is no cosignature. The manual says what to do about each; a test holds its table against this list. */
export const witnessFailures = [
  "unreachable",
  "timeout",
  "too_large",
  "redirect",
  "bad_answer",
  "no_cosignature",
  "bad_cosignature",
  "bad_time",
  "unknown_log",
  "forbidden",
  "refused",
  "conflict",
  "busy",
  "unavailable",
  "ahead",
  "split",
  "internal",
] as const;

export type WitnessFailure = (typeof witnessFailures)[number];

/** A checkpoint to be cosigned. */
export interface Candidate {
  readonly size: number;
  /** What is cosigned: the note's text. */
  readonly text: string;
  /** With the log's signatures alone. */
  readonly note: string;
}

/** What an answer means. `learned` is the size that the witness says it has cosigned last. */
export type Verdict =
  | { readonly result: "cosigned"; readonly line: string; readonly timestamp: number }
  | { readonly result: "learned"; readonly size: number }
  | Failed;

export interface Failed {
  readonly result: "failed";
  readonly failure: WitnessFailure;
  readonly message: string;
  /** The witness asks not to be asked sooner, in milliseconds. */
  readonly retryAfterMs?: number;
}

const MAX_PROOF = 63;
const SIZE_TYPE = "text/x.tlog.size";

// A witness whose clock is a little ahead is in order; one that signs old times says nothing of how fresh the log is.
const MAX_AHEAD_S = 300;
const MAX_BEHIND_S = 3600;

const MAX_RETRY_AFTER_MS = 3_600_000;

/**
 * @param old size that the witness has cosigned last, 0 for none
 * @param proof that the tree of size `old` is a part of the candidate's; empty from 0 and between equal sizes
 */
export function addCheckpointBody(old: number, proof: readonly Buffer[], { note }: Candidate): Buffer {
  // A proof between trees of at most 2^53 entries has at most 54 hashes.
  if (proof.length > MAX_PROOF) throw new Error(`a proof of ${proof.length} hashes`);
  const lines = proof.map((hash) => `${hash.toString("base64")}\n`);
  return Buffer.from(`old ${old}\n${lines.join("")}\n${note}`);
}

function failed(failure: WitnessFailure, message: string): Failed {
  return { result: "failed", failure, message };
}

/** @returns the lines, or undefined when the body is anything else. */
function signatureLines(body: Buffer): { line: string; signature: Signature }[] | undefined {
  const text = parseUtf8(body);
  if (text === undefined || !text.endsWith("\n")) return undefined;
  const lines: { line: string; signature: Signature }[] = [];
  for (const line of text.slice(0, -1).split("\n")) {
    const signature = parseSignature(line);
    if (signature === undefined) return undefined;
    lines.push({ line, signature });
  }
  return lines;
}

function readCosignature(body: Buffer, { text }: Candidate, key: CosignerKey, now: number): Verdict {
  const lines = signatureLines(body);
  if (lines === undefined) return failed("bad_answer", "200 with a body that is not signature lines alone");
  const own = lines.filter(({ signature }) => isBy(signature, key));
  if (own.length === 0) return failed("no_cosignature", "200 without a cosignature by the witness's key");
  const timestamps = own.map(({ signature }) => checkCosignature(text, signature, key));
  if (timestamps.includes(undefined)) {
    return failed("bad_cosignature", "a cosignature by the witness's key does not verify over the checkpoint sent");
  }
  const timestamp = timestamps[0]!;
  const age = Math.floor(now / 1000) - timestamp;
  if (-age > MAX_AHEAD_S || age > MAX_BEHIND_S) {
    return failed("bad_time", `the cosignature's time is ${age} s before ours; set the clock that is wrong`);
  }
  return { result: "cosigned", line: `${own[0]!.line}\n`, timestamp };
}

function readConflict({ contentType, body }: WitnessAnswer, old: number, { size }: Candidate): Verdict {
  const text = body.toString("latin1");
  const isSize = contentType?.split(";", 1)[0]?.trim().toLowerCase() === SIZE_TYPE && text.endsWith("\n");
  const last = isSize ? parseDecimal(text.slice(0, -1)) : undefined;
  if (last !== undefined && last > size) {
    const message = `it has cosigned a checkpoint of this log of size ${last}, and the log's last is of size ${size}: the log was set back to an older state, or another process signs with its key; stop it, and see the manual, "When a witness has seen more"`;
    return failed("ahead", message);
  }
  // v1.0.0 of the protocol, and those who answer without a size: the sizes agree, so the roots do not.
  if (old === size && (last === undefined || last === old)) return failed("split", splitMessage(old));
  if (last === undefined) return failed("conflict", `409 to the size ${old}, without saying which size it has`);
  if (last === old) return failed("bad_answer", `409 to the size ${old}, and names the same size`);
  return { result: "learned", size: last };
}

function splitMessage(old: number): string {
  return `it has cosigned another tree of size ${old} under this log's name: two histories exist, both signed with the log's key; stop the log, and see the manual, "When a witness has seen more"`;
}

function retryAfter(value: string | undefined, now: number): { retryAfterMs?: number } {
  if (value === undefined) return {};
  const seconds = parseDecimal(value.trim());
  const ms = seconds === undefined ? Date.parse(value) - now : seconds * 1000;
  return ms > 0 ? { retryAfterMs: Math.min(ms, MAX_RETRY_AFTER_MS) } : {};
}

/**
 * @param old size that was sent
 * @param now milliseconds since 1970
 */
export function readAnswer(
  answer: WitnessAnswer | NoAnswer,
  old: number,
  candidate: Candidate,
  key: CosignerKey,
  now: number,
): Verdict {
  if ("failure" in answer) return failed(answer.failure, answer.message);
  const { status } = answer;
  if (status === 200) return readCosignature(answer.body, candidate, key, now);
  if (status === 409) return readConflict(answer, old, candidate);
  // The proof is right: the tree was held against what was signed before. From 0 there is none to be wrong.
  if (status === 422 && old > 0) return failed("split", splitMessage(old));
  if (status === 404) return failed("unknown_log", "404: it does not know this log; ask its operator to add the key");
  if (status === 403)
    return failed("forbidden", "403: it knows none of the keys that signed; tell its operator of them");
  if (status === 429) {
    return { ...failed("busy", "429: it is asked too often"), ...retryAfter(answer.retryAfter, now) };
  }
  if (status >= 500) {
    return { ...failed("unavailable", `it answers ${status}`), ...retryAfter(answer.retryAfter, now) };
  }
  if (status >= 400) return failed("refused", `it answers ${status}`);
  if (status >= 300) return failed("redirect", `it answers ${status}; redirects are not followed, correct its URL`);
  return failed("bad_answer", `it answers ${status}`);
}
