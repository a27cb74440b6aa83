import { setImmediate } from "node:timers/promises";
import { isOfSource } from "../entries/added.ts";
import { sharedDigestOf } from "../entries/disclosure.ts";
import { storedEntry } from "../entries/entry.ts";
import { LogServerError, reason } from "../errors.ts";
import { TILE_WIDTH } from "../formats/tile.ts";
import type { Hooks } from "../hooks.ts";
import type { Acts } from "../intake/acts.ts";
import type { Order } from "../intake/registry.ts";
import type { Erased, ErasureRecord, ErasureScope, Store } from "../store/store.ts";
import type { TreeReader } from "../tree/log.ts";
import { inScope, makePrefilter, scopeRange } from "./scope.ts";

/** Disclosure blocks that are in memory at a time: one may be as large as a submission. */
const AT_A_TIME = 8;

/** Shared disclosures that are named one by one: to rewrite what they stand in takes longer than to rewrite all. */
const MOST_DIGESTS = 16;

/** An erasure by the index of its order. */
export interface Erasure extends ErasureRecord {
  readonly order: number;
}

interface Parts {
  readonly store: Store;
  readonly reader: TreeReader;
  readonly acts: Acts;
  readonly hooks: Hooks;
  /** Called with `write_failed` or `store_corrupt`. */
  readonly onFatal: (error: LogServerError) => void;
}

/**
 * Deletes disclosures for good. An order is an entry; what it asks for is done by looking at every entry before it, and
 * not at any index, while the log goes on; when nothing of it is left in the store's files, another entry says so.
 */
export class Erasures {
  readonly #parts: Parts;
  readonly #records: Map<number, ErasureRecord>;
  #running = false;
  #run: Promise<void> = Promise.resolve();
  #stopping = false;

  /** @param records as the store has them */
  constructor(records: ReadonlyMap<number, ErasureRecord>, parts: Parts) {
    this.#records = new Map(records);
    this.#parts = parts;
  }

  get(order: number): Erasure | undefined {
    const record = this.#records.get(order);
    return record === undefined ? undefined : { order, ...record };
  }

