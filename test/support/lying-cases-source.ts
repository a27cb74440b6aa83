/** Lies about a source: what the log's key can sign, and its sequence, chain and seals show. */
import { changed, type Members, members, remake, sealText } from "./lying-history.ts";
import { FAIL, type Honest, type LogLie, NOT_PROVEN } from "./lying-honest.ts";
import { flipped, newSigner, note, type Signer, signatureLine } from "./lying-note.ts";

const forged = (entry: Buffer, change: Members = {}): Buffer =>
  Buffer.from(JSON.stringify({ ...members(entry), ...change }));

/** Entries are left out, added and moved; the log's key signs the tree that this gives. */
export function movedEntries(honest: Honest): LogLie[] {
  const { entries, at } = honest;
  const { statement, refused, start2, start3, stop2 } = at;
  const secret = forged(entries[refused]!, { time: members(entries[refused]!).time.replace(/^..../, "2020") });
  const epoch2 = at.half - start2;
  const fitting = (list: readonly Buffer[]): Buffer[] => remake(list, { renumber: true, previous: true });
  return [
    {
      name: "a statement is changed: the seals are the only witness",
      show: () => honest.view(changed(entries, statement, (entry) => Object.assign(entry, { database: "other" }))),
      exit: FAIL,
      codes: ["seal_mismatch"],
      also: ["epoch_break"],
      index: at.seal2,
    },
    {
      name: "a statement behind the last seal of a killed epoch is changed: `previous` is the only witness",
      show: () => honest.view(changed(entries, start2 - 3, (entry) => Object.assign(entry, { database: "other" }))),
      exit: FAIL,
      codes: ["epoch_break"],
      index: start2,
    },
    {
      name: "the same, and `previous` is adapted: the next epoch's seal is the only witness",
      show: () =>
        honest.view(
          remake(
            changed(entries, start2 - 3, (entry) => Object.assign(entry, { database: "other" })),
            { previous: true },
          ),
        ),
      exit: FAIL,
      codes: ["seal_mismatch"],
      index: at.seal2,
    },
    {
      name: "a statement is left out: a gap in the sequence",
      show: () => honest.view(entries.toSpliced(statement, 1)),
      exit: FAIL,
      codes: ["sequence_gap"],
      also: ["epoch_break"],
      index: statement,
    },
    {
      name: "a refused access is left out, and the sequence closed up",
      show: () => honest.view(fitting(entries.toSpliced(refused, 1))),
      exit: FAIL,
      codes: ["seal_mismatch"],
      index: at.seal2 - 1,
    },
    {
      name: "two neighbours change places",
      show: () =>
        honest.view(entries.with(statement, entries[statement + 1]!).with(statement + 1, entries[statement]!)),
      exit: FAIL,
      codes: ["sequence_gap", "sequence_repeat"],
      also: ["epoch_break"],
      index: statement,
    },
    {
      name: "two neighbours change places and numbers",
      show: () => {
        const one = members(entries[refused]!);
        const two = members(entries[refused + 1]!);
        const swap = [forged(entries[refused + 1]!, { seq: one.seq }), forged(entries[refused]!, { seq: two.seq })];
        return honest.view(entries.toSpliced(refused, 2, ...swap));
      },
      exit: FAIL,
      codes: ["seal_mismatch"],
      also: ["epoch_break"],
      index: at.seal2,
    },
    {
      name: "an entry is there twice",
      show: () => honest.view(entries.toSpliced(statement, 0, entries[statement]!)),
      exit: FAIL,
      codes: ["sequence_repeat"],
      index: statement + 1,
    },
    {
      name: "a forged statement takes the number of a true one, which follows it",
      show: () => honest.view(entries.toSpliced(statement, 0, forged(entries[statement]!, { database: "other" }))),
      exit: FAIL,
      codes: ["sequence_repeat"],
      also: ["seal_mismatch", "epoch_break"],
      index: statement + 1,
    },
    {
      name: "a forged entry is put in, and everything behind it renumbered",
      show: () => honest.view(fitting(entries.toSpliced(refused, 0, secret))),
      exit: FAIL,
      codes: ["seal_mismatch"],
      index: at.seal2 + 1,
    },
    {
      name: "a forged entry is put behind the last seal of a killed epoch, and `previous` is adapted",
      show: () => honest.view(fitting(entries.toSpliced(start2, 0, forged(secret, { epoch: 1 })))),
      exit: FAIL,
      codes: ["seal_mismatch"],
      index: at.seal2 + 1,
    },
    {
      name: "an epoch is left out",
      show: () => honest.view(entries.toSpliced(start2, epoch2)),
      exit: FAIL,
      codes: ["epoch_break"],
      index: start2,
    },
    {
      name: "an epoch is left out, and the next one takes its number",
      show: () => {
        const lower = (entry: Buffer): Buffer => {
          const { session, ...rest } = members(entry);
          const fits = session === undefined ? rest : { ...members(entry), session: session.replace(/^3/, "2") };
          return forged(entry, { ...fits, epoch: 2 });
        };
        return honest.view(fitting([...entries.slice(0, start2), ...entries.slice(start3).map(lower)]));
      },
      exit: FAIL,
      codes: ["seal_mismatch"],
      index: at.size - 1 - epoch2,
    },
    {
      name: "the first epoch is left out",
      show: () => honest.view(entries.slice(start2)),
      exit: FAIL,
      codes: ["epoch_break"],
      index: 0,
    },
    {
      name: "the first entries of an epoch are left out",
      show: () => honest.view(entries.toSpliced(start3, 2)),
      exit: FAIL,
      codes: ["epoch_break"],
      index: start3,
    },
    {
      name: "two epochs change places",
      show: () =>
        honest.view([...entries.slice(0, start2), ...entries.slice(start3), ...entries.slice(start2, start3)]),
      exit: FAIL,
      codes: ["epoch_break"],
      index: start2,
    },
    {
      name: "an entry follows source.stop in its epoch",
      show: () => honest.view(entries.toSpliced(at.half, 0, forged(secret, { seq: members(entries[stop2]!).seq + 1 }))),
      exit: FAIL,
      codes: ["epoch_break"],
      index: at.half,
    },
    {
      name: "the tail is cut in the middle of an epoch; nothing was kept",
      show: () => honest.view(entries.slice(0, statement)),
      exit: NOT_PROVEN,
      codes: ["unsealed"],
    },
    {
      name: "the tail is cut right behind a seal; nothing was kept, and it is two minutes later",
      show: () => honest.view(entries.slice(0, at.seal2 + 1)),
      later: 120_000,
      exit: NOT_PROVEN,
      codes: ["silent"],
    },
    {
      name: "the tail is cut in the middle of an epoch; nothing was kept, and it is two minutes later",
      show: () => honest.view(entries.slice(0, statement)),
      later: 120_000,
      exit: NOT_PROVEN,
      codes: ["silent", "unsealed"],
    },
    {
      name: "a source whose key the verifier was given has no entries at all",
      show: () => honest.view([]),
      args: ["--source", honest.source.vkey],
      exit: NOT_PROVEN,
      codes: ["silent"],
    },
    {
      name: "the log appends a forged entry behind what was audited",
      show: () => honest.view([...entries, forged(secret, { epoch: 3, seq: members(entries.at(-1)!).seq + 1 })]),
      kept: "whole",
      exit: FAIL,
      codes: ["epoch_break"],
      index: at.size,
    },
    {
      name: "the log appends a forged epoch behind what was audited, and cannot seal it",
      show: () => honest.view(remake([...entries, forged(entries[start3]!, { epoch: 4 })], { previous: true })),
      kept: "whole",
      later: 120_000,
      exit: NOT_PROVEN,
      codes: ["silent", "unsealed"],
    },
  ];
}

