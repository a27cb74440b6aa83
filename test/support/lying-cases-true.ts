/** What is true and must pass, lest a verifier that rejects everything looks good; and what nobody could tell at first contact. */
import { bytes, changed, members, remake } from "./lying-history.ts";
import type { Honest, LogLie } from "./lying-honest.ts";
import { tilePath } from "./lying-log.ts";
import { checkpointText, newSigner, note, signedBy } from "./lying-note.ts";

const PASS = { exit: 0, codes: [] } as const;

export function truths(honest: Honest): LogLie[] {
  const { entries, at, origin, log, tree, source } = honest;
  const short = entries.slice(0, at.half);
  const last = Math.floor(at.size / 256);
  const rest = at.size % 256;
  const { v, kind, ...others } = members(entries[at.earlyRefused]!);
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
      name: "the source seals while the verifier waits for it",
      show: () => ({ ...honest.view(entries.slice(0, at.statement)), afterwards: honest.view() }),
      args: ["--wait", "5"],
      later: 1000,
      ...PASS,
    },
    {
      name: "an entry of a kind that is not known yet",
      show: () => honest.withBothKeys(short.toSpliced(at.early, 0, bytes({ v, kind: "later.kind", ...others }))),
      ...PASS,
    },
    {
      name: "an entry with a member that is not known yet",
      show: () =>
        honest.withBothKeys(changed(short, at.early, (entry) => Object.assign(entry, { later: [{ a: "b" }] }))),
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
  const invented = newSigner("test.example/log/invented");
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
      name: "a source that the log has invented, between the entries of the true one",
      show: () => {
        const copy = entries.slice(at.start3).map((entry) => {
          const { session, vkey, previous, ...rest } = members(entry);
          const start = vkey === undefined ? {} : { vkey: invented.vkey, ...rest, previous: null };
          const more = session === undefined ? start : { session: session.replace(/^3/, "1") };
          return bytes({ ...rest, ...more, source: invented.name, epoch: 1 });
        });
        const theirs = remake(copy, { seals: invented });
        const between = entries.slice(at.start3).flatMap((entry, i) => [entry, theirs[i]!]);
        return honest.view([...entries.slice(0, at.start3), ...between]);
      },
      kept: "half",
      says: new RegExp(`the key of .*${invented.name}.* its own first entry names`),
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
