/** Follows the chain over what is submitted, and writes into the record what the log acknowledged (spec/record.md). */
import { Chain } from "./chain.ts";
import type { Payload } from "./payload.ts";
import type { RecentChain } from "./recent-chain.ts";
import type { ChainPlace, RecordFile, SubmittedRange } from "./record-file.ts";
import { comparePlaces } from "./state.ts";

/** As the log answers it. */
export interface AcknowledgedRange {
  readonly seq: number;
  readonly index: number;
  readonly count: number;
}

export class Acknowledged {
  readonly #record: RecordFile;
  readonly #chain = new Chain();
  readonly #recent: Pick<RecentChain, "at"> | undefined;
  #epoch: number;
  #next: number;
  /** Where the epoch before this one ended, if this run has seen that. */
  #previous: ChainPlace | undefined;

  /**
   * @param start in front of the first entry that will be passed or acknowledged
   * @param recent remembers the chain of entries that were just written
   */
  constructor(record: RecordFile, start: ChainPlace, recent?: Pick<RecentChain, "at">) {
    this.#record = record;
    this.#recent = recent;
    this.#epoch = start.epoch;
    this.#next = start.next;
    this.#chain.value = start.chain;
  }

  /** An entry that is not submitted, because an earlier run was told that the log has it. */
  pass(epoch: number, leaf: string): void {
    this.#enter(epoch);
    this.#step(leaf);
  }

  /**
   * The log has these entries of the payload. When it resolves, that is durable in the record.
   * @param from the position of the first of them in the payload
   * @param vkey of the source, in force for them
   * @throws ProxyError `spool_failed`, `disk_full`
   */
  async add(payload: Payload, from: number, ranges: readonly AcknowledgedRange[], vkey: string): Promise<void> {
    this.#enter(payload.epoch);
    let end = this.#record.end;
    let waiting: SubmittedRange[] = [];
    let at = from;
    for (const range of ranges) {
      let left = range.count;
      // Recorded by an earlier run, which died before it could remember.
      while (left > 0 && end !== undefined && comparePlaces(end, { epoch: this.#epoch, next: this.#next }) > 0) {
        this.#step(payload.leaf(at++));
        left--;
      }
      if (left === 0) continue;
      if (end !== undefined && !this.#follows(end)) {
        await this.#record.append(waiting, vkey);
        waiting = [];
        await this.#record.breakOff();
      }
      const [before, seq] = [this.#chain.value, this.#next];
      const index = range.index + range.count - left;
      this.#follow(payload, at, left);
      at += left;
      const after = this.#chain.value;
      waiting.push({ epoch: this.#epoch, seq, count: left, index, before, after });
      end = { epoch: this.#epoch, next: this.#next, chain: after };
    }
    await this.#record.append(waiting, vkey);
  }

  /** Whether what comes now stands right behind this place. */
  #follows({ epoch, next, chain }: ChainPlace): boolean {
    if (epoch === this.#epoch) return next === this.#next && chain === this.#chain.value;
    const last = this.#previous;
    return this.#next === 0 && epoch === last?.epoch && next === last.next && chain === last.chain;
  }

  #enter(epoch: number): void {
    if (epoch === this.#epoch) return;
    this.#previous = { epoch: this.#epoch, next: this.#next, chain: this.#chain.value };
    this.#epoch = epoch;
    this.#next = 0;
    this.#chain.reset();
  }

  /** @param from the position of the first of them in the payload */
  #follow(payload: Payload, from: number, count: number): void {
    const known = this.#recent?.at(this.#epoch, this.#next + count);
    if (known === undefined) {
      for (let k = 0; k < count; k++) this.#step(payload.leaf(from + k));
      return;
    }
    this.#chain.value = known;
    this.#next += count;
  }

  #step(leaf: string): void {
    this.#chain.add(leaf);
    this.#next += 1;
  }
}