  /**
   * Orders an erasure, and begins with it.
   * @returns it, once the order is durable
   * @throws LogServerError as `Acts.record`
   */
  async order(scope: ErasureScope, { by, reason: why }: Order): Promise<Erasure> {
    const record: ErasureRecord = { scope, by, done: false, scanned: 0, entries: 0, values: 0 };
    const order = await this.#parts.acts.record({
      kind: "erasure.ordered",
      members: { scope, by },
      reason: why,
      effect: (index) => ({ erasure: { order: index, record } }),
    });
    this.#records.set(order, record);
    this.resume();
    return { order, ...record };
  }

  /** Goes on with what was ordered and is not done. */
  resume(): void {
    if (this.#running) return;
    this.#running = true;
    this.#run = this.#eraseAll();
  }

  async #eraseAll(): Promise<void> {
    try {
      for (;;) {
        const next = [...this.#records].find(([, record]) => !record.done);
        if (next === undefined || this.#stopping) break;
        await this.#erase(next[0]);
      }
      // In one step with having found nothing: what is ordered next begins anew.
      this.#running = false;
    } catch (error) {
      // The log is being closed: the next start goes on.
      if (this.#stopping) return;
      const message = `an erasure cannot go on: ${reason(error)}; free or replace the disk, and start again`;
      const known = error instanceof LogServerError && error.code === "store_corrupt";
      this.#parts.onFatal(known ? error : new LogServerError("write_failed", message, {}, { cause: error }));
    }
  }

  async #erase(order: number): Promise<void> {
    const { store, acts, hooks } = this.#parts;
    // CRASH: ordered, and perhaps begun; the next start goes on from the last batch that is durable.
    await hooks.at("erasure:ordered");
    const { scope } = this.#records.get(order)!;
    const { from, to } = scopeRange(scope, order);
    for (let start = Math.max(from, this.#records.get(order)!.scanned); start < to; ) {
      const end = Math.min(to, (Math.floor(start / TILE_WIDTH) + 1) * TILE_WIDTH);
      await this.#eraseBundle(order, start, end);
      if (this.#stopping) return;
      // Submissions have their turn.
      await setImmediate();
      start = end;
    }
    // CRASH: deleted, and bytes may still be in the store's files; the next start finds nothing more to delete, and
    // goes on here.
    await hooks.at("erasure:deleted");
    const { erased, values: deleted } = this.#records.get(order)!;
    if (deleted > 0) await store.purge(erased);
    // CRASH: gone, and nothing says so; the next start purges again.
    await hooks.at("erasure:purged");
    const record = { ...this.#records.get(order)!, done: true };
    const { entries, values } = record;
    await acts.record({
      kind: "erasure.done",
      members: { ordered: order, entries, values },
      effect: () => ({ erasure: { order, record } }),
    });
    this.#records.set(order, record);
  }

  /** Deletes what the entries from `start` up to `end`, of one bundle, disclose. */
  async #eraseBundle(order: number, start: number, end: number): Promise<void> {
    const { store, reader } = this.#parts;
    const before = this.#records.get(order)!;
    const indexes: number[] = [];
    const digests = new Map<string, Buffer>();
    const shared: Buffer[] = [];
    const mayBeInScope = makePrefilter(before.scope);
    const matching: { index: number; digest: Buffer | undefined }[] = [];
    for (const [i, bytes] of (await reader.entries(start, end)).entries()) {
      if (!isOfSource(bytes) || !mayBeInScope(bytes)) continue;
      const entry = storedEntry(bytes, start + i);
      if (inScope(before.scope, entry)) matching.push({ index: start + i, digest: sharedDigestOf(entry) });
    }
    const entries = matching.length;
    let values = 0;
    for (let at = 0; at < entries; at += AT_A_TIME) {
      const some = matching.slice(at, at + AT_A_TIME);
      const blocks = await Promise.all(some.map(({ index }) => store.disclosures(index)));
      for (const [i, block] of blocks.entries()) {
        if (block === undefined) continue;
        indexes.push(some[i]!.index);
        values += block.readUInt16BE(0);
      }
    }
    for (const { digest } of matching) {
      if (digest === undefined || digests.has(digest.toString("latin1"))) continue;
      digests.set(digest.toString("latin1"), digest);
      if ((await store.sharedDisclosure(digest)) === undefined) continue;
      shared.push(digest);
      values += 1;
    }
    if (entries === 0 && end < scopeRange(before.scope, order).to) {
      // Nothing to keep: a crash looks at these again.
      this.#records.set(order, { ...before, scanned: end });
      return;
    }
    const record = {
      ...before,
      scanned: end,
      entries: before.entries + entries,
      values: before.values + values,
      ...(values === 0 ? {} : widened(before, indexes, shared)),
    };
    await store.erase({ indexes, digests: [...digests.values()], order, record });
    this.#records.set(order, record);
  }

  /** Stops after the batch under way. */
  async stop(): Promise<void> {
    this.#stopping = true;
    await this.#run;
  }
}

/** @returns what was deleted, with what a bundle adds to it; nothing when that is not known. */
function widened(
  { values, erased }: ErasureRecord,
  indexes: readonly number[],
  shared: readonly Buffer[],
): { erased?: Erased } {
  // What an earlier version has deleted, it did not write down.
  if (values > 0 && erased === undefined) return {};
  const [first, last] = [erased?.indexes?.[0] ?? indexes[0], indexes.at(-1) ?? erased?.indexes?.[1]];
  const known = erased?.digests ?? [];
  const digests = known === "many" ? known : [...new Set([...known, ...shared.map((each) => each.toString("hex"))])];
  return {
    erased: {
      ...(first === undefined || last === undefined ? {} : { indexes: [first, last] }),
      digests: digests.length > MOST_DIGESTS ? "many" : digests,
    },
  };
}
