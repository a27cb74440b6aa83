/** Changes of the source's key: one that is true, and those that somebody makes who lacks a key. */
import { bytes, type Members, members, remake, sealText } from "./lying-history.ts";
import { FAIL, type Honest, type LogLie } from "./lying-honest.ts";
import type { View } from "./lying-log.ts";
import { flipped, newSigner, note, type Signer, signatureLine, signedBy } from "./lying-note.ts";

interface Change {
  /** What stands as the proof, of the right text. */
  readonly proof?: (text: string) => string;
  /** The new key as the entry names it. */
  readonly vkey?: string;
  /** Signs the seals behind the change. */
  readonly behind?: Signer;
  /** What later epochs name as their key. */
  readonly later?: string;
  /** Which epochs there are: up to the second, or all. */
  readonly whole?: boolean;
}

/** The source's key changes in the middle of epoch 2. */
export function handovers(honest: Honest): LogLie[] {
  const { source, at } = honest;
  const next = newSigner(source.name);
  const thief = newSigner(source.name);
  const index = at.early + 1;

  const changing = ({
    proof,
    vkey = next.vkey,
    behind = next,
    later = next.vkey,
    whole = false,
  }: Change = {}): View => {
    const list = whole ? honest.entries : honest.entries.slice(0, at.half);
    const { v, source: name, epoch, seq, time } = members(list[at.early]!);
    const placed = bytes({ v, kind: "source.key", source: name, epoch, seq, time });
    const entries = list.toSpliced(index, 0, placed);
    const write = (entry: Members, i: number): Uint8Array | undefined => {
      if (entry.kind === "source.start" && i > index) return bytes({ ...entry, vkey: later });
      if (i !== index) return undefined;
      const text = `vitrine/source-key/v1\n${name}\n${epoch}\n${entry.seq}\n${source.vkey}\n${vkey}\n`;
      return bytes({ ...entry, vkey, proof: proof?.(text) ?? note(text, source) + signedBy(next, text) });
    };
    return honest.view(
      remake(entries, {
        renumber: true,
        previous: true,
        seal: (facts, i) => note(sealText(facts), i > index ? behind : source),
        entry: write,
      }),
    );
  };
  const lie = (name: string, change: Change, more: Partial<LogLie> = {}): LogLie => ({
    name,
    show: () => changing(change),
    exit: FAIL,
    codes: ["source_key_mismatch"],
    // By nobody knows whom, so that no seal covers what is behind it.
    also: ["unsealed"],
    index,
    ...more,
  });
  const true_ = (name: string, args: readonly string[]): LogLie => ({
    name,
    show: () => changing({ whole: true }),
    exit: 0,
    codes: [],
    args,
  });
  return [
    true_("a change of key that both keys have signed", []),
    true_("the same, for who knows the old key", ["--source", source.vkey]),
    true_("the same, for who knows the new key", ["--source", next.vkey]),
    lie(
      "a change of key, for who knows a key that the source never had",
      { whole: true },
      { args: ["--source", thief.vkey], index: 0 },
    ),
    lie("a thief of the old key names the thief's own without its signature", { proof: (text) => note(text, source) }),
    lie("a thief without the old key takes over", { proof: (text) => note(text, next) }),
    lie("a thief without the old key signs in its name", {
      proof: (text) => note(text, next) + signatureLine(source.name, source.id, thief.sign(text)),
    }),
    lie("a bit of the old key's signature is flipped", {
      proof: (text) => note(text, next) + signatureLine(source.name, source.id, flipped(source.sign(text), 9)),
    }),
    lie("the proof is of a later place", {
      proof: (text) => {
        const other = text.replace(/\n(\d+)\n(\d+)\n/, (_, epoch, seq) => `\n${epoch}\n${Number(seq) + 1}\n`);
        return note(other, source) + signedBy(next, other);
      },
    }),
    lie("the proof hands over to one key, and the entry names another", {
      vkey: thief.vkey,
      behind: thief,
      proof: (text) => {
        const other = text.replace(thief.vkey, next.vkey);
        return note(other, source) + signedBy(next, other) + signedBy(thief, other);
      },
    }),
    lie("the key stays the same", {
      vkey: source.vkey,
      behind: source,
      proof: (text) => note(text, source),
    }),
    lie(
      "a seal behind the change is by the old key",
      { behind: source },
      { codes: ["seal_invalid"], index: at.stop2 + 1 },
    ),
    lie("the next epoch is back at the old key", { whole: true, later: source.vkey }, { index: at.start3 + 1 }),
  ];
}
