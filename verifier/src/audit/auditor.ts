import { type EntryRead, readEntry, salvageEntry } from "../entries/entry.ts";
import { membersOf } from "../entries/entry-members.ts";
import { Shapes } from "../entries/entry-shape.ts";
import { isFindingCode, VerifierError } from "../errors.ts";
import { Findings } from "../findings.ts";
import { decodeBase64, encodeBase64 } from "../formats/base64.ts";
import type { Checkpoint } from "../formats/checkpoint.ts";
import { Frontier } from "../formats/frontier.ts";
import type { VerifierKey } from "../formats/key.ts";
import { equalBytes, hashLength } from "../formats/merkle.ts";
import { tileHeight, tilePath, tileWidth, widthOf } from "../formats/tile.ts";
import { type HashedEntries, hashEntries, type LeafHasher } from "../reading/hash-entries.ts";
import { locateInTiles } from "../reading/locate.ts";
import { type LogReader, readEntries, readHashes } from "../reading/log-reader.ts";
import { readAhead } from "../reading/read-ahead.ts";
import { TileCheck } from "../reading/tile-check.ts";
import { TileTree } from "../reading/tree.ts";
import { Source, type SourceRecord } from "../sources/source.ts";

/** How far a log was audited: all that is needed to carry on from there. JSON. */
export type AuditState = {
  /** Number of entries audited. */
  size: number;
  /** Base64 of the right edge at that size ({@link Frontier}). */
  frontier: string[];
  sources: SourceRecord[];
  /** The entries may be of any bytes: nothing was read in them, and no source is known. Else absent. */
  entries?: "any";
};

/**
 * Called for each entry in order, as it is read; undefined when it failed E1 or E2. That it is the entry which was
 * signed is established at the end only, when the report has no finding of T.
 * @param entry its kind, and its text, which is JSON
 */
export type EntryListener = (index: number, entry: { kind: string; text: string } | undefined) => void;

export type AuditorOptions = {
  findings: Findings;
  /** Keys given for sources, by name. */
  pins?: ReadonlyMap<string, VerifierKey>;
  /** Where an earlier audit ended. */
  state?: AuditState | null;
  onEntry?: EntryListener;
  /** Called after each bundle with the number of entries read, and how many there are. */
  onProgress?: (done: number, size: number) => void;
  /** Given by those who can compute hashes beside the main thread. */
  hashLeaves?: LeafHasher;
  /** Entries may be of any bytes: only steps T are carried out. */
  entries?: "any" | undefined;
  /**
   * Called, and awaited, in the middle of a long tree, where all entries so far are shown to be the signed tree's
   * beginning and nothing in them contradicts: an audit may be carried on from there, whatever becomes of this one.
   */
  onVerified?: (state: AuditState, checkpoint: Checkpoint) => Promise<void>;
  /** So many entries lie between two such places. */
  verifiedEvery?: number;
};

/** Some seconds' work; it costs a few tiles, and what is kept a synced write. */
const defaultVerifiedEvery = 262_144;

/** Bundles under way at once. One may be 16 MiB when its entries are as long as can be; usually it is 250 KiB. */
const readAheadDepth = 6;

/** A bundle, and how many of its first entries were audited before. */
type Unit = { n: number; width: number; skip: number };
type UnitRead = Unit & {
  /** Those that were not, and their hashes. */
  read: { entries: Uint8Array[]; hashed: HashedEntries } | VerifierError;
  /** The whole level 0 tile. */
  tile: Uint8Array | VerifierError;
};

/** Steps T, E, S and N over a log's entries, in order, with memory that does not grow with them. */
export class Auditor {
  readonly #options: AuditorOptions;
  readonly #findings: Findings;
  /** Those of E, S and N. They wait for T4: of entries that are not the ones signed, nothing is said. */
  readonly #waiting: Findings = new Findings();
  readonly #frontier: Frontier;
  readonly #sources = new Map<string, Source>();
  readonly #tiles: TileCheck;
  readonly #shapes: Shapes = new Shapes();
  #unknown = 0;
  #complete = true;
  #established = true;

  /** @throws VerifierError `usage` when the state is not one that an audit gave */
  constructor(options: AuditorOptions) {
    this.#options = options;
    this.#findings = options.findings;
    const state = options.state ?? { size: 0, frontier: [], sources: [] };
    const hashes = state.frontier.map((text) => decodeBase64(text) ?? new Uint8Array(0));
    const frontier = Frontier.from(state.size, hashes);
    if (frontier === undefined || hashes.some((hash) => hash.length !== hashLength)) {
      throw new VerifierError("usage", "the kept state of the audit is damaged; audit again without it");
    }
    this.#frontier = frontier;
    for (const record of state.sources) {
      this.#sources.set(record.name, new Source(record, this.#waiting, options.pins?.get(record.name)));
    }
    this.#tiles = new TileCheck();
  }

