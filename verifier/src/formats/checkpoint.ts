import { VerifierError } from "../errors.ts";
import { decodeBase64 } from "./base64.ts";
import { type LogKeys, listKeys } from "./key.ts";
import { emptyRoot, equalBytes, hashLength } from "./merkle.ts";
import { parseNote, verifySignature } from "./note.ts";
import { parseDecimal } from "./text.ts";

/** A checkpoint whose signature was verified. */
export type Checkpoint = TreeHead & {
  /** The signed note, as it was read. */
  note: Uint8Array;
};

/** The three lines that every checkpoint has. */
export type TreeHead = {
  origin: string;
  /** Number of entries. */
  size: number;
  /** 32 bytes. */
  root: Uint8Array;
};

/**
 * Step C2: the text of a checkpoint.
 * @throws VerifierError `checkpoint_malformed`
 */
export function parseCheckpointText(text: string): TreeHead {
  const head = parseTreeHead(text);
  if (!rootFitsSize(head)) throw malformed("its size is 0 and its root is not the empty one");
  return head;
}

/** @returns whether a tree of no entries has the root that such a tree has. */
export function rootFitsSize({ size, root }: TreeHead): boolean {
  return size > 0 || equalBytes(root, emptyRoot());
}

/**
 * The form of a checkpoint's text alone: whether the root of an empty tree is the empty one is not looked at.
 * @throws VerifierError `checkpoint_malformed`
 */
export function parseTreeHead(text: string): TreeHead {
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
  return { origin: origin!, size, root };
}

function malformed(why: string): VerifierError {
  return new VerifierError("checkpoint_malformed", `this is not a checkpoint: ${why}`);
}

/**
 * Steps C1 to C5, in this order.
 * @param bytes a checkpoint as the log serves it
 * @param keys the log's verifier key, had from a trusted place; of several, all must have signed
 * @throws VerifierError `usage` for keys of several logs; `note_malformed`, `checkpoint_malformed`, `origin_mismatch`, `signature_missing`,
 * `signature_invalid`
 */
export function verifyCheckpoint(bytes: Uint8Array, keys: LogKeys): Checkpoint {
  const all = listKeys(keys);
  // C1
  const note = parseNote(bytes);
  // C2
  const { origin, size, root } = parseCheckpointText(note.text);
  // C3
  const { name } = all[0];
  if (origin !== name) {
    throw new VerifierError("origin_mismatch", `the checkpoint is of ${origin}, the key of ${name}`);
  }
  // C4, C5
  for (const key of all) verifySignature(note, key);
  return { origin, size, root, note: bytes };
}
