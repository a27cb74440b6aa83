/** Lies about the tree: bytes, tiles and roots, with and without a checkpoint kept from before. */
import { changed, members, remake } from "./lying-history.ts";
import { FAIL, type Honest, type LogLie, NOT_PROVEN } from "./lying-honest.ts";
import { entryBundle, tilePath, type View } from "./lying-log.ts";
import { flipped } from "./lying-note.ts";
import { Tree } from "./lying-tree.ts";

/** One letter of one entry is another. */
function twist(entries: readonly Buffer[], index: number): Buffer[] {
  return changed(entries, index, (entry) => {
    entry.database = "vitrine_tesu";
  });
}

/** The entries and the tiles of some levels are changed, and the old checkpoint stays. */
function unsigned(honest: Honest, entries: readonly Buffer[], levels: (level: number) => boolean): View {
  const tree = new Tree(entries);
  return honest.view(honest.entries, { entries, tiles: (level) => (levels(level) ? tree : honest.tree) });
}

export function changedBytes(honest: Honest): LogLie[] {
  const { entries, tree, at } = honest;
  const index = at.statement;
  const tile = Math.floor(index / 256);
  const both = ["leaf_mismatch", "root_mismatch"];
  const last = at.size - 10;
  const swapped = entries.with(index, entries[index + 1]!).with(index + 1, entries[index]!);
  const level0 = tree.hashes(0, tile * 256, 256)!;
  const level1 = tree.hashes(1, 0, Math.floor(at.size / 256))!;
  return [
    {
      name: "a letter of an entry is changed, nothing else",
      show: () => unsigned(honest, twist(entries, index), () => false),
      exit: FAIL,
      codes: both,
      index,
    },
    {
      name: "a letter of the last but few entries is changed, nothing else",
      show: () => unsigned(honest, twist(entries, last), () => false),
      exit: FAIL,
      codes: both,
      index: last,
    },
    {
      name: "two neighbours change places in their bundle, nothing else",
      show: () => unsigned(honest, swapped, () => false),
      exit: FAIL,
      codes: both,
      index,
    },
    {
      name: "two bundles change places",
      show: () =>
        honest.view(entries, {
          answers: {
            [tilePath("entries", 1)]: entryBundle(entries.slice(512, 768)),
            [tilePath("entries", 2)]: entryBundle(entries.slice(256, 512)),
          },
        }),
      exit: FAIL,
      codes: both,
      index: 256,
    },
    {
      name: "an entry is changed, and its level 0 tile",
      show: () => unsigned(honest, twist(entries, index), (level) => level === 0),
      exit: FAIL,
      codes: ["root_mismatch"],
      index: tile * 256,
    },
    {
      name: "an entry is changed, and all tiles, under the old checkpoint",
      show: () => unsigned(honest, twist(entries, index), () => true),
      exit: FAIL,
      codes: ["root_mismatch"],
    },
    {
      name: "an entry in the last bundle is changed, and its partial tile",
      show: () => unsigned(honest, twist(entries, last), () => true),
      exit: FAIL,
      codes: ["root_mismatch"],
    },
    {
      name: "a hash of a level 0 tile is changed, and the entries are true",
      show: () => honest.view(entries, { answers: { [tilePath(0, tile)]: flipped(level0, (index % 256) * 32) } }),
      exit: FAIL,
      codes: ["leaf_mismatch"],
      index,
    },
    {
      name: "a hash of a level 1 tile is changed, and the entries are true",
      show: () => honest.view(entries, { answers: { [tilePath(1, 0, level1.length / 32)]: flipped(level1, 3 * 32) } }),
      exit: FAIL,
      codes: ["tile_malformed"],
    },
    {
      name: "the checkpoint has the size of a smaller tree, and the root of the whole",
      show: () => honest.view(entries, { checkpoint: honest.signed(at.half, tree.root()) }),
      exit: FAIL,
      codes: ["root_mismatch"],
    },
    {
      name: "a forked checkpoint of the same size, signed by the right key, over the true entries",
      show: () => honest.view(entries, { checkpoint: honest.signed(at.size, flipped(tree.root())) }),
      exit: FAIL,
      codes: ["root_mismatch"],
    },
    {
      name: "a checkpoint over entries that are withheld",
      show: () => honest.view(entries, { checkpoint: honest.signed(at.size + 7, flipped(tree.root())) }),
      exit: NOT_PROVEN,
      codes: ["data_missing"],
    },
  ];
}