/** Seals and keys that are not the source's, or not over these entries. */
export function sealsAndKeys(honest: Honest): LogLie[] {
  const { entries, at, source } = honest;
  const { seal1, seal2, start2, start3 } = at;
  const thief = newSigner(source.name);
  const sealAt = (index: number): string => members(entries[index]!).seal;
  /** One seal is another; all that follows is sealed again, so that it stands alone. */
  const withSeal = (seal: (right: string) => string, index = seal2): (() => ReturnType<Honest["view"]>) => {
    return () =>
      honest.withBothKeys(entries, {
        seal: (facts, i) => (i === index ? seal(sealText(facts)) : undefined),
      });
  };
  const withKey = (vkey: string, index: number) => () =>
    honest.view(
      remake(
        changed(entries, index, (entry) => Object.assign(entry, { vkey })),
        { previous: true },
      ),
    );
  const noteBy = (signer: Signer) => (text: string) => note(text, signer);
  const previous = (change: Members): (() => ReturnType<Honest["view"]>) => {
    return () =>
      honest.withBothKeys(entries, {
        entry: (entry, i) =>
          i === start2 ? forged(entries[i]!, { previous: { ...entry.previous, ...change } }) : undefined,
      });
  };
  const pin = ["--source", source.vkey];
  const invalid = { exit: FAIL, codes: ["seal_invalid"], index: seal2 } as const;
  const mismatch = { exit: FAIL, codes: ["seal_mismatch"], index: seal2 } as const;
  return [
    {
      name: "a seal is left out: a gap in the sequence",
      show: () => honest.view(entries.toSpliced(seal2, 1)),
      exit: FAIL,
      codes: ["sequence_gap"],
      also: ["epoch_break"],
      index: seal2,
    },
    {
      name: "a seal is left out, and the sequence closed up",
      show: () => honest.view(remake(entries.toSpliced(seal2, 1), { renumber: true, previous: true })),
      exit: FAIL,
      codes: ["seal_mismatch"],
      index: at.stop2 - 1,
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
    { name: "a seal of another epoch", show: withSeal(() => sealAt(seal1)), ...mismatch },
    {
      name: "the seal at source.stop is the earlier one of its epoch",
      show: withSeal(() => sealAt(seal2), at.stop2),
      exit: FAIL,
      codes: ["seal_mismatch"],
      index: at.stop2,
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
      codes: ["seal_invalid", "source_key_mismatch"],
      index: seal1,
    },
    {
      name: "the first source.start names another key, and the verifier knows the right one",
      show: withKey(thief.vkey, 0),
      args: pin,
      exit: FAIL,
      codes: ["source_key_mismatch"],
      also: ["seal_mismatch"],
      index: 0,
    },
    {
      name: "a later source.start names another key",
      show: withKey(thief.vkey, start2),
      exit: FAIL,
      codes: ["source_key_mismatch"],
      also: ["seal_mismatch"],
      index: start2,
    },
    {
      name: "the source.start of an epoch names a key of another name",
      show: withKey(newSigner("test.example/log/other").vkey, start3),
      exit: FAIL,
      codes: ["source_key_mismatch"],
      also: ["seal_mismatch"],
      index: start3,
    },
    {
      name: "the source.start of an epoch names no key",
      show: withKey("none", start3),
      exit: FAIL,
      codes: ["source_key_mismatch"],
      also: ["seal_mismatch", "entry_malformed"],
      index: start3,
    },
    {
      name: "a whole history is sealed by another key, and the verifier knows the right one",
      show: () =>
        honest.withBothKeys(entries, {
          seals: thief,
          entry: (entry) =>
            entry.kind === "source.start" ? Buffer.from(JSON.stringify({ ...entry, vkey: thief.vkey })) : undefined,
        }),
      args: pin,
      exit: FAIL,
      codes: ["source_key_mismatch"],
      also: ["seal_invalid"],
      index: 0,
    },
    {
      name: "another key takes over from one epoch on",
      show: () => {
        const from = {
          seals: thief,
          entry: (entry: Members) =>
            entry.kind === "source.start" && entry.epoch > 1
              ? Buffer.from(JSON.stringify({ ...entry, vkey: thief.vkey }))
              : undefined,
        };
        return honest.withBothKeys(entries, { ...from, seal: (_, i) => (i < start2 ? sealAt(i) : undefined) });
      },
      exit: FAIL,
      codes: ["source_key_mismatch"],
      also: ["seal_invalid"],
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
        honest.withBothKeys(entries, {
          entry: (_, i) => (i === start2 ? forged(entries[i]!, { previous: null }) : undefined),
        }),
      exit: FAIL,
      codes: ["epoch_break"],
      index: start2,
    },
    {
      name: "`previous` has another chain value, with the log's key",
      show: () =>
        honest.view(
          changed(entries, start2, ({ previous: before }) => {
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
      show: () => honest.withBothKeys(entries.toSpliced(at.statement, 0, entries[start2]!)),
      exit: FAIL,
      codes: ["epoch_break"],
      index: at.statement,
    },
  ];
}
