import { decodeBase64 } from "./base64.ts";
import { VerifierError } from "./errors.ts";
import type { VerifierKey } from "./key.ts";
import { emptyRoot, equalBytes, hashLength } from "./merkle.ts";
import { parseNote, verifySignature } from "./note.ts";
import { parseDecimal } from "./text.ts";

/** A checkpoint whose signature was verified. */
export type Checkpoint = {
  origin: string;
  /** Number of entries. */
  size: number;
  /** 32 bytes. */
  root: Uint8Array;
  /** The signed note, as it was read. */
  note: Uint8Array;
};

/**
 * Step C2: the text of a checkpoint.
 * @throws VerifierError `checkpoint_malformed`
 */
export function parseCheckpointText(text: string): { origin: string; size: number; root: Uint8Array } {
  const lines = text.slice(0, -1).split("\n");
  const [origin, sizeText, rootText] = lines;
  if (rootText === undefined) throw malformed("it has fewer than three lines");
  if (origin === "") throw malformed("its origin is empty");
  // C2SP tlog-checkpoint: extension lines, which are ignored, are not empty.
  if (lines.indexOf("", 3) >= 0) throw malformed("it has an empty line behind the root");
  const size = parseDecimal(sizeText!);
  if (size === undefined) throw malformed("its size is not a canonical decimal of at most 2^53 − 1");
  const root = decodeBase64(rootText);
  if (root === undefined || root.length !== hashLength)
    throw malformed("its root is not the strict base64 of 32 bytes");
  if (size === 0 && !equalBytes(root, emptyRoot())) throw malformed("its size is 0 and its root is not the empty one");
  return { origin: origin!, size, root };
}

function malformed(why: string): VerifierError {
  return new VerifierError("checkpoint_malformed", `this is not a checkpoint: ${why}`);
}

/**
 * Steps C1 to C5, in this order.
 * @param bytes a checkpoint as the log serves it
 * @param key the log's verifier key, had from a trusted place
 * @throws VerifierError `note_malformed`, `checkpoint_malformed`, `origin_mismatch`, `signature_missing`,
 * `signature_invalid`
 */
export function verifyCheckpoint(bytes: Uint8Array, key: VerifierKey): Checkpoint {
  // C1
  const note = parseNote(bytes);
  // C2
  const { origin, size, root } = parseCheckpointText(note.text);
  // C3
  if (origin !== key.name) {
    throw new VerifierError("origin_mismatch", `the checkpoint is of ${origin}, the key of ${key.name}`);
  }
  // C4, C5
  verifySignature(note, key);
  return { origin, size, root, note: bytes };
}
