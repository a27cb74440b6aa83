import { EMPTY_ROOT } from "../formats/merkle.ts";
import { TILE_WIDTH, type TileLevel } from "../formats/tile.ts";
import type {
  AcceptedRange,
  Append,
  Erase,
  ErasureRecord,
  RecordedCheckpoint,
  SourcePosition,
  SourceRecord,
  Store,
  TreeHead,
} from "./store.ts";

/** A store in memory, for tests and for trying things out: durable until the process ends. */
export class MemoryStore implements Store {
  #head: TreeHead = { size: 0, root: EMPTY_ROOT };
  readonly #tiles = new Map<string, Buffer[]>();
  readonly #disclosures = new Map<number, Buffer>();
  readonly #shared = new Map<string, Buffer>();
  readonly #positions = new Map<string, SourcePosition>();
  readonly #accepted: AcceptedRange[] = [];
  readonly #sources = new Map<string, SourceRecord>();
  readonly #erasures = new Map<number, ErasureRecord>();
  readonly #erased = new Set<string>();
  #checkpoint: RecordedCheckpoint | undefined;
  #closed = false;

  #open(): void {
    if (this.#closed) throw new Error("the store is closed");
  }

  async head(): Promise<TreeHead> {
    this.#open();
    return this.#head;
  }

  async tile(level: TileLevel, number: number): Promise<Buffer> {
    this.#open();
    return Buffer.concat(this.#tiles.get(`${level}/${number}`) ?? []);
  }

  async disclosures(index: number): Promise<Buffer | undefined> {
    this.#open();
    return this.#disclosures.get(index);
  }

  async sharedDisclosure(digest: Buffer): Promise<Buffer | undefined> {
    this.#open();
    return this.#shared.get(digest.toString("hex"));
  }

  async positions(): Promise<Map<string, SourcePosition>> {
    this.#open();
    return new Map(this.#positions);
  }

  async accepted(source: string, epoch: number, seq: number, end: number): Promise<AcceptedRange[]> {
    this.#open();
    return this.#accepted
      .filter((range) => range.source === source && range.epoch === epoch)
      .filter((range) => range.seq < end && range.seq + range.count > seq)
      .sort((a, b) => a.seq - b.seq);
  }

  async checkpoint(): Promise<RecordedCheckpoint | undefined> {
    this.#open();
    return this.#checkpoint;
  }

  async append(append: Append): Promise<void> {
    this.#open();
    for (const run of append.runs) {
      const key = `${run.level}/${Math.floor(run.first / TILE_WIDTH)}`;
      const tile = this.#tiles.get(key) ?? [];
      tile.push(Buffer.from(run.bytes));
      this.#tiles.set(key, tile);
    }
    for (const { index, block } of append.disclosures) this.#disclosures.set(index, Buffer.from(block));
    for (const { digest, disclosure } of append.shared) {
      const key = digest.toString("hex");
      if (!this.#erased.has(key)) this.#shared.set(key, Buffer.from(disclosure));
    }
    for (const [source, position] of append.positions) this.#positions.set(source, position);
    this.#accepted.push(...append.accepted);
    for (const record of append.sources ?? []) this.#sources.set(record.name, record);
    for (const [index, record] of append.erasures ?? []) this.#erasures.set(index, record);
    this.#head = append.head;
  }

  async sources(): Promise<Map<string, SourceRecord>> {
    this.#open();
    return new Map(this.#sources);
  }

  async erasures(): Promise<Map<number, ErasureRecord>> {
    this.#open();
    return new Map([...this.#erasures].sort(([a], [b]) => a - b));
  }

  async erase({ indexes, digests, order, record }: Erase): Promise<void> {
    this.#open();
    for (const index of indexes) this.#disclosures.delete(index);
    for (const digest of digests) {
      this.#shared.delete(digest.toString("hex"));
      this.#erased.add(digest.toString("hex"));
    }
    this.#erasures.set(order, record);
  }

  async purge(): Promise<void> {
    this.#open();
  }

  async recordCheckpoint(checkpoint: RecordedCheckpoint): Promise<void> {
    this.#open();
    this.#checkpoint = checkpoint;
  }

  async close(): Promise<void> {
    this.#closed = true;
  }
}
