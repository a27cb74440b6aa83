import { VerifierError } from "../errors.ts";
import { parseVerifierKey, type VerifierKey } from "../formats/key.ts";
import { parseNote, verifySignature } from "../formats/note.ts";
import { encodeUtf8 } from "../formats/text.ts";

/** A source's change of key, as its entry `source.key` has it (spec/entry.md). */
export type Handover = {
  source: string;
  epoch: number;
  seq: number;
  /** The verifier key from here on, as text. */
  vkey: string;
  /** The signed note. */
  proof: string;
};

const format = "vitrine/source-key/v1";

/**
 * Step S3 for `source.key`: the old key hands over to the new one, and both have signed that.
 * @param old the key in force
 * @returns the new key
 * @throws VerifierError `source_key_mismatch`
 */
export function openHandover({ source, epoch, seq, vkey, proof }: Handover, old: VerifierKey): VerifierKey {
  try {
    const key = parseVerifierKey(vkey);
    if (key.name !== source) throw mismatch(`the new key is of ${key.name}, and the source is ${source}`);
    if (key.text === old.text) throw mismatch("the new key is the one in force");
    const note = parseNote(encodeUtf8(proof));
    verifySignature(note, old);
    verifySignature(note, key);
    const text = `${format}\n${source}\n${epoch}\n${seq}\n${old.text}\n${key.text}\n`;
    if (note.text !== text) throw mismatch(`the text of its proof is not the one of ${format} for this place and keys`);
    return key;
  } catch (error) {
    if (!(error instanceof VerifierError)) throw error;
    if (error.code === "source_key_mismatch") throw error;
    throw mismatch(error.message);
  }
}

function mismatch(why: string): VerifierError {
  return new VerifierError("source_key_mismatch", `the change of the source's key does not hold: ${why}`);
}
