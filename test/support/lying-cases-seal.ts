/** Lies about seals, keys and epochs, most of them by the source's own key, so that nothing else shows them. */
import { bytes, changed, forged, type Members, members, remake, sealText } from "./lying-history.ts";
import { FAIL, type Honest, type LogLie, NOT_PROVEN } from "./lying-honest.ts";
import type { View } from "./lying-log.ts";
import { flipped, newSigner, note, type Signer, signatureLine } from "./lying-note.ts";

/** Seals and keys that are not the source's, or not over these entries. */
export function sealsAndKeys(honest: Honest): LogLie[] {
  const { entries, at, source } = honest;
  const { seal3, start2, start3, stop2, stop3 } = at;
  /** Two epochs, of which the second is sealed at its stop. */
  const short = entries.slice(0, at.half);
  const thief = newSigner(source.name);
  const sealAt = (index: number): string => members(entries[index]!).seal;
  /** One seal is another; all that follows is sealed again, so that it stands alone. */
  const withSeal = (seal: (right: string) => string, index = seal3): (() => View) => {
    return () =>
      honest.withBothKeys(entries, {
        seal: (facts, i) => (i === index ? seal(sealText(facts)) : undefined),
      });
  };
  const withKey =
    (vkey: string, index: number, list: readonly Buffer[] = short) =>
    () =>
      honest.view(
        remake(
          changed(list, index, (entry) => Object.assign(entry, { vkey })),
          { previous: true },
        ),
      );
  const noteBy = (signer: Signer) => (text: string) => note(text, signer);
  const previous = (change: Members): (() => View) => {
    return () =>
      honest.withBothKeys(short, {
        entry: (entry, i) =>
          i === start2 ? forged(short[i]!, { previous: { ...entry.previous, ...change } }) : undefined,
      });
  };
  const pin = ["--source", source.vkey];
  const invalid = { exit: FAIL, codes: ["seal_invalid"], index: seal3 } as const;
  const mismatch = { exit: FAIL, codes: ["seal_mismatch"], index: seal3 } as const;
  return [
    {
      name: "a seal is left out: a gap in the sequence",
      show: () => honest.view(entries.toSpliced(seal3, 1)),
      exit: FAIL,
      codes: ["sequence_gap"],
      also: ["epoch_break"],
      index: seal3,
    },
    {
      name: "a seal is left out, and the sequence closed up",
      show: () => honest.view(remake(entries.toSpliced(seal3, 1), { renumber: true, previous: true })),
      exit: FAIL,
      codes: ["seal_mismatch"],
      index: stop3 - 1,
    },
    { name: "a seal is signed by another key under the source's name", show: withSeal(noteBy(thief)), ...invalid },
    {
      name: "a seal is signed by another key under the source's name and key id",
      show: withSeal((text) => `${text}\n${signatureLine(source.name, source.id, thief.sign(text))}`),
      ...invalid,
    },
    {
      name: "a seal is signed by the log's key",
      show: withSeal(noteBy(honest.log)),
      ...invalid,
    },
    {
      name: "a bit of a seal's signature is flipped",
      show: withSeal((text) => `${text}\n${signatureLine(source.name, source.id, flipped(source.sign(text), 40))}`),
      ...invalid,
    },
    {
      name: "a seal's text is changed under its signature",
      show: withSeal((text) => note(text, source).replace(/\nrefused \d+\n/, "\nrefused 0\n")),
      ...invalid,
    },
    { name: "a seal is no note", show: withSeal(() => "sealed"), ...invalid },
    { name: "a seal has a ninth line", show: withSeal((text) => note(`${text}more 1\n`, source)), ...invalid },
    {
      name: "a seal has its counts in another order",
      show: withSeal((text) => note(text.replace(/(statements \d+\n)(refused \d+\n)/, "$2$1"), source)),
      ...invalid,
    },
    { name: "a seal is that of another epoch", show: withSeal(() => sealAt(stop2)), ...mismatch },
    {
      name: "the seal at source.stop is the earlier one of its epoch",
      show: withSeal(() => sealAt(seal3), stop3),
      exit: FAIL,
      codes: ["seal_mismatch"],
      index: stop3,
    },
    ...(
      [
        ["states another source", /^(vitrine\/seal\/v1\n).*/, "$1test.example/log/other"],
        ["states another epoch", /^((?:.*\n){2}).*/, "$11"],
        ["states another position", /^((?:.*\n){3}).*/, "$1999"],
        ["states another chain value", /^((?:.*\n){4}).*/, `$1${Buffer.alloc(32).toString("base64")}`],
        ["counts fewer sessions", /sessions \d+/, "sessions 1"],
        ["counts fewer statements", /statements \d+/, "statements 1"],
        ["counts more refused", /refused \d+/, "refused 7"],
      ] as const
    ).map(
      ([what, from, to]): LogLie => ({
        name: `a seal by the source's key ${what}`,
        show: withSeal((text) => note(text.replace(from, to), source)),
        ...mismatch,
      }),
    ),
    {
      name: "the first source.start names another key",
      show: withKey(thief.vkey, 0),
      exit: FAIL,
      codes: ["source_key_mismatch"],
      also: ["seal_invalid", "unsealed"],
      index: start2,
    },
    {
      name: "every source.start names another key, and the seals are the true ones",
      show: () =>
        honest.view(
          remake(short, {
            entry: (entry) => (entry.kind === "source.start" ? bytes({ ...entry, vkey: thief.vkey }) : undefined),
            previous: true,
          }),
        ),
      ...invalid,
      index: stop2,
    },
    {
      name: "the first source.start names another key, and the verifier knows the right one",
      show: withKey(thief.vkey, 0),
      args: pin,
      exit: FAIL,
      codes: ["source_key_mismatch"],
      also: ["seal_mismatch", "unsealed"],
      index: 0,
    },
    {
      name: "a later source.start names another key",
      show: withKey(thief.vkey, start2),
      exit: FAIL,
      codes: ["source_key_mismatch"],
      also: ["seal_mismatch", "unsealed"],
      index: start2,
    },
    {
      name: "the first source.start names a key of another name",
      show: withKey(newSigner("test.example/log/other").vkey, 0),
      exit: FAIL,
      codes: ["source_key_mismatch"],
      also: ["seal_mismatch", "unsealed"],
      index: 0,
    },
    {
      name: "the source.start of an epoch names a key of another name",
      show: withKey(newSigner("test.example/log/other").vkey, start3, entries),
      exit: FAIL,
      codes: ["source_key_mismatch"],
      also: ["seal_mismatch", "unsealed"],
      index: start3,
    },
    {
      name: "the source.start of an epoch names no key",
      show: withKey("none", start3, entries),
      exit: FAIL,
      codes: ["source_key_mismatch"],
      also: ["seal_mismatch", "entry_malformed", "unsealed"],
      index: start3,
    },
    {
      name: "a whole history is sealed by another key, and the verifier knows the right one",
      show: () =>
        honest.withBothKeys(short, {
          seals: thief,
          entry: (entry) => (entry.kind === "source.start" ? bytes({ ...entry, vkey: thief.vkey }) : undefined),
        }),
      args: pin,
      exit: FAIL,
      codes: ["source_key_mismatch"],
      also: ["seal_invalid", "unsealed"],
      index: 0,
    },
    {
      name: "another key takes over from one epoch on",
      show: () => {
        const from = {
          seals: thief,
          entry: (entry: Members) =>
            entry.kind === "source.start" && entry.epoch > 1 ? bytes({ ...entry, vkey: thief.vkey }) : undefined,
        };
        return honest.withBothKeys(short, { ...from, seal: (_, i) => (i < start2 ? sealAt(i) : undefined) });
      },
      exit: FAIL,
      codes: ["source_key_mismatch"],
      also: ["seal_invalid", "unsealed"],
      index: start2,
    },
    ...(
      [
        ["has another chain value", { chain: Buffer.alloc(32).toString("base64") }],
        ["counts one entry less", { next: start2 - 1 }],
        ["names another epoch", { epoch: 2 }],
        ["claims a clean end", { clean: true }],
      ] as const
    ).map(
      ([what, change]): LogLie => ({
        name: `\`previous\` ${what}, with both keys`,
        show: previous(change),
        exit: FAIL,
        codes: ["epoch_break"],
        index: start2,
      }),
    ),
    {
      name: "`previous` is null in a later epoch, with both keys",
      show: () =>
        honest.withBothKeys(short, {
          entry: (_, i) => (i === start2 ? forged(short[i]!, { previous: null }) : undefined),
        }),
      exit: FAIL,
      codes: ["epoch_break"],
      index: start2,
    },
    {
      name: "`previous` has another chain value, with the log's key",
      show: () =>
        honest.view(
          changed(short, start2, ({ previous: before }) => {
            before.chain = Buffer.alloc(32).toString("base64");
          }),
        ),
      exit: FAIL,
      codes: ["epoch_break"],
      also: ["seal_mismatch"],
      index: start2,
    },
    {
      name: "the source declares that its spool was lost",
      show: previous({ spool: "lost" }),
      exit: NOT_PROVEN,
      codes: ["declared_gap"],
    },
    {
      name: "a second source.start stands inside an epoch, with both keys",
      show: () => honest.withBothKeys(short.toSpliced(at.early, 0, short[start2]!)),
      exit: FAIL,
      codes: ["epoch_break"],
      index: at.early,
    },
  ];
}
