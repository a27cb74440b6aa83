import { checkNote, parseNote, parseVerifierKey, type VerifierKey } from "../formats/note.ts";

/** Where an entry `source.key` stands, and what it says. */
export interface Handover {
  readonly source: string;
  readonly epoch: number;
  readonly seq: number;
  /** The new verifier key. */
  readonly vkey: string;
  /** Signed note. */
  readonly proof: string;
}

/** @returns the text that the old key and the new one sign (spec/entry.md, "source.key"). */
export function handoverText({ source, epoch, seq, vkey }: Omit<Handover, "proof">, old: VerifierKey): string {
  return `vitrine/source-key/v1\n${source}\n${epoch}\n${seq}\n${old.vkey}\n${vkey}\n`;
}

/**
 * Checks a change of key (spec/proof.md, S3).
 * @param old the key in force
 * @param former the keys before it
 * @returns what is wrong with it, or undefined
 */
export function handoverFault(
  handover: Handover,
  old: VerifierKey,
  former: readonly VerifierKey[],
): string | undefined {
  const key = parseVerifierKey(handover.vkey);
  if (key === undefined) return "its vkey is not a verifier key";
  if (key.name !== handover.source) return `its vkey is ${key.name}'s`;
  if ([old, ...former].some(({ vkey }) => vkey === key.vkey))
    return "its vkey is one that the source has, or had before";
  const note = parseNote(Buffer.from(handover.proof));
  if (note === undefined) return "its proof is not a signed note";
  if (note.text !== handoverText(handover, old)) {
    return "the text of its proof is not that of spec/entry.md for this place, the key in force and the new one";
  }
  for (const [signer, whose] of [[old, "the key in force"] as const, [key, "the new key"] as const]) {
    const signature = checkNote(note, signer);
    if (signature !== "good") return `the signature by ${whose} on its proof is ${signature}`;
  }
  return undefined;
}