/** Everything is made anew and signed by the log's key; who kept a checkpoint sees it all the same. */
export function forks(honest: Honest): LogLie[] {
  const { entries, at, source } = honest;
  const before = at.early;
  const twisted = (): Buffer[] => twist(entries, before);
  const refused = entries[at.earlyRefused]!;
  /** The refused access never was, and others were, so that the tree is of `more` entries more. */
  const regrown = (more: number): Buffer[] => [
    ...entries.toSpliced(at.earlyRefused, 1).slice(0, -2),
    ...Array.from({ length: more + 1 }, () => Buffer.from(JSON.stringify({ ...members(refused), epoch: 3 }))),
    ...entries.slice(-2),
  ];
  const cut = (size: number): View => honest.view(entries.slice(0, size));
  return [
    {
      name: "an entry is changed, all is made anew with the log's key; half was audited",
      show: () => honest.view(twisted()),
      kept: "half",
      exit: FAIL,
      codes: ["inconsistent"],
      also: ["seal_mismatch", "epoch_break"],
    },
    {
      name: "an entry is changed, all is made anew with both keys; half was audited",
      show: () => honest.withBothKeys(twisted()),
      kept: "half",
      exit: FAIL,
      codes: ["inconsistent"],
    },
    {
      name: "an entry is changed, all is made anew with both keys; all was audited: same size, other root",
      show: () => honest.withBothKeys(twisted()),
      kept: "whole",
      exit: FAIL,
      codes: ["split_view"],
    },
    {
      name: "the last entry alone is changed, with both keys; all was audited",
      show: () =>
        honest.withBothKeys(entries, {
          entry: (entry) =>
            entry.epoch === 3 && entry.kind === "source.stop"
              ? Buffer.from(JSON.stringify({ ...entry, time: "2026-01-01T00:00:00.000000Z" }))
              : undefined,
        }),
      kept: "whole",
      exit: FAIL,
      codes: ["split_view"],
    },
    {
      name: "the tail is cut where a source had stopped; all was audited",
      show: () => cut(at.half),
      kept: "whole",
      exit: FAIL,
      codes: ["rolled_back"],
    },
    {
      name: "the last entry is cut; all was audited",
      show: () => cut(at.size - 1),
      kept: "whole",
      later: 1000,
      exit: FAIL,
      codes: ["rolled_back"],
      also: ["unsealed"],
    },
    {
      name: "everything is cut: the tree is empty; all was audited",
      show: () => cut(0),
      kept: "whole",
      exit: FAIL,
      codes: ["rolled_back"],
    },
    {
      name: "the tree is rolled back and has regrown differently to a larger one, with both keys; all was audited",
      show: () => honest.withBothKeys(regrown(20)),
      kept: "whole",
      exit: FAIL,
      codes: ["inconsistent"],
    },
    {
      name: "the tree is rolled back and has regrown differently to the same size, with both keys; all was audited",
      show: () => honest.withBothKeys(regrown(0)),
      kept: "whole",
      exit: FAIL,
      codes: ["split_view"],
    },
    {
      name: "the tail behind what was audited is true, and one hash of the beginning is not",
      show: () => {
        const other = remake(twist(entries, 1), { seals: source, previous: true });
        return honest.view([...other.slice(0, at.half), ...entries.slice(at.half)]);
      },
      kept: "half",
      exit: FAIL,
      codes: ["inconsistent"],
      also: ["epoch_break"],
    },
    {
      name: "the log shows another history while the verifier waits for a seal of the first",
      show: () => ({ ...cut(before + 10), afterwards: honest.withBothKeys(twisted()) }),
      args: ["--wait", "5"],
      later: 1000,
      exit: FAIL,
      codes: ["inconsistent"],
      also: ["unsealed"],
    },
    {
      name: "the log takes entries back while the verifier waits for a seal of them",
      show: () => ({ ...cut(before + 10), afterwards: cut(before + 5) }),
      args: ["--wait", "5"],
      later: 1000,
      exit: FAIL,
      codes: ["rolled_back"],
      also: ["unsealed"],
    },
    {
      name: "head: same size, other root",
      show: () => honest.view(entries, { checkpoint: honest.signed(at.size, flipped(honest.tree.root())) }),
      command: "head",
      kept: "whole",
      exit: FAIL,
      codes: ["split_view"],
    },
    {
      name: "head: a smaller tree",
      show: () => cut(at.half),
      command: "head",
      kept: "whole",
      exit: FAIL,
      codes: ["rolled_back"],
    },
    {
      name: "head: a larger tree with another beginning",
      show: () => honest.withBothKeys(twisted()),
      command: "head",
      kept: "half",
      exit: FAIL,
      codes: ["inconsistent"],
    },
    {
      name: "head: a larger tree whose tiles for the proof are withheld",
      show: () =>
        honest.view(entries, {
          checkpoint: honest.signed(at.size + 300, flipped(honest.tree.root())),
        }),
      command: "head",
      kept: "whole",
      exit: NOT_PROVEN,
      codes: ["data_missing"],
    },
  ];
}
