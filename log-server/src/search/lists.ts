import type { IndexDatabase } from "../store/index-folder.ts";
import { numbered, numberOf, openRecord } from "./postings.ts";

const MOST_NUMBER = 2 ** 48 - 1;
/** Records read ahead where one after the other is wanted. */
const MOST_AHEAD = 32;
const AHEAD_BYTES = 64 * 1024;

export interface NumberedRecord {
  readonly number: number;
  readonly payload: Buffer;
}

type Rows = ReturnType<IndexDatabase["iterator"]>;

/** The records of one prefix, read from the greatest number down. */
export class RecordList {
  readonly #db: IndexDatabase;
  readonly #prefix: Buffer;
  readonly #read: (records: number) => void;
  #rows: Rows | undefined;
  #ahead: [Buffer, Buffer][] = [];
  #steps = 1;
  #ended = false;

  /** @param read is told of the records that were read */
  constructor(db: IndexDatabase, prefix: Buffer, read: (records: number) => void) {
    this.#db = db;
    this.#prefix = prefix;
    this.#read = read;
  }

  /**
   * @param number never above the one of the call before
   * @returns the record with the greatest number up to this one
   * @throws Error when the record is damaged, or the database cannot be read
   */
  async atOrBelow(number: number): Promise<NumberedRecord | undefined> {
    for (;;) {
      const reached = this.#ahead.findIndex(([key]) => numberOf(key) <= number);
      if (reached >= 0) {
        this.#ahead = this.#ahead.slice(reached);
        return this.#open(this.#ahead[0]!);
      }
      const last = this.#ahead.at(-1);
      this.#ahead = [];
      if (this.#ended) return undefined;
      await this.#more(number, last === undefined ? undefined : numberOf(last[0]));
    }
  }

  #open([key, value]: [Buffer, Buffer]): NumberedRecord {
    const payload = openRecord(key, value);
    if (payload === undefined) throw new Error(`its record ${key.toString("hex")} is damaged`);
    return { number: numberOf(key), payload };
  }

  async #more(number: number, last: number | undefined): Promise<void> {
    if (this.#rows === undefined) {
      const gte = numbered(this.#prefix, 0);
      const lte = numbered(this.#prefix, Math.min(number, MOST_NUMBER));
      this.#rows = this.#db.iterator({ gte, lte, reverse: true, highWaterMarkBytes: AHEAD_BYTES });
    } else if (last === undefined || number < last - 1) {
      this.#rows.seek(numbered(this.#prefix, number));
      this.#steps = 1;
    }
    this.#ahead = (await this.#rows.nextv(this.#steps)) as [Buffer, Buffer][];
    this.#ended = this.#ahead.length === 0;
    this.#steps = Math.min(MOST_AHEAD, this.#steps * 2);
    this.#read(this.#ahead.length + 1);
  }

  async close(): Promise<void> {
    await this.#rows?.close();
  }
}
