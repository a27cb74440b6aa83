import { VerifierError } from "../errors.ts";
import { decodeBase64 } from "./base64.ts";
import { verifyEd25519 } from "./ed25519.ts";
import { isKeyName, type VerifierKey } from "./key.ts";
import { decodeUtf8, encodeHex, encodeUtf8 } from "./text.ts";

/** A signed note (C2SP signed-note), parsed; nothing about it is verified. */
export type Note = {
  /** The text that is signed, with its final newline. */
  text: string;
  signatures: { name: string; id: string; signature: Uint8Array }[];
};

/** Notes are at most this long (spec/proof.md, C1). */
export const maxNoteLength = 65536;
const maxSignatures = 100;

/**
 * Step C1: the form of a signed note.
 * @throws VerifierError `note_malformed`
 */
export function parseNote(bytes: Uint8Array): Note {
  if (bytes.length > maxNoteLength) throw malformed(`it has more than ${maxNoteLength} bytes`);
  const whole = decodeUtf8(bytes);
  if (whole === undefined) throw malformed("it is not UTF-8");
  if (/[\u0000-\u0009\u000b-\u001f]/.test(whole)) throw malformed("it contains a control character");
  if (!whole.endsWith("\n")) throw malformed("it does not end in a newline");
  const split = whole.lastIndexOf("\n\n");
  if (split < 0) throw malformed("it has no empty line before its signatures");
  const text = whole.slice(0, split + 1);
  const lines = whole.slice(split + 2, -1).split("\n");
  if (lines[0] === "") throw malformed("it has no signature line");
  if (lines.length > maxSignatures) throw malformed(`it has more than ${maxSignatures} signature lines`);
  return { text, signatures: lines.map(parseSignatureLine) };
}

function parseSignatureLine(line: string, position: number): Note["signatures"][number] {
  const parts = line.split(" ");
  if (parts.length !== 3 || parts[0] !== "\u2014") throw malformed(`signature line ${position + 1} has another form`);
  const name = parts[1]!;
  const blob = decodeBase64(parts[2]!);
  if (!isKeyName(name)) throw malformed(`signature line ${position + 1} does not name a key`);
  // Four bytes of key id and at least one of signature, whatever the algorithm.
  if (blob === undefined || blob.length < 5) throw malformed(`signature line ${position + 1} is not strict base64`);
  return { name, id: encodeHex(blob.subarray(0, 4)), signature: blob.slice(4) };
}

function malformed(why: string): VerifierError {
  return new VerifierError("note_malformed", `this is not a signed note: ${why}`);
}

/**
 * Step C4: signature lines of the key. Those of other keys are ignored.
 * @throws VerifierError `signature_missing`
 */
export function signaturesBy(note: Note, key: VerifierKey): Note["signatures"] {
  const lines = note.signatures.filter((line) => line.name === key.name && line.id === key.id);
  if (lines.length > 0) return lines;
  throw new VerifierError("signature_missing", `the note has no signature by ${key.name} (key id ${key.id})`);
}

/**
 * Steps C4 and C5: the note is signed by the key. Several lines of this key must all verify.
 * @throws VerifierError `signature_missing`, `signature_invalid`
 */
export function verifySignature(note: Note, key: VerifierKey): void {
  const lines = signaturesBy(note, key);
  const message = encodeUtf8(note.text);
  for (const line of lines) {
    if (!verifyEd25519(line.signature, message, key.publicKey)) {
      throw new VerifierError("signature_invalid", `the signature by ${key.name} (key id ${key.id}) does not verify`);
    }
  }
}
