/** The recorded log with its keys: what is true, and the means to make something else of it. */
import { find, type Members, members, type Remake, remake } from "./lying-history.ts";
import type { View } from "./lying-log.ts";
import { checkpointText, note, type Signer, signerFrom } from "./lying-note.ts";
import type { Record } from "./lying-record.ts";
import { Tree } from "./lying-tree.ts";

/** Where things stand in the recorded log, by index. Epoch 1 was killed, epoch 2 is short, epoch 3 has a seal. */
export interface Marks {
  readonly size: number;
  /** The size of the tree when epoch 2 had ended: everything below is sealed and stopped. */
  readonly half: number;
  readonly start2: number;
  readonly stop2: number;
  readonly start3: number;
  readonly seal3: number;
  readonly stop3: number;
  /** In epoch 2: a completed statement in the middle of a session, that session's start and end, a refused access. */
  readonly early: number;
  readonly sessionStart: number;
  readonly sessionEnd: number;
  readonly earlyRefused: number;
  /** The statement that the proxy was killed in. */
  readonly recovered: number;
  /** In epoch 3, before its seal: a completed statement in the middle of a session and of a full bundle. */
  readonly statement: number;
}

function marksOf(entries: readonly Buffer[]): Marks {
  const at = (epoch: number, kind: string, more: (entry: Members) => boolean = () => true): number =>
    find(entries, (entry) => entry.epoch === epoch && entry.kind === kind && more(entry));
  const early = at(2, "statement", ({ n, outcome }) => n === 20 && outcome === "completed");
  const { session } = members(entries[early]!);
  const same = (entry: Members): boolean => entry.session === session;
  return {
    size: entries.length,
    half: at(2, "source.stop") + 1,
    start2: at(2, "source.start"),
    stop2: at(2, "source.stop"),
    start3: at(3, "source.start"),
    seal3: at(3, "source.seal"),
    stop3: at(3, "source.stop"),
    early,
    sessionStart: at(2, "session.start", same),
    sessionEnd: at(2, "session.end", same),
    earlyRefused: at(2, "access.refused"),
    recovered: at(2, "statement", ({ recovered }) => recovered !== undefined),
    statement: at(3, "statement", ({ n, outcome }) => n === 400 && outcome === "completed"),
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

  /** When the last entry was written, in milliseconds since 1970. */
  get lastTime(): number {
    return Date.parse(members(this.entries.at(-1)!).time);
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
  readonly index?: number | undefined;
  /** The verifier is given a policy with this text. */
  readonly policy?: string;
  /** The keys that the verifier is given; else the log's. */
  readonly vkeys?: readonly string[];
  readonly args?: readonly string[];
}

/** Told by a log. */
export interface LogLie extends Expectation {
  readonly show: () => View;
  /** `audit` when not said. */
  readonly command?: "head" | "audit" | "prove" | "verify";
  /** What the verifier has kept: the log audited up to `half`, or all of it. */
  readonly kept?: "half" | "whole";
  /** What it has seen before, each under one key. */
  readonly first?: readonly { readonly vkey: string; readonly show: () => View }[];
  /** How long after the log's last entry the verifier's clock says that it is, in milliseconds. Else it is right. */
  readonly later?: number;
}

/** Told by an evidence bundle, a bare proof or a saved checkpoint. */
export interface BundleLie extends Expectation {
  readonly file: () => string | Buffer;
  /** The file is a bare proof of this entry. */
  readonly entry?: Buffer;
}

/** How something ends: exit status and finding codes. */
export const FAIL = 1;
export const NOT_PROVEN = 2;
