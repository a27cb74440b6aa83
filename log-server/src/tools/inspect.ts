import type { LogServerConfig } from "../config/config.ts";
import { isOfSource } from "../entries/added.ts";
import { blockDisclosures, openDisclosure, sharedDigest } from "../entries/disclosure.ts";
import { LogServerError } from "../errors.ts";
import { parseUtf8 } from "../formats/encoding.ts";
import { leafHash } from "../formats/merkle.ts";
import { countAt, TILE_WIDTH, type TileLevel, tilePath } from "../formats/tile.ts";
import type { Store } from "../store/store.ts";
import { TreeReader } from "../tree/log.ts";
import { lastCheckpoint, type StoppedLog, withStopped } from "./stopped.ts";

/** What can be asked of a log. */
export type Question =
  | { readonly about: "log" }
  | { readonly about: "entry"; readonly index: number }
  | { readonly about: "source"; readonly name: string }
  | { readonly about: "disclosures"; readonly index: number };

/** Where the log stands with a source. */
export interface SourceState {
  readonly name: string;
  readonly vkey: string;
  readonly epoch: number;
  readonly next: number;
  /** base64. */
  readonly chain: string;
}

/** How many tiles of a level a size has. */
export interface LevelShape {
  readonly level: TileLevel;
  readonly full: number;
  /** Width of the partial tile; 0 when there is none. */
  readonly partial: number;
}

/** Answers, in the order of `Question`. Hashes are base64. */
export type Inspection =
  | {
      readonly about: "log";
      readonly origin: string;
      /** Of the last signed checkpoint; without one, 0 and the empty root. */
      readonly size: number;
      readonly root: string;
      /** undefined when nothing was signed yet. */
      readonly checkpoint: string | undefined;
      /** Entries that are durable, signed or not; undefined when that cannot be seen from outside. */
      readonly stored: number | undefined;
      readonly levels: readonly LevelShape[];
      readonly sources: readonly SourceState[];
    }
  | {
      readonly about: "entry";
      readonly index: number;
      readonly bytes: number;
      readonly leaf: string;
      /** The entry as text; undefined when it is not UTF-8. */
      readonly text: string | undefined;
      readonly ofSource: boolean;
      readonly bundle: string;
      readonly tile: string;
      /** The inclusion proof at `size`, from the leaf up. */
      readonly size: number;
      readonly proof: readonly string[];
    }
  | ({ readonly about: "source"; readonly epochs: readonly EpochState[] } & SourceState)
  | { readonly about: "disclosures"; readonly index: number; readonly disclosures: readonly Disclosed[] };

/** Where the entries of an epoch are. Known from a store only. */
export interface EpochState {
  readonly epoch: number;
  readonly entries: number;
  readonly firstIndex: number;
  readonly lastIndex: number;
}

export interface Disclosed {
  readonly name: string;
  readonly value: unknown;
}

/** @returns how many tiles of each level a tree of this size has. */
export function shapeOf(size: number): LevelShape[] {
  const shapes: LevelShape[] = [];
  for (const level of ["entries", 0, 1, 2, 3, 4, 5, 6] as const) {
    const count = countAt(level, size);
    if (count > 0) shapes.push({ level, full: Math.floor(count / TILE_WIDTH), partial: count % TILE_WIDTH });
  }
  return shapes;
}

/** @returns the paths of the bundle and of the tile of leaf hashes that an entry is in, at a size above its index. */
export function placeOf(index: number, size: number): { bundle: string; tile: string } {
  const number = Math.floor(index / TILE_WIDTH);
  const width = Math.min(TILE_WIDTH, size - number * TILE_WIDTH);
  return { bundle: tilePath({ level: "entries", number, width }), tile: tilePath({ level: 0, number, width }) };
}

