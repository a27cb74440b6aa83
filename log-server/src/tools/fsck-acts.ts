import { isDeepStrictEqual } from "node:util";
import type { EntryValue } from "../entries/entry.ts";
import { inScope, scopeRange } from "../erasure/scope.ts";
import { reason } from "../errors.ts";
import { parseNote } from "../formats/note.ts";
import type { ErasureRecord, ErasureScope, FormerKey, SourcePosition, SourceRecord, Store } from "../store/store.ts";
import type { Findings } from "./findings.ts";

/** What the entries say of an erasure. */
interface Ordered {
  readonly scope: ErasureScope;
  readonly by: string;
  done: { readonly entries: number; readonly values: number } | undefined;
}

/** @returns the old key in the text that a `source.key` proves (spec/entry.md). */
function oldKeyOf(proof: string): string {
  return parseNote(Buffer.from(proof))?.text.split("\n")[4] ?? "";
}

/**
 * Holds what the store says of the sources' keys, of who is one, and of what was erased, against the entries that made
 * it so: the log goes by the records alone.
 */
export class ActsCheck {
  readonly #findings: Findings;
  /** The name of the log as a source. */
  readonly #own: string;
  /** As the store has them. */
  #erasures: ReadonlyMap<number, ErasureRecord> = new Map();
  #records: ReadonlyMap<string, SourceRecord> = new Map();
  #positions: ReadonlyMap<string, SourcePosition> = new Map();
  /** As the entries so far make them. */
  readonly #ordered = new Map<number, Ordered>();
  readonly #sources = new Map<string, SourceRecord>();
  #incomplete = false;

  /** @param own the name of the log as a source */
  constructor(findings: Findings, own: string) {
    this.#findings = findings;
    this.#own = own;
  }

  /** Reads what the store says. */
  async open(store: Store): Promise<void> {
    try {
      this.#erasures = await store.erasures();
      this.#records = await store.sources();
      this.#positions = await store.positions();
    } catch (error) {
      this.#incomplete = true;
      this.#findings.add("unreadable", `what the store says of sources and erasures: ${reason(error)}`);
    }
  }

  /** Entries are missing here: what they have done is not known. */
  gap(): void {
    this.#incomplete = true;
  }

  /** Takes the next entry of a source, in the order of the log. */
  entry(index: number, entry: EntryValue): void {
    if (entry.kind === "source.key") this.#keyChanged(entry);
    if (entry.source !== this.#own) return;
    const { by } = entry as unknown as { by: string };
    if (entry.kind === "source.registered") {
      const { name, vkey } = entry.registered as SourceRecord;
      const former = this.#sources.get(name)?.former ?? [];
      this.#sources.set(name, { name, vkey, former, retired: false, registered: true });
    } else if (entry.kind === "source.retired") {
      const { name, vkey } = entry.retired as SourceRecord;
      this.#sources.set(name, { ...this.#source(name, vkey), retired: true });
    } else if (entry.kind === "erasure.ordered") {
      this.#ordered.set(index, { scope: entry.scope as ErasureScope, by, done: undefined });
    } else if (entry.kind === "erasure.done") {
      const { ordered, entries, values } = entry as unknown as { ordered: number; entries: number; values: number };
      const order = this.#ordered.get(ordered);
      if (order !== undefined) order.done = { entries, values };
    }
  }

  #source(name: string, vkey: string): SourceRecord {
    return this.#sources.get(name) ?? { name, vkey, former: [], retired: false, registered: false };
  }

  #keyChanged({ source, epoch, seq, vkey, proof }: EntryValue): void {
    const old = oldKeyOf(proof as string);
    const before = this.#source(source, old);
    const former: FormerKey[] = [...before.former, { vkey: old, epoch, seq }];
    this.#sources.set(source, { ...before, vkey: vkey as string, former });
  }

  /** @returns the order of an erasure that is done, and should have taken what this entry discloses. */
  erasedBy(index: number, entry: EntryValue): number | undefined {
    for (const [order, { scope, done }] of this.#erasures) {
      const { from, to } = scopeRange(scope, order);
      if (done && from <= index && index < to && inScope(scope, entry)) return order;
    }
    return undefined;
  }

  finish(): void {
    if (this.#incomplete) return;
    for (const name of new Set([...this.#sources.keys(), ...this.#records.keys()])) {
      if (isDeepStrictEqual(this.#sources.get(name), this.#records.get(name))) continue;
      const [said, stored] = [this.#sources, this.#records].map((all) => JSON.stringify(all.get(name)) ?? "nothing");
      const message = `the log's entries make of the source ${name} ${said}, and the store says ${stored}`;
      this.#findings.add("source", message);
    }
    for (const [name, { vkey }] of this.#sources) {
      const position = this.#positions.get(name);
      if (position === undefined || position.vkey === vkey) continue;
      const message = `${name} has the key ${vkey} by the log's entries, and the position in the store is one of ${position.vkey}`;
      this.#findings.add("position", message);
    }
    for (const order of new Set([...this.#ordered.keys(), ...this.#erasures.keys()])) this.#compareErasure(order);
  }

  #compareErasure(order: number): void {
    const said = this.#ordered.get(order);
    const stored = this.#erasures.get(order);
    if (said === undefined || stored === undefined) {
      const what =
        said === undefined ? "is none in the log" : "is not known to the store, and would never be carried out";
      this.#findings.add("erasure", `the erasure ordered by entry ${order} ${what}`, order);
      return;
    }
    const { scope, by, done, entries, values } = stored;
    const counted = said.done === undefined || isDeepStrictEqual(said.done, { entries, values });
    const same = isDeepStrictEqual(said.scope, scope) && said.by === by && counted;
    if (same && done === (said.done !== undefined)) return;
    const what = same
      ? `is ${said.done === undefined ? "not done" : "done"} by the entries`
      : "is another one by the entries";
    this.#findings.add("erasure", `the erasure ordered by entry ${order} ${what}, and not in the store`, order);
  }
}
