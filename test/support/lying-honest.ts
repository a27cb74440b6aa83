/** The recorded log with its keys: what is true, and the means to make something else of it. */
import { find, type Members, members, type Remake, remake } from "./lying-history.ts";
import type { View } from "./lying-log.ts";
import { checkpointText, note, type Signer, signerFrom } from "./lying-note.ts";
import type { Record } from "./lying-record.ts";
import { Tree } from "./lying-tree.ts";

/** Where things stand in the recorded log, by index. */
export interface Marks {
  readonly size: number;
  /** The size of the tree when epoch 2 had ended: everything below is sealed and stopped. */
  readonly half: number;
  readonly start2: number;
  readonly start3: number;
  readonly seal1: number;
  readonly seal2: number;
  readonly stop2: number;
  readonly stop3: number;
  /** A completed statement with another behind it in the same session, far from any seal, in a full bundle. */
  readonly statement: number;
  readonly refused: number;
  /** A session's start and end, in epoch 2. */
  readonly sessionStart: number;
  readonly sessionEnd: number;
  /** The statement that the proxy was killed in. */
  readonly recovered: number;
}

function marksOf(entries: readonly Buffer[]): Marks {
  const at = (epoch: number, kind: string, more: (entry: Members) => boolean = () => true, from = 0): number =>
    find(entries, (entry) => entry.epoch === epoch && entry.kind === kind && more(entry), from);
  const statement = at(2, "statement", ({ n, outcome }) => n === 400 && outcome === "completed");
  const { session } = members(entries[statement]!);
  const same = (entry: Members): boolean => entry.session === session;
  return {
    size: entries.length,
    half: at(2, "source.stop") + 1,
    start2: at(2, "source.start"),
    start3: at(3, "source.start"),
    seal1: at(1, "source.seal"),
    seal2: at(2, "source.seal", () => true, statement),
    stop2: at(2, "source.stop"),
    stop3: at(3, "source.stop"),
    statement,
    refused: at(2, "access.refused"),
    sessionStart: at(2, "session.start", same),
    sessionEnd: at(2, "session.end", same),
    recovered: at(2, "statement", ({ recovered }) => recovered !== undefined),
  };
}

export class Honest {
  readonly origin: string;
  readonly entries: readonly Buffer[];
  readonly checkpoint: string;
  readonly disclosures: Record["disclosures"];
  readonly tree: Tree;
  readonly log: Signer;
  readonly source: Signer;
  readonly at: Marks;

  constructor(record: Record, logKey: string, sourceKey: string) {
    this.entries = record.entries;
    this.checkpoint = record.checkpoint;
    this.disclosures = record.disclosures;
    this.tree = new Tree(record.entries);
    this.log = signerFrom(logKey);
    this.source = signerFrom(sourceKey);
    this.origin = this.log.name;
    this.at = marksOf(record.entries);
  }

  signed(size: number | string, root: Uint8Array): string {
    return note(checkpointText(this.origin, size, root), this.log);
  }

  /** All of these entries, under tiles and a checkpoint made for them with the log's key. */
  view(entries: readonly Buffer[] = this.entries, more: Partial<View> = {}): View {
    const tree = entries === this.entries ? this.tree : new Tree(entries);
    const checkpoint = this.signed(tree.size, tree.root());
    return { checkpoint, entries, tiles: () => tree, disclosures: this.disclosures, ...more };
  }

  /** As {@link view}, and the source's key was there as well: sequence, chain and seals fit again. */
  withBothKeys(entries: readonly Buffer[], how: Remake = {}): View {
    return this.view(remake(entries, { seals: this.source, renumber: true, previous: true, ...how }));
  }
}

interface Expectation {
  /** Who changed what. */
  readonly name: string;
  readonly exit: number;
  /** Exactly these are found. */
  readonly codes: readonly string[];
  /** And these may follow from them. */
  readonly also?: readonly string[];
  /** The first bad index. */
  readonly index?: number;
}

/** Told by a log. */
export interface LogLie extends Expectation {
  readonly show: () => View;
  /** `audit` when not said. */
  readonly command?: "head" | "audit" | "prove";
  /** What the verifier has kept: the log audited up to `half`, or all of it. */
  readonly kept?: "half" | "whole";
  readonly args?: readonly string[];
  /** How far the verifier's clock is ahead. */
  readonly later?: number;
}

/** Told by an evidence bundle. */
export interface BundleLie extends Expectation {
  readonly file: () => string | Buffer;
}

/** How something ends: exit status and finding codes. */
export const FAIL = 1;
export const NOT_PROVEN = 2;
