import { hash } from "node:crypto";
import type { EntryValue } from "../entries/entry.ts";
import { reason } from "../errors.ts";
import { HASH_BYTES } from "../formats/merkle.ts";
import { CHAIN_START } from "../intake/sources.ts";
import type { SourcePosition, Store } from "../store/store.ts";
import type { Findings } from "./findings.ts";

/** Sequences in one look at the accepted ranges. */
const WINDOW = 65_536;

interface Standing {
  epoch: number;
  next: number;
  chain: Buffer;
  /** By epoch: its number of entries. */
  readonly epochs: Map<number, number>;
}

/** Entries of one source that stand together in the log and in its epoch. */
interface Stretch {
  readonly source: string;
  readonly epoch: number;
  readonly seq: number;
  readonly index: number;
  count: number;
}

/** Holds what the store says of the sources against the entries themselves. */
export class SourcesCheck {
  readonly #store: Store;
  readonly #findings: Findings;
  readonly #sources = new Map<string, Standing>();
  #stretches: Stretch[] = [];
  /** Whether entries could not be read, so that positions and counts say nothing more. */
  #incomplete = false;

  constructor(store: Store, findings: Findings) {
    this.#store = store;
    this.#findings = findings;
  }

  /** Entries are missing here, of whatever sources: what follows may stand anywhere. */
  gap(): void {
    this.#incomplete = true;
    this.#sources.clear();
  }

  /** Takes the next entry of a source, in the order of the log. */
  entry(index: number, { source, epoch, seq }: EntryValue, leaf: Buffer): void {
    const standing = this.#sources.get(source) ?? { epoch: 0, next: 0, chain: CHAIN_START, epochs: new Map() };
    this.#sources.set(source, standing);
    const follows = epoch === standing.epoch ? seq === standing.next : epoch === standing.epoch + 1 && seq === 0;
    const begins = this.#incomplete && standing.epoch === 0;
    if (!follows && !begins) {
      const message = `entry ${index} is ${source}'s sequence ${seq} of epoch ${epoch}, behind ${standing.next} entries of epoch ${standing.epoch}`;
      this.#findings.add("entry", message, index);
    }
    const before = epoch === standing.epoch ? standing.chain : CHAIN_START;
    standing.chain = hash("sha256", Buffer.concat([before, leaf], 2 * HASH_BYTES), "buffer") as unknown as Buffer;
    standing.epoch = epoch;
    standing.next = seq + 1;
    standing.epochs.set(epoch, (standing.epochs.get(epoch) ?? 0) + 1);
    const last = this.#stretches.at(-1);
    const continues =
      last?.source === source &&
      last.epoch === epoch &&
      last.seq + last.count === seq &&
      last.index + last.count === index;
    if (continues) last.count += 1;
    else this.#stretches.push({ source, epoch, seq, index, count: 1 });
  }

  /** Looks up where the store has the entries taken since the last call. */
  async flush(): Promise<void> {
    const stretches = this.#stretches;
    this.#stretches = [];
    await Promise.all(stretches.map((stretch) => this.#lookUp(stretch)));
  }

  async #lookUp({ source, epoch, seq, index, count }: Stretch): Promise<void> {
    let next = seq;
    try {
      for (const range of await this.#store.accepted(source, epoch, seq, seq + count)) {
        if (range.seq > next || range.index - range.seq !== index - seq) break;
        next = range.seq + range.count;
      }
    } catch (error) {
      this.#findings.add("unreadable", `the accepted ranges of ${source}: ${reason(error)}`, index);
      return;
    }
    if (next >= seq + count) return;
    const message = `the store does not have ${source}'s sequence ${next} of epoch ${epoch} at ${index + next - seq}, where that entry is`;
    this.#findings.add("accepted", message, index + next - seq);
  }

  /** Compares positions, and the accepted ranges of each epoch from end to end. */
  async finish(): Promise<void> {
    if (this.#incomplete) return;
    let positions: ReadonlyMap<string, SourcePosition>;
    try {
      positions = await this.#store.positions();
    } catch (error) {
      this.#findings.add("unreadable", `the positions of the sources: ${reason(error)}`);
      return;
    }
    for (const name of positions.keys()) {
      if (this.#sources.has(name)) continue;
      this.#findings.add("position", `the store has a position of ${name}, and no entry of it`);
    }
    for (const [name, standing] of this.#sources) {
      this.#comparePosition(name, standing, positions.get(name));
      for (const [epoch, count] of standing.epochs) await this.#compareRanges(name, epoch, count);
    }
  }

  #comparePosition(name: string, standing: Standing, position: SourcePosition | undefined): void {
    const { epoch, next, chain } = standing;
    if (position?.epoch === epoch && position.next === next && position.chain.equals(chain)) return;
    const found = position === undefined ? "none" : `epoch ${position.epoch} up to ${position.next}`;
    const other = position?.epoch === epoch && position.next === next ? ", with another chain" : "";
    const message = `${name} has entries of epoch ${epoch} up to sequence ${next}, and the position in the store is ${found}${other}`;
    this.#findings.add("position", message);
  }

  async #compareRanges(source: string, epoch: number, count: number): Promise<void> {
    let expected = 0;
    try {
      for (let from = 0; from <= Math.max(expected, count); from += WINDOW) {
        for (const range of await this.#store.accepted(source, epoch, from, from + WINDOW)) {
          // A range that reaches over the edge of a window was seen in the one before.
          if (range.seq < from && range.seq + range.count <= expected) continue;
          if (range.seq !== expected) break;
          expected += range.count;
        }
      }
    } catch (error) {
      this.#findings.add("unreadable", `the accepted ranges of ${source}, epoch ${epoch}: ${reason(error)}`);
      return;
    }
    if (expected === count) return;
    const message = `the log has ${count} entries of ${source}'s epoch ${epoch}, and the store's ranges go without gap or overlap to ${expected}`;
    this.#findings.add("accepted", message);
  }
}
