import { Level } from "level";
import { LogServerError, reason } from "../errors.ts";
import { EMPTY_ROOT, HASH_BYTES } from "../formats/merkle.ts";
import { TILE_WIDTH, type TileLevel } from "../formats/tile.ts";
import {
  acceptedKey,
  CHECKPOINT_KEY,
  disclosuresKey,
  ERASED_PREFIX,
  ERASURE_PREFIX,
  erasedKey,
  erasureKey,
  HEAD_KEY,
  LAYOUT,
  META_KEY,
  POSITION_PREFIX,
  positionKey,
  readU64,
  runKey,
  SOURCE_PREFIX,
  sharedKey,
  sourceKey,
  within,
  writeU64,
} from "./level-keys.ts";
import type {
  AcceptedRange,
  Append,
  Erase,
  Erased,
  ErasureRecord,
  RecordedCheckpoint,
  SourcePosition,
  SourceRecord,
  Store,
  TreeHead,
} from "./store.ts";

type Database = Level<Buffer, Buffer> & {
  /** What `level` is in Node has it (classic-level); its types are those of every platform. */
  compactRange(start: Buffer, end: Buffer): Promise<void>;
};

// Memory that LevelDB gathers writes in before it sorts them into files; it takes up to twice that, and a turn of the
// sequencer can have 8 MiB. With twice as much it would hold 32 MiB more, and write a seventh less.
const WRITE_BUFFER_BYTES = 16 * 2 ** 20;
// What is read is read once, by those that follow the tree, or kept by them: a larger cache would only be filled.
const CACHE_BYTES = 8 * 2 ** 20;
// One read of a tile in one step: a bundle has at most 16 MiB.
const READ_BYTES = 2 ** 24;
const MAX_SEQ = Number.MAX_SAFE_INTEGER;

/** Position in the log and number of entries: `u64 index || u64 count`. */
function encodeAccepted({ index, count }: AcceptedRange): Buffer {
  const value = Buffer.alloc(16);
  writeU64(value, count, writeU64(value, index, 0));
  return value;
}

/** `u64 epoch || u64 next || chain (32 bytes) || vkey`. */
function encodePosition({ epoch, next, chain, vkey }: SourcePosition): Buffer {
  const numbers = Buffer.alloc(16);
  writeU64(numbers, next, writeU64(numbers, epoch, 0));
  return Buffer.concat([numbers, chain, Buffer.from(vkey)]);
}

function decodePosition(value: Buffer): SourcePosition {
  return {
    epoch: readU64(value, 0),
    next: readU64(value, 8),
    chain: Buffer.from(value.subarray(16, 16 + HASH_BYTES)),
    vkey: value.toString("utf8", 16 + HASH_BYTES),
  };
}

/** `u64 size || root (32 bytes)`. */
function encodeHead({ size, root }: TreeHead): Buffer {
  const value = Buffer.alloc(8 + HASH_BYTES);
  root.copy(value, writeU64(value, size, 0));
  return value;
}

/** @returns the number of entries that a run has, each behind its u16 length; of a damaged one, of those that it names */
function countEntries(run: Buffer): number {
  let count = 0;
  for (let offset = 0; offset + 2 <= run.length; offset += 2 + run.readUInt16BE(offset)) count += 1;
  return count;
}

/** The store in LevelDB. */
class LevelStore implements Store {
  readonly #db: Database;
  /** Whether a shared disclosure was ever erased: only then has an append to look. */
  #anyErased: boolean;
  /** Writes one after the other: what one reads before it writes, the other must not change. */
  #writing: Promise<unknown> = Promise.resolve();
  /** The first write that failed. */
  #failed: unknown;
  readonly #reading = new Set<Promise<unknown>>();

  constructor(db: Database, anyErased: boolean) {
    this.#db = db;
    this.#anyErased = anyErased;
  }

