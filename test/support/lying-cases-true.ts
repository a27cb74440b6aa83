/** What is true and must pass, lest a verifier that rejects everything looks good; and what nobody could tell at first contact. */
import { bytes, changed, members } from "./lying-history.ts";
import type { Honest, LogLie } from "./lying-honest.ts";
import { tilePath } from "./lying-log.ts";
import { checkpointText, newSigner, note, signedBy } from "./lying-note.ts";

const PASS = { exit: 0, codes: [] } as const;

export function truths(honest: Honest): LogLie[] {
  const { entries, at, origin, log, tree, source } = honest;
  const last = Math.floor(at.size / 256);
  const rest = at.size % 256;
  const { v, kind, ...others } = members(entries[at.refused]!);
  return [
    { name: "the log", show: () => honest.view(), ...PASS },
    { name: "the log; half was audited", show: () => honest.view(), kept: "half", ...PASS },
    { name: "the log; all was audited", show: () => honest.view(), kept: "whole", ...PASS },
    {
      name: "the log; half was audited, and all is read again",
      show: () => honest.view(),
      kept: "half",
      args: ["--all"],
      ...PASS,
    },
    {
      name: "the log, and the source's key was given",
      show: () => honest.view(),
      args: ["--source", source.vkey],
      ...PASS,
    },
    { name: "the log, two hours later: it had stopped", show: () => honest.view(), later: 7_200_000, ...PASS },
    { name: "the log up to the end of an epoch", show: () => honest.view(entries.slice(0, at.half)), ...PASS },
    { name: "the head", show: () => honest.view(), command: "head", kept: "half", ...PASS },
    { name: "an empty log", show: () => honest.view([]), ...PASS },
    {
      name: "a checkpoint with a further line, and a witness's signature",
      show: () => {
        const text = `${checkpointText(origin, at.size, tree.root())}a line that we do not know\n`;
        return honest.view(entries, { checkpoint: note(text, log) + signedBy(newSigner("witness.example"), text) });
      },
      ...PASS,
    },
    {
      name: "the log has grown since, and its partial tiles are gone",
      show: () => {
        const answers = {
          [tilePath("entries", last, rest)]: { missing: true },
          [tilePath(0, last, rest)]: { missing: true },
        } as const;
        return { ...honest.view([...entries, ...entries.slice(0, 300)], { answers }), checkpoint: honest.checkpoint };
      },
      ...PASS,
    },
    {
      name: "an entry of a kind that is not known yet",
      show: () => honest.withBothKeys(entries.toSpliced(at.statement, 0, bytes({ v, kind: "later.kind", ...others }))),
      ...PASS,
    },
    {
      name: "an entry with a member that is not known yet",
      show: () =>
        honest.withBothKeys(changed(entries, at.statement, (entry) => Object.assign(entry, { later: [{ a: "b" }] }))),
      ...PASS,
    },
  ];
}

/** The words in which the report must own up to it. */
export interface Limit extends LogLie {
  readonly says: RegExp;
}

export function limits(honest: Honest): Limit[] {
  const { entries, at, source } = honest;
  const other = newSigner(source.name);
  const renamed = {
    entry: (entry: object & { kind?: string }) =>
      entry.kind === "source.start" ? bytes({ ...entry, vkey: other.vkey }) : undefined,
  };
  return [
    {
      name: "a log that ends where its source once stopped",
      show: () => honest.view(entries.slice(0, at.half)),
      says: /first contact/,
      ...PASS,
    },
    {
      name: "a whole history in the source's name, by another key",
      show: () => honest.withBothKeys(entries, { seals: other, ...renamed }),
      says: new RegExp(`the key of ${source.name} is the one that its own first entry names`),
      ...PASS,
    },
  ];
}
