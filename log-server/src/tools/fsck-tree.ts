import { reason } from "../errors.ts";
import { HASH_BYTES, leafHashInto, RightEdge } from "../formats/merkle.ts";
import { bundleEntries, countAt, TILE_WIDTH, type TileLevel } from "../formats/tile.ts";
import type { SignedCheckpoint } from "../publish/guard.ts";
import type { Store, TreeHead } from "../store/store.ts";
import type { Finding, Findings } from "./findings.ts";

/** A signed tree that the entries are held against. */
export interface Claim {
  readonly code: Finding["code"];
  /** Where it stands, for the message. */
  readonly where: string;
  readonly checkpoint: Pick<SignedCheckpoint, "size" | "root">;
}

/** The hashes of a level that the entries give, up to the end of a tile. */
interface Level {
  number: number;
  hashes: Buffer[];
}

/** Rebuilds the tree from the entries alone, and holds every tile, the head and what was signed against it. */
export class TreeCheck {
  readonly #store: Store;
  readonly #head: TreeHead;
  readonly #claims: readonly Claim[];
  readonly #findings: Findings;
  readonly #edge = new RightEdge(0, []);
  readonly #levels: Level[] = [];
  /** Whether an entry could not be read, so that what is above it says nothing more. */
  #broken = false;

  constructor(store: Store, head: TreeHead, claims: readonly Claim[], findings: Findings) {
    this.#store = store;
    this.#head = head;
    this.#claims = claims;
    this.#findings = findings;
    this.#claimsReached();
  }

  async #tile(level: TileLevel, number: number): Promise<Buffer | undefined> {
    try {
      return await this.#store.tile(level, number);
    } catch (error) {
      const index = number * TILE_WIDTH * (level === "entries" ? 1 : TILE_WIDTH ** level);
      this.#findings.add("unreadable", `tile ${number} of level ${level}: ${reason(error)}`, index);
      return undefined;
    }
  }

  /**
   * Reads the next bundle, and takes its entries into the tree.
   * @returns the entries with their leaf hashes; undefined when the bundle is damaged
   */
  async bundle(number: number): Promise<{ entries: Buffer[]; leaves: Buffer[] } | undefined> {
    const first = number * TILE_WIDTH;
    const width = Math.min(TILE_WIDTH, this.#head.size - first);
    const bytes = await this.#tile("entries", number);
    const entries = bytes && bundleEntries(bytes, width);
    if (bytes === undefined || entries === undefined || entries.length < width) {
      const why = entries === undefined ? "is malformed" : `has only ${entries.length} of ${width} entries`;
      if (bytes !== undefined) this.#findings.add("bundle", `the bundle of the entries from ${first} on ${why}`, first);
      await this.#skip(number, width);
      return undefined;
    }
    const excess = entries.reduce((left, entry) => left - 2 - entry.length, bytes.length);
    if (excess > 0) {
      const message = `the bundle of the entries from ${first} on has ${excess} bytes behind its ${width} entries`;
      this.#findings.add("bundle", message, first);
    }
    const all = Buffer.allocUnsafeSlow(width * HASH_BYTES);
    for (const [i, entry] of entries.entries()) leafHashInto(all, i * HASH_BYTES, entry);
    const leaves = entries.map((_, i) => all.subarray(i * HASH_BYTES, (i + 1) * HASH_BYTES));
    await this.#take(leaves);
    return { entries, leaves };
  }

  /** Goes on behind a damaged bundle with the leaf hashes that the store has for it. */
  async #skip(number: number, width: number): Promise<void> {
    this.#broken = true;
    const hashes = (await this.#tile(0, number)) ?? Buffer.alloc(0);
    const leaves = Array.from({ length: width }, (_, i) => {
      const leaf = Buffer.alloc(HASH_BYTES);
      leaf.set(hashes.subarray(i * HASH_BYTES, (i + 1) * HASH_BYTES));
      return leaf;
    });
    await this.#take(leaves);
  }

  async #take(leaves: readonly Buffer[]): Promise<void> {
    for (const leaf of leaves) {
      this.#push(0, leaf);
      this.#edge.append(leaf, (height, root) => {
        if (height % 8 === 0) this.#push(height / 8, root);
      });
      this.#claimsReached();
    }
    for (let level = 0; this.#levels[level]?.hashes.length === TILE_WIDTH; level += 1) await this.#compare(level);
  }

  #push(level: number, root: Buffer): void {
    this.#levels[level] ??= { number: 0, hashes: [] };
    this.#levels[level].hashes.push(root);
  }

  #claimsReached(): void {
    for (const { code, where, checkpoint } of this.#claims) {
      if (checkpoint.size !== this.#edge.size || this.#broken) continue;
      const root = this.#edge.root();
      if (root.equals(checkpoint.root)) continue;
      const message = `the first ${checkpoint.size} entries have the root ${root.toString("base64")}, and ${where} was signed over ${checkpoint.root.toString("base64")}`;
      this.#findings.add(code, message);
    }
  }

  /** Holds the tile that the entries give against the stored one, and begins the next. */
  async #compare(level: number): Promise<void> {
    const { number, hashes } = this.#levels[level]!;
    this.#levels[level] = { number: number + 1, hashes: [] };
    const stored = await this.#tile(level, number);
    if (stored === undefined) return;
    const expected = Buffer.concat(hashes);
    const span = TILE_WIDTH ** level;
    if (stored.length !== expected.length) {
      const message = `tile ${number} of level ${level} has ${stored.length} bytes, and ${expected.length} are to be there`;
      this.#findings.add("tile", message, number * TILE_WIDTH * span);
    }
    for (let at = 0; at < Math.min(stored.length, expected.length); at += HASH_BYTES) {
      if (stored.subarray(at, at + HASH_BYTES).equals(expected.subarray(at, at + HASH_BYTES))) continue;
      const index = (number * TILE_WIDTH + at / HASH_BYTES) * span;
      const what =
        level === 0
          ? `entry ${index} does not hash to its leaf hash`
          : `the entries from ${index} on do not hash to their place in level ${level}`;
      this.#findings.add("hash", what, index);
    }
  }

  /** Compares the partial tiles and the head, and looks for what is beyond it. */
  async finish(): Promise<void> {
    for (let level = 0; level < this.#levels.length; level += 1) {
      if (this.#levels[level]!.hashes.length > 0) await this.#compare(level);
    }
    const { size, root } = this.#head;
    if (!this.#broken && !this.#edge.root().equals(root)) {
      const message = `the ${size} entries have the root ${this.#edge.root().toString("base64")}, and the store's head says ${root.toString("base64")}`;
      this.#findings.add("head", message);
    }
    for (const level of ["entries", 0, 1, 2, 3, 4, 5, 6] as const) {
      const number = Math.ceil(countAt(level, size) / TILE_WIDTH);
      const beyond = await this.#tile(level, number);
      if (beyond === undefined || beyond.length === 0) continue;
      this.#findings.add("tile", `tile ${number} of level ${level} is beyond the ${size} entries of the head`, size);
    }
    for (const { code, where, checkpoint } of this.#claims) {
      if (checkpoint.size <= size) continue;
      this.#findings.add(code, `the store has ${size} entries, and ${where} was signed over ${checkpoint.size}`, size);
    }
  }
}
