import { VerifierError } from "../../src/errors.ts";
import { decodeBase64 } from "../../src/formats/base64.ts";
import { parseTreeHead, type TreeHead } from "../../src/formats/checkpoint.ts";
import { hashLength } from "../../src/formats/merkle.ts";
import { type Note, parseNote } from "../../src/formats/note.ts";
import { decodeUtf8, parseDecimal } from "../../src/formats/text.ts";

/** The body of `POST /add-checkpoint` (C2SP tlog-witness); nothing about it is verified. */
export type AddCheckpoint = {
  /** Size of the tree that the proof begins at. */
  old: number;
  /** 32 bytes each. */
  proof: Uint8Array[];
  note: Note;
  head: TreeHead;
};

const maxProofLength = 63;

/**
 * @param body of bounded length
 * @throws VerifierError `note_malformed` or `checkpoint_malformed`: it is no such request; the message says why
 */
export function parseAddCheckpoint(body: Uint8Array): AddCheckpoint {
  // The first lines have no empty one among them, so the first empty line ends them; the note has one of its own.
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.length);
  const end = bytes.indexOf("\n\n", 0, "latin1");
  if (end < 0) throw malformed("it has no empty line before the checkpoint");
  const text = decodeUtf8(bytes.subarray(0, end));
  if (text === undefined) throw malformed("what stands before the checkpoint is not UTF-8");
  const [oldLine, ...hashLines] = text.split("\n");
  if (!oldLine!.startsWith("old ")) throw malformed('its first line is not "old" and a size');
  const old = parseDecimal(oldLine!.slice("old ".length));
  if (old === undefined) throw malformed("its old size is not a canonical decimal of at most 2^53 − 1");
  if (hashLines.length > maxProofLength) throw malformed(`it has more than ${maxProofLength} hashes`);
  const proof = hashLines.map(parseHash);
  const note = parseNote(bytes.subarray(end + 2));
  return { old, proof, note, head: parseTreeHead(note.text) };
}

function parseHash(line: string, position: number): Uint8Array {
  const hash = decodeBase64(line);
  if (hash?.length !== hashLength) throw malformed(`its hash ${position} is not the strict base64 of 32 bytes`);
  return hash;
}

function malformed(why: string): VerifierError {
  return new VerifierError("note_malformed", `this is not an add-checkpoint request: ${why}`);
}