/** @returns what there is to say of an entry's bytes. */
export function entryFacts(
  index: number,
  entry: Buffer,
  size: number,
  proof: readonly string[],
): Inspection & { about: "entry" } {
  return {
    about: "entry",
    index,
    bytes: entry.length,
    leaf: leafHash(entry).toString("base64"),
    text: parseUtf8(entry),
    ofSource: isOfSource(entry),
    ...placeOf(index, size),
    size,
    proof,
  };
}

/**
 * Answers a question about a log that does not run, from its store.
 * @throws LogServerError as `openStopped`; `beyond_tree`, `not_found`
 */
export async function inspectLog(config: LogServerConfig, question: Question): Promise<Inspection> {
  return withStopped(config, (log) => {
    switch (question.about) {
      case "log":
        return describe(log, config);
      case "entry":
        return entry(log, question.index);
      case "source":
        return source(log.store, question.name);
      case "disclosures":
        return disclosures(log, question.index);
    }
  });
}

async function describe(log: StoppedLog, config: LogServerConfig): Promise<Inspection> {
  const { store } = log;
  const head = await store.head();
  const signed = await lastCheckpoint(log, config);
  return {
    about: "log",
    origin: config.origin,
    size: signed?.size ?? 0,
    root: (signed?.root ?? (await new TreeReader(store, 0).root(0))).toString("base64"),
    checkpoint: signed?.note,
    stored: head.size,
    levels: shapeOf(head.size),
    sources: await states(store),
  };
}

async function states(store: Store): Promise<SourceState[]> {
  const all = [...(await store.positions())].map(([name, { vkey, epoch, next, chain }]) => {
    return { name, vkey, epoch, next, chain: chain.toString("base64") };
  });
  return all.sort((a, b) => Buffer.compare(Buffer.from(a.name), Buffer.from(b.name)));
}

async function within(store: Store, index: number): Promise<number> {
  const { size } = await store.head();
  if (index < size) return size;
  throw new LogServerError("beyond_tree", `there is no entry ${index}: the store has ${size}`, { size });
}

async function entry({ store }: StoppedLog, index: number): Promise<Inspection> {
  const size = await within(store, index);
  const reader = new TreeReader(store, 0);
  const [bytes] = await reader.entries(index, index + 1);
  const proof = await reader.inclusionProof(index, size);
  return entryFacts(
    index,
    bytes!,
    size,
    proof.map((hash) => hash.toString("base64")),
  );
}

async function source(store: Store, name: string): Promise<Inspection> {
  const state = (await states(store)).find((each) => each.name === name);
  if (state === undefined) throw new LogServerError("not_found", `the store has nothing of a source ${name}`);
  const epochs: EpochState[] = [];
  for (let epoch = 1; epoch <= state.epoch; epoch += 1) {
    const found = await epochState(store, name, epoch);
    if (found !== undefined) epochs.push(found);
  }
  return { about: "source", ...state, epochs };
}

/** Sequences whose ranges are looked up at a time: an epoch may have a range for each of its entries. */
const WINDOW = 65_536;

async function epochState(store: Store, name: string, epoch: number): Promise<EpochState | undefined> {
  let state: EpochState | undefined;
  for (let next = 0; ; ) {
    const ranges = await store.accepted(name, epoch, next, next + WINDOW);
    const last = ranges.at(-1);
    if (last === undefined) return state;
    next = last.seq + last.count;
    const firstIndex = state?.firstIndex ?? ranges[0]!.index;
    state = { epoch, entries: next, firstIndex, lastIndex: last.index + last.count - 1 };
  }
}

async function disclosures({ store }: StoppedLog, index: number): Promise<Inspection> {
  await within(store, index);
  const [bytes] = await new TreeReader(store, 0).entries(index, index + 1);
  const block = await store.disclosures(index);
  const own = block === undefined ? [] : blockDisclosures(block);
  const digest = sharedDigest(bytes!, index);
  const shared = digest === undefined ? undefined : await store.sharedDisclosure(digest);
  const all = shared === undefined ? own : [...own, shared];
  return { about: "disclosures", index, disclosures: all.map((each) => openDisclosure(each, index)) };
}
