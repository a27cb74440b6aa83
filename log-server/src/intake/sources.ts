import { LogServerError } from "../errors.ts";
import { HASH_BYTES } from "../formats/merkle.ts";
import { parseVerifierKey, type VerifierKey } from "../formats/note.ts";
import type { SourcePosition, SourceRecord } from "../store/store.ts";

/** c(0): the chain value of an epoch without entries (spec/submission.md, "Chain"). */
export const CHAIN_START: Buffer = Buffer.alloc(HASH_BYTES);
/** Bytes of a source's name, at most: it stands in the store's keys. */
export const MAX_SOURCE_NAME_BYTES = 255;

/** A source that the log knows. */
export interface Source {
  readonly name: string;
  /** The key in force. */
  readonly key: VerifierKey;
  /** The keys before, each good up to the entry `source.key` that ended it. */
  readonly former: readonly { readonly key: VerifierKey; readonly epoch: number; readonly seq: number }[];
  readonly retired: boolean;
  /** By an entry `source.registered`, and not by the configuration alone. */
  readonly registered: boolean;
}

/** @returns the key that a record or a configuration has checked. */
function parsed(vkey: string): VerifierKey {
  const key = parseVerifierKey(vkey);
  if (key === undefined) throw new Error(`the store has ${JSON.stringify(vkey)} as a verifier key`);
  return key;
}

function fromRecord({ name, vkey, former, retired, registered }: SourceRecord): Source {
  const keys = former.map((each) => ({ key: parsed(each.vkey), epoch: each.epoch, seq: each.seq }));
  return { name, key: parsed(vkey), former: keys, retired, registered };
}

/**
 * The sources that the log knows: those of its configuration, and what its own entries made of them. The records in
 * the store are what counts; a source that is in the configuration alone has none.
 */
export class Sources {
  readonly #sources = new Map<string, Source>();
  /** The name of the log itself: its entries do not come in by submission. */
  #own: string | undefined;

  /**
   * @param vkeys of the configuration
   * @param records of the store
   * @param positions where the log stands with each source
   * @throws LogServerError `bad_config` when a verifier key is malformed, two have the same name, or one is not a key
   * that its source has or had
   */
  constructor(
    vkeys: readonly string[],
    records: ReadonlyMap<string, SourceRecord> = new Map(),
    positions: ReadonlyMap<string, SourcePosition> = new Map(),
  ) {
    for (const record of records.values()) if (record.registered) this.apply(record);
    const names = new Set<string>();
    for (const [i, vkey] of vkeys.entries()) {
      const key = parseVerifierKey(vkey);
      if (key === undefined) throw new LogServerError("bad_config", `sources[${i}] is not a verifier key: ${vkey}`);
      const { name } = key;
      if (names.has(name)) {
        const message = `sources[${i}]: the name ${name} is registered twice; a source is named once, and changes its key by itself`;
        throw new LogServerError("bad_config", message);
      }
      names.add(name);
      const record = records.get(name);
      const known = record?.vkey ?? positions.get(name)?.vkey ?? vkey;
      // With another key than the one of its entries every later audit would fail (spec/proof.md, S3).
      if (known !== vkey && record?.former.some((each) => each.vkey === vkey) !== true) {
        const message = `sources: ${name} is registered with ${vkey}, and its entries in the log were submitted with ${known}: put that key back, or register the new key under a new name`;
        throw new LogServerError("bad_config", message);
      }
      if (record === undefined) this.#sources.set(name, { name, key, former: [], retired: false, registered: false });
      else this.apply(record);
    }
  }

  /** @returns the source, retired or not. */
  get(name: string): Source | undefined {
    return this.#sources.get(name);
  }

  /** @returns all of them, sorted by name as bytes are. */
  list(): Source[] {
    return [...this.#sources.values()].sort((a, b) => Buffer.compare(Buffer.from(a.name), Buffer.from(b.name)));
  }

  /** Takes over what an entry has made of a source, once that is durable. */
  apply(record: SourceRecord): void {
    this.#sources.set(record.name, fromRecord(record));
  }

  /**
   * Makes the log itself one of its sources. Nobody submits in its name.
   * @throws LogServerError `bad_config` when somebody else has the name
   */
  addOwn(key: VerifierKey): void {
    if (this.#sources.has(key.name)) {
      throw new LogServerError("bad_config", `sources: ${key.name} is the log itself; take the line out`);
    }
    this.#own = key.name;
    this.#sources.set(key.name, { name: key.name, key, former: [], retired: false, registered: false });
  }

  /** @returns whether this is the log itself. */
  isOwn(name: string): boolean {
    return name === this.#own;
  }
}

/** @returns the record that says the same of a source, for the store. */
export function recordOf({ name, key, former, retired, registered }: Source): SourceRecord {
  const keys = former.map((each) => ({ vkey: each.key.vkey, epoch: each.epoch, seq: each.seq }));
  return { name, vkey: key.vkey, former: keys, retired, registered };
}

/** @returns where the log stands with a source that may never have submitted. */
export function positionOf(
  positions: ReadonlyMap<string, SourcePosition>,
  source: string,
  vkey: string,
): SourcePosition {
  return positions.get(source) ?? { epoch: 0, next: 0, chain: CHAIN_START, vkey };
}
