/** Lies about the order of entries: what the log's key can sign, and a source's sequence, chain and seals show. */
import { changed, forged, members, remake } from "./lying-history.ts";
import { FAIL, type Honest, type LogLie, NOT_PROVEN } from "./lying-honest.ts";

/** Entries are left out, added and moved; the log's key signs the tree that this gives. */
export function movedEntries(honest: Honest): LogLie[] {
  const { entries, at } = honest;
  const { start2, stop2, start3, seal3 } = at;
  /** Two epochs, of which the second is sealed at its stop. */
  const short = entries.slice(0, at.half);
  const early = at.early;
  const refused = at.earlyRefused;
  const secret = forged(entries[refused]!, { time: "2020-01-01T00:00:00.000000Z" });
  const epoch2 = at.half - start2;
  const fitting = (list: readonly Buffer[]): Buffer[] => remake(list, { renumber: true, previous: true });
  return [
    {
      name: "a statement is changed: the seals are the only witness",
      show: () => honest.view(changed(entries, at.statement, (entry) => Object.assign(entry, { database: "other" }))),
      exit: FAIL,
      codes: ["seal_mismatch"],
      index: seal3,
    },
    {
      name: "a statement of a killed epoch that was never sealed is changed: `previous` is the only witness",
      show: () => honest.view(changed(short, start2 - 3, (entry) => Object.assign(entry, { database: "other" }))),
      exit: FAIL,
      codes: ["epoch_break"],
      index: start2,
    },
    {
      name: "the same, and `previous` is adapted: the next epoch's seal is the only witness",
      show: () =>
        honest.view(
          remake(
            changed(short, start2 - 3, (entry) => Object.assign(entry, { database: "other" })),
            { previous: true },
          ),
        ),
      exit: FAIL,
      codes: ["seal_mismatch"],
      index: stop2,
    },
    {
      name: "a statement is left out: a gap in the sequence",
      show: () => honest.view(short.toSpliced(early, 1)),
      exit: FAIL,
      codes: ["sequence_gap"],
      index: early,
    },
    {
      name: "a refused access is left out, and the sequence closed up",
      show: () => honest.view(fitting(short.toSpliced(refused, 1))),
      exit: FAIL,
      codes: ["seal_mismatch"],
      index: stop2 - 1,
    },
    {
      name: "two neighbours change places",
      show: () => honest.view(short.with(early, short[early + 1]!).with(early + 1, short[early]!)),
      exit: FAIL,
      codes: ["sequence_gap", "sequence_repeat"],
      index: early,
    },
    {
      name: "two neighbours change places and numbers",
      show: () => {
        const one = members(short[refused]!);
        const two = members(short[refused + 1]!);
        const swap = [forged(short[refused + 1]!, { seq: one.seq }), forged(short[refused]!, { seq: two.seq })];
        return honest.view(short.toSpliced(refused, 2, ...swap));
      },
      exit: FAIL,
      codes: ["seal_mismatch"],
      index: stop2,
    },
    {
      name: "an entry is there twice",
      show: () => honest.view(short.toSpliced(early, 0, short[early]!)),
      exit: FAIL,
      codes: ["sequence_repeat"],
      index: early + 1,
    },
    {
      name: "a forged statement takes the number of a true one, which follows it",
      show: () => honest.view(short.toSpliced(early, 0, forged(short[early]!, { database: "other" }))),
      exit: FAIL,
      codes: ["sequence_repeat"],
      also: ["seal_mismatch"],
      index: early + 1,
    },
    {
      name: "a forged entry is put in, and everything behind it renumbered",
      show: () => honest.view(fitting(short.toSpliced(refused, 0, secret))),
      exit: FAIL,
      codes: ["seal_mismatch"],
      index: stop2 + 1,
    },
    {
      name: "a forged entry is put at the end of a killed epoch, and `previous` is adapted",
      show: () => honest.view(fitting(short.toSpliced(start2, 0, forged(secret, { epoch: 1 })))),
      exit: FAIL,
      codes: ["seal_mismatch"],
      index: stop2 + 1,
    },
    {
      name: "a statement is ascribed to a source that is not there",
      show: () => honest.view(short.with(early, forged(short[early]!, { source: "test.example/log/other" }))),
      later: 1000,
      exit: FAIL,
      codes: ["epoch_break", "sequence_gap"],
      also: ["unsealed"],
      index: early,
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
      index: seal3 - epoch2,
    },
    {
      name: "the first epoch is left out",
      show: () => honest.view(short.slice(start2)),
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
      name: "a seal follows source.stop in its epoch, with both keys",
      show: () => honest.withBothKeys([...short, forged(entries[seal3]!, { epoch: 2 })]),
      exit: FAIL,
      codes: ["epoch_break"],
      index: at.half,
    },
    {
      name: "the tail is cut in the middle of an epoch; nothing was kept",
      show: () => honest.view(entries.slice(0, early)),
      later: 1000,
      exit: NOT_PROVEN,
      codes: ["unsealed"],
    },
    {
      name: "the tail is cut right behind a seal; nothing was kept, and it is two minutes later",
      show: () => honest.view(entries.slice(0, seal3 + 1)),
      later: 120_000,
      exit: NOT_PROVEN,
      codes: ["silent"],
    },
    {
      name: "the tail is cut right behind a seal, whose entry is dated ahead; nothing was kept, and it is two minutes later",
      show: () =>
        honest.view([...entries.slice(0, seal3), forged(entries[seal3]!, { time: "2999-01-01T00:00:00.000000Z" })]),
      later: 120_000,
      exit: NOT_PROVEN,
      codes: ["silent"],
    },
    {
      name: "the tail is cut in the middle of an epoch; nothing was kept, and it is two minutes later",
      show: () => honest.view(entries.slice(0, early)),
      later: 120_000,
      exit: NOT_PROVEN,
      codes: ["silent", "unsealed"],
    },
    {
      name: "a source whose key the verifier was given has no entries at all",
      show: () => honest.view([]),
      args: ["--source", honest.source.vkey],
      exit: NOT_PROVEN,
      codes: ["source_missing"],
    },
    {
      name: "the log appends a forged entry behind what was audited",
      show: () => honest.view([...short, forged(secret, { seq: members(short.at(-1)!).seq + 1 })]),
      kept: "half",
      exit: FAIL,
      codes: ["epoch_break"],
      // That no seal covers it is true as well.
      also: ["unsealed"],
      index: at.half,
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