  /** Runs a read, and lets `purge` know of it: LevelDB keeps what an iterator could still see. */
  async #read<T>(read: () => Promise<T>): Promise<T> {
    const result = read();
    this.#reading.add(result);
    try {
      return await result;
    } finally {
      this.#reading.delete(result);
    }
  }

  /**
   * Runs a write behind those before it. None follows one that failed: LevelDB may have left half a record in its log,
   * and recovery passes over what is behind such a thing, synced or not.
   */
  #exclusively<T>(write: () => Promise<T>): Promise<T> {
    const result = this.#writing.then(async () => {
      if (this.#failed !== undefined) {
        const message = `an earlier write failed: ${reason(this.#failed)}; what is stored is known when it is opened again`;
        throw new Error(message, { cause: this.#failed });
      }
      try {
        return await write();
      } catch (error) {
        this.#failed = error;
        throw error;
      }
    });
    // The next one waits for this one, whatever comes of it.
    this.#writing = result.catch(() => undefined);
    return result;
  }

  async head(): Promise<TreeHead> {
    const value = await this.#db.get(HEAD_KEY);
    if (value === undefined) return { size: 0, root: EMPTY_ROOT };
    return { size: readU64(value, 0), root: Buffer.from(value.subarray(8)) };
  }

  async tile(level: TileLevel, number: number): Promise<Buffer> {
    const start = number * TILE_WIDTH;
    // Most tiles are one run, and to get it costs less than half of what an iterator does. One of hashes is small, and
    // nearly always in memory: the way to a thread and back, past the writes, would take many times as long.
    const key = runKey(level, start);
    const run = level === "entries" ? await this.#read(() => this.#db.get(key)) : this.#db.getSync(key);
    if (run === undefined) return Buffer.alloc(0);
    const count = level === "entries" ? countEntries(run) : run.length / HASH_BYTES;
    if (count >= TILE_WIDTH) return run;
    const range = { gt: key, lt: runKey(level, start + TILE_WIDTH), highWaterMarkBytes: READ_BYTES };
    const rest = await this.#read(() => this.#db.values(range).all());
    return rest.length === 0 ? run : Buffer.concat([run, ...rest]);
  }

  async disclosures(index: number): Promise<Buffer | undefined> {
    return this.#read(() => this.#db.get(disclosuresKey(index)));
  }

  async sharedDisclosure(digest: Buffer): Promise<Buffer | undefined> {
    return this.#read(() => this.#db.get(sharedKey(digest)));
  }

  async positions(): Promise<Map<string, SourcePosition>> {
    const rows = await this.#read(() => this.#db.iterator(within(POSITION_PREFIX)).all());
    return new Map(rows.map(([key, value]) => [key.toString("utf8", 1), decodePosition(value)]));
  }

  async accepted(source: string, epoch: number, seq: number, end: number): Promise<AcceptedRange[]> {
    const lowest = acceptedKey(source, epoch, 0);
    // The range that `seq` stands in begins at or before it.
    const upTo = { gte: lowest, lte: acceptedKey(source, epoch, seq), reverse: true, limit: 1 };
    const [before] = await this.#read(() => this.#db.keys(upTo).all());
    const highest = acceptedKey(source, epoch, Math.min(end, MAX_SEQ));
    const rows = await this.#read(() => this.#db.iterator({ gte: before ?? lowest, lt: highest }).all());
    return rows
      .map(([key, value]) => ({
        source,
        epoch,
        seq: readU64(key, key.length - 8),
        index: readU64(value, 0),
        count: readU64(value, 8),
      }))
      .filter((range) => range.seq + range.count > seq);
  }

  async checkpoint(): Promise<RecordedCheckpoint | undefined> {
    const value = await this.#db.get(CHECKPOINT_KEY);
    return value === undefined ? undefined : { time: readU64(value, 0), note: value.toString("utf8", 8) };
  }

  async sources(): Promise<Map<string, SourceRecord>> {
    const values = await this.#read(() => this.#db.values(within(SOURCE_PREFIX)).all());
    const records = values.map((value) => JSON.parse(value.toString("utf8")) as SourceRecord);
    return new Map(records.map((record) => [record.name, record]));
  }

  async erasures(): Promise<Map<number, ErasureRecord>> {
    const rows = await this.#read(() => this.#db.iterator(within(ERASURE_PREFIX)).all());
    return new Map(rows.map(([key, value]) => [readU64(key, 1), JSON.parse(value.toString("utf8")) as ErasureRecord]));
  }

  append(append: Append): Promise<void> {
    return this.#exclusively(() => this.#append(append));
  }

  async #append({ runs, disclosures, shared, positions, accepted, head, sources, erasures }: Append): Promise<void> {
    const batch = this.#db.batch();
    for (const run of runs) batch.put(runKey(run.level, run.first), run.bytes);
    for (const { index, block } of disclosures) batch.put(disclosuresKey(index), block);
    const marks = this.#anyErased ? await this.#db.getMany(shared.map(({ digest }) => erasedKey(digest))) : [];
    for (const [i, { digest, disclosure }] of shared.entries()) {
      if (marks[i] === undefined) batch.put(sharedKey(digest), disclosure);
    }
    for (const [source, position] of positions) batch.put(positionKey(source), encodePosition(position));
    for (const range of accepted) batch.put(acceptedKey(range.source, range.epoch, range.seq), encodeAccepted(range));
    for (const record of sources ?? []) batch.put(sourceKey(record.name), Buffer.from(JSON.stringify(record)));
    for (const [order, record] of erasures ?? []) batch.put(erasureKey(order), Buffer.from(JSON.stringify(record)));
    batch.put(HEAD_KEY, encodeHead(head));
    await batch.write({ sync: true });
  }

  erase({ indexes, digests, order, record }: Erase): Promise<void> {
    return this.#exclusively(async () => {
      const batch = this.#db.batch();
      for (const index of indexes) batch.del(disclosuresKey(index));
      for (const digest of digests) batch.del(sharedKey(digest)).put(erasedKey(digest), Buffer.alloc(0));
      batch.put(erasureKey(order), Buffer.from(JSON.stringify(record)));
      await batch.write({ sync: true });
      if (digests.length > 0) this.#anyErased = true;
    });
  }

  /**
   * LevelDB removes a deleted value's bytes when it merges the deletion into the file that has them; when both went
   * from memory into one file, it merges nothing until another file overlaps. So the memory is written out, then a
   * deletion is written at both ends of each range, whose file overlaps with all others that have a part of it, and
   * merged down through every level. What an iterator could still see is kept: those that are open are waited for,
   * before and behind.
   */
  async purge(erased?: Erased): Promise<void> {
    const ranges = rangesOf(erased);
    const compact = async (): Promise<void> => {
      for (const { start, end } of ranges) await this.#db.compactRange(start, end);
    };
    await Promise.allSettled(this.#reading);
    await compact();
    const deletions = ranges.flatMap(({ start, end }) => [start, end]).map((key) => ({ type: "del" as const, key }));
    const overlap = (): Promise<void> => this.#exclusively(() => this.#db.batch(deletions, { sync: true }));
    await overlap();
    await compact();
    await Promise.allSettled(this.#reading);
    // Files that a reader held are removed with the next one that is written.
    await overlap();
    await compact();
  }

  async recordCheckpoint({ note, time }: RecordedCheckpoint): Promise<void> {
    const stamp = Buffer.alloc(8);
    writeU64(stamp, time, 0);
    const value = Buffer.concat([stamp, Buffer.from(note)]);
    const put = { type: "put" as const, key: CHECKPOINT_KEY, value };
    await this.#exclusively(() => this.#db.batch([put], { sync: true }));
  }

  async close(): Promise<void> {
    await this.#writing;
    await this.#db.close();
  }
}

/** @returns where disclosures stand that were erased; at both ends of a range nothing is that may be read. */
function rangesOf(erased: Erased | undefined): { start: Buffer; end: Buffer }[] {
  // Keys of entries and digests are longer than one byte, and shorter than 65.
  const all = ({ gte }: { gte: Buffer }) => ({ start: gte, end: Buffer.concat([gte, Buffer.alloc(64, 0xff)]) });
  const behind = (key: Buffer): Buffer => Buffer.concat([key, Buffer.alloc(1)]);
  const [own, shared] = [disclosuresKey(0).subarray(0, 1), sharedKey(Buffer.alloc(0))].map(within);
  if (erased === undefined) return [all(own!), all(shared!)];
  const { indexes, digests } = erased;
  const ranges: { start: Buffer; end: Buffer }[] = [];
  if (indexes !== undefined)
    ranges.push({ start: disclosuresKey(indexes[0]), end: behind(disclosuresKey(indexes[1])) });
  if (digests === "many") return [...ranges, all(shared!)];
  const keys = digests.map((digest) => sharedKey(Buffer.from(digest, "hex")));
  return [...ranges, ...keys.map((key) => ({ start: key, end: behind(key) }))];
}

/** What LevelDB says when a file that it names is not there, or what it names is no file's name any more. */
const A_FILE_IS_MISSING =
  /No such file or directory|Not a directory|Is a directory|File name too long|Invalid argument/;

function openError(path: string, error: unknown): LogServerError {
  const { code: own, cause } = error as { code?: string; cause?: { code?: string } };
  const code = cause?.code ?? own;
  if (code === "LEVEL_LOCKED") {
    const message = `the store ${path} is open in another process: stop that one, two logs must not share a store`;
    return new LogServerError("store_locked", message, {}, { cause: error });
  }
  // To open it LevelDB writes. A disk that is full says nothing of what is stored: an older copy would be a loss.
  if (code === "LEVEL_IO_ERROR" && !A_FILE_IS_MISSING.test(reason(error))) {
    const message = `the store ${path} cannot be opened: ${reason(error)}; free or replace the disk, and start again`;
    return new LogServerError("write_failed", message, {}, { cause: error });
  }
  const message = `the store ${path} cannot be opened: ${reason(error)}; restore a copy that is not older than the guard`;
  return new LogServerError("store_corrupt", message, {}, { cause: error });
}

/**
 * Opens the store of a log.
 * @param path the store's directory
 * @param create whether to make a new store where there is none
 * @returns undefined when there is no store and none was to be made
 * @throws LogServerError `store_locked`, `store_version`, `store_corrupt`, `write_failed`
 */
export async function openLevelStore(path: string, origin: string, create: boolean): Promise<Store | undefined> {
  const options = { keyEncoding: "buffer", valueEncoding: "buffer" } as const;
  const db = new Level<Buffer, Buffer>(path, options) as Database;
  try {
    await db.open({ createIfMissing: create, writeBufferSize: WRITE_BUFFER_BYTES, cacheSize: CACHE_BYTES });
  } catch (error) {
    if (!create && /does not exist/.test(reason(error))) return undefined;
    throw openError(path, error);
  }
  let anyErased: boolean;
  try {
    const meta = Buffer.from(JSON.stringify({ layout: LAYOUT, origin }));
    const found = await db.get(META_KEY);
    if (found === undefined) {
      const [key] = await db.keys({ limit: 1 }).all();
      if (key !== undefined) throw versionError(path, "holds something that is not a log's store");
      await db.batch([{ type: "put", key: META_KEY, value: meta }], { sync: true });
    } else if (!found.equals(meta)) {
      throw versionError(path, `is ${found.toString("utf8")}, and this program needs ${meta.toString("utf8")}`);
    }
    anyErased = (await db.keys({ ...within(ERASED_PREFIX), limit: 1 }).all()).length > 0;
  } catch (error) {
    await db.close();
    throw error instanceof LogServerError ? error : openError(path, error);
  }
  return new LevelStore(db, anyErased);
}

function versionError(path: string, what: string): LogServerError {
  const advice = "use the version and the origin that it was written with, or another directory for a new log";
  return new LogServerError("store_version", `the store ${path} ${what}: ${advice}`);
}