  /** Number of entries read and audited. */
  get size(): number {
    return this.#frontier.size;
  }

  /** Entries read that are of no kind that is known here. */
  get unknown(): number {
    return this.#unknown;
  }

  /** Whether all entries of the checkpoints given could be read. */
  get complete(): boolean {
    return this.#complete;
  }

  /** Whether the entries read are those that were signed, so that something can be said of the sources. */
  get established(): boolean {
    return this.#complete && this.#established;
  }

  /**
   * Reads on to the size of a checkpoint.
   * @param checkpoint one whose signature is verified, not smaller than {@link size}
   * @throws VerifierError `log_unreachable`
   */
  async advance(reader: LogReader, checkpoint: Checkpoint): Promise<void> {
    const from = this.size;
    const every = this.#options.verifiedEvery ?? defaultVerifiedEvery;
    let verified = from;
    const read = (unit: Unit): Promise<UnitRead> => this.#read(reader, unit);
    for await (const unit of readAhead(units(from, checkpoint.size), readAheadDepth, read)) {
      if (unit.read instanceof VerifierError) {
        // Behind a bundle that cannot be read no chain and no root can be told.
        this.#findings.addError(unit.read);
        this.#complete = false;
        this.#waiting.clear();
        return;
      }
      if (unit.tile instanceof VerifierError) this.#findings.addError(unit.tile);
      else this.#compare(unit, unit.tile, unit.read.hashed.leaves);
      this.#bundle(unit, unit.read.entries, unit.read.hashed);
      await this.#tiles.checkFull(reader, this.#findings);
      this.#options.onProgress?.(this.size, checkpoint.size);
      if (this.size - verified < every || this.size === checkpoint.size) continue;
      verified = this.size;
      await this.#verifySoFar(reader, checkpoint);
    }
    for (const source of this.#sources.values()) source.settle();
    await this.#tiles.checkPartial(reader, checkpoint.size, this.#findings);
    this.#established = await this.#checkRoot(reader, checkpoint, from);
    if (this.#established) this.#findings.take(this.#waiting);
    else this.#waiting.clear();
  }

  /**
   * Step T4 for what was read so far: both roots are computed from the same tiles, and if these give the one signed, the
   * other is the only one that the tree's beginning can have.
   */
  async #verifySoFar(reader: LogReader, checkpoint: Checkpoint): Promise<void> {
    const { onVerified } = this.#options;
    if (onVerified === undefined) return;
    for (const source of this.#sources.values()) source.settle();
    const contradicts = this.#findings.verdict === "FAIL" || this.#waiting.verdict === "FAIL";
    if (contradicts || this.#findings.has("data_missing")) return;
    const roots = await settle(new TileTree(reader, checkpoint.size).prefix(this.size));
    if (roots instanceof VerifierError || !equalBytes(roots.whole, checkpoint.root)) return;
    if (!equalBytes(roots.prefix, this.#frontier.root())) return;
    if ((await settle(this.#tiles.fits(reader, checkpoint.size))) === true) await onVerified(this.state(), checkpoint);
  }

  async #read(reader: LogReader, unit: Unit): Promise<UnitRead> {
    const { n, width, skip } = unit;
    const readBundle = async (): Promise<UnitRead["read"]> => {
      const all = await settle(readEntries(reader, n, width));
      if (all instanceof VerifierError) return all;
      const entries = all.slice(skip);
      return { entries, hashed: (await this.#options.hashLeaves?.(entries)) ?? hashEntries(entries) };
    };
    // Both are awaited at once: a fault of the one that comes first must not go unhandled while the other is waited for.
    const [tile, read] = await Promise.all([settle(readHashes(reader, 0, n, width)), readBundle()]);
    return { ...unit, tile, read };
  }

  /** Step T3. */
  #compare({ n, width, skip }: Unit, tile: Uint8Array, leaves: Uint8Array): void {
    if (equalBytes(leaves, tile.subarray(skip * hashLength))) return;
    const at = (i: number): number => i * hashLength;
    for (let i = skip; i < width; i++) {
      const leaf = leaves.subarray(at(i - skip), at(i - skip + 1));
      if (equalBytes(leaf, tile.subarray(at(i), at(i + 1)))) continue;
      const message = "the entry's leaf hash is not the one that the tile has for it";
      this.#findings.add("leaf_mismatch", message, { index: n * tileWidth + i, where: tilePath(0, n, width) });
    }
  }

  #bundle({ n, skip }: Unit, entries: readonly Uint8Array[], { leaves, root }: HashedEntries): void {
    const first = n * tileWidth + skip;
    for (let i = 0; i < entries.length; i++) {
      const leaf = leaves.subarray(i * hashLength, (i + 1) * hashLength);
      this.#entry(entries[i]!, leaf, first + i);
      if (root === undefined) this.#frontier.append(leaf.slice(), this.#tiles.sink);
    }
    if (root !== undefined) this.#frontier.appendSubtree(tileHeight, root, this.#tiles.sink);
  }

  #entry(bytes: Uint8Array, leaf: Uint8Array, index: number): void {
    if (this.#options.entries === "any") {
      this.#options.onEntry?.(index, undefined);
      return;
    }
    let read: EntryRead | undefined;
    try {
      read = readEntry(bytes, this.#shapes);
    } catch (error) {
      this.#waiting.addError(error, { index });
      // Its place in its source's chain can often be told all the same; then one bad entry is one finding.
      const salvaged = salvageEntry(bytes);
      if (salvaged !== undefined) this.#sources.get(salvaged.source)?.add(salvaged, leaf, index, true);
    }
    if (read !== undefined && membersOf(read.entry.kind) === undefined) this.#unknown++;
    if (read !== undefined) this.#source(read.entry.source).add(read.entry, leaf, index);
    this.#options.onEntry?.(index, read && { kind: read.entry.kind, text: read.text });
  }

  #source(name: string): Source {
    let source = this.#sources.get(name);
    if (source === undefined) {
      source = new Source(name, this.#waiting, this.#options.pins?.get(name));
      this.#sources.set(name, source);
    }
    return source;
  }

  /**
   * Step T4.
   * @returns whether the root is the one signed
   */
  async #checkRoot(reader: LogReader, checkpoint: Checkpoint, from: number): Promise<boolean> {
    if (equalBytes(this.#frontier.root(), checkpoint.root)) {
      this.#tiles.report(this.#findings);
      return true;
    }
    const what = `the root rebuilt from the entries is not the one of the checkpoint of size ${checkpoint.size}`;
    if (this.#findings.has("leaf_mismatch")) {
      this.#findings.add("root_mismatch", `${what}; entries differ from the tiles, as leaf_mismatch says`);
      return false;
    }
    const { hint, index } = await this.#locate(reader, checkpoint, from);
    this.#findings.add("root_mismatch", `${what}: ${hint}`, index === undefined ? {} : { index });
    return false;
  }

  async #locate(reader: LogReader, checkpoint: Checkpoint, from: number): Promise<{ hint: string; index?: number }> {
    const before = from === 0 ? "" : `, behind the ${from} entries that were audited before`;
    try {
      const found = await locateInTiles(reader, checkpoint.size, checkpoint.root, from);
      if (found === "edge") {
        return {
          hint: `the tiles were changed along with the entries up to the root, so it cannot be told where${before}`,
        };
      }
      if (found === undefined) return { hint: `the tiles are those signed, so it is the entries that differ${before}` };
      const { from: index, to } = found;
      return { hint: `the first tile that is not the one signed holds the entries ${index} to ${to - 1}`, index };
    } catch (error) {
      if (!(error instanceof VerifierError) || !isFindingCode(error.code)) throw error;
      return { hint: `and it cannot be told where, because ${error.message}` };
    }
  }

  /** @returns whether an entry below index `scope` is not covered by a seal yet. */
  hasUnsealed(scope: number): boolean {
    for (const source of this.#sources.values()) {
      if (source.unsealed !== null && source.unsealed.index < scope) return true;
    }
    return false;
  }

  /**
   * Step S10, where the entries end that the verdict is about.
   * @param now the verifier's clock, milliseconds since 1970
   */
  listen(now: number): void {
    for (const source of this.#sources.values()) source.listen(now);
  }

  /**
   * Steps S9, S10, S12 and S13, once all is read and {@link established}.
   * @param now as for {@link listen}
   * @param scope entries from this index on were read for their seals only
   */
  finish(now: number, scope: number): void {
    for (const source of this.#sources.values()) source.finish(now, scope);
    // S12
    for (const [name, key] of this.#options.pins ?? []) {
      if (this.#sources.has(name)) continue;
      const message = `the log has no entry of source ${name}, whose key (${key.id}) was given`;
      this.#waiting.add("source_missing", message, { source: name });
    }
    this.#findings.take(this.#waiting);
  }

  get sources(): SourceRecord[] {
    return [...this.#sources.values()].map((source) => source.record);
  }

  state(): AuditState {
    const frontier = this.#frontier.nodes().map((node) => encodeBase64(node.hash));
    const state: AuditState = { size: this.size, frontier, sources: this.sources };
    return this.#options.entries === "any" ? { ...state, entries: "any" } : state;
  }
}

function* units(from: number, size: number): Generator<Unit> {
  for (let n = Math.floor(from / tileWidth); n * tileWidth < size; n++) {
    const skip = Math.max(0, from - n * tileWidth);
    const width = widthOf(size, n);
    if (skip < width) yield { n, width, skip };
  }
}

/** Turns what is wrong with the data into a value; faults stay thrown. */
async function settle<Result>(promise: Promise<Result>): Promise<Result | VerifierError> {
  try {
    return await promise;
  } catch (error) {
    if (error instanceof VerifierError && isFindingCode(error.code)) return error;
    throw error;
  }
}
