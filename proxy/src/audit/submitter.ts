/** Brings durable entries to the log, in sequence, one request at a time (spec/submission.md, submission). */
import { hash } from "node:crypto";
import { ProxyError } from "../errors.ts";
import type { Acknowledged, AcknowledgedRange } from "./acknowledged.ts";
import { leafHash } from "./chain.ts";
import type { Hooks } from "./crash-points.ts";
import { type Answer, describe, type LogClient } from "./log-client.ts";
import { formEntryLength } from "./parse.ts";
import { Pause } from "./pause.ts";
import { Payload } from "./payload.ts";
import type { SpoolReader } from "./reader.ts";
import { RecentIndexes } from "./recent-indexes.ts";
import type { SourceKeys } from "./source-keys.ts";
import { checkStanding, type SpoolStanding, standingOf } from "./standing.ts";
import { comparePlaces, KIND_KEY, type Place } from "./state.ts";

const MAX_ENTRIES = 4096;
const MAX_PAYLOAD_BYTES = 1024 * 1024;
/** This much goes at once; less waits a moment for company. */
const ENOUGH_BYTES = 512 * 1024;
const FIRST_BACKOFF_MS = 200;
const MAX_BACKOFF_MS = 30_000;
const MAX_RETRY_AFTER_MS = 300_000;
/** So many failures, one after the other, are told: a second or two, which a log may take to start anew. */
const TOLD_ATTEMPTS = 4;
export const SOURCES_TIMEOUT_MS = 5_000;

export interface SubmitterOptions {
  readonly client: LogClient;
  readonly origin: string;
  readonly keys: SourceKeys;
  readonly reader: SpoolReader;
  readonly acknowledged: Place;
  /** Where what the log acknowledged is recorded. */
  readonly record: Acknowledged | undefined;
  /** What the log's standing has still to be held against, when it did not answer at start. */
  readonly unchecked: SpoolStanding | undefined;
  readonly lingerMs: number;
  readonly hooks: Hooks;
  /** The log has everything up to `place`. */
  readonly onAcknowledged: (place: Place, entries: number) => void;
  /** Everything in front of this address is dealt with. */
  readonly onThrough: (address: number) => void;
  /** It did not take what it was sent several times running, and why; undefined: it does again. */
  readonly onTrouble: (why: string | undefined) => void;
  /** It is over: the log refuses, or the spool cannot be read. Nothing was skipped. */
  readonly onError: (error: ProxyError) => void;
}

export interface SubmitterStats {
  readonly submissions: number;
  readonly retries: number;
  /** The log's index of the last entry it acknowledged to this run, undefined before the first. */
  readonly lastIndex: number | undefined;
  /** Why the last request had to be repeated; undefined once one was answered again. */
  readonly trouble: string | undefined;
}

export class Submitter {
  readonly #o: SubmitterOptions;
  readonly #pause = new Pause();
  readonly #indexes = new RecentIndexes();
  #acknowledged: Place;
  #draining = false;
  #ended = false;
  #running: Promise<void> | undefined;
  #submissions = 0;
  #retries = 0;
  #lastIndex: number | undefined;
  #trouble: string | undefined;
  #told = false;

  constructor(options: SubmitterOptions) {
    this.#o = options;
    this.#acknowledged = options.acknowledged;
  }

  start(): void {
    this.#running = this.#run().catch((error: unknown) => {
      const known = error instanceof ProxyError;
      this.#o.onError(
        known ? error : new ProxyError("spool_failed", `the spool could not be read: ${error}`, { cause: error }),
      );
    });
  }

  /** To be called when more is durable. */
  wake(): void {
    if (this.#o.reader.behind >= ENOUGH_BYTES) this.#pause.hurry();
    else this.#pause.nudge();
  }

  /** Submits what is durable now, for so long; then ends the connection. */
  async stop(timeoutMs: number): Promise<void> {
    this.#draining = true;
    // One attempt at once, even if the last one failed a moment ago.
    this.#pause.interrupt();
    const timer = setTimeout(() => this.#end(), timeoutMs);
    await this.#running;
    clearTimeout(timer);
    this.#end();
    await this.#o.reader.close();
  }

  get stats(): SubmitterStats {
    return {
      submissions: this.#submissions,
      retries: this.#retries,
      lastIndex: this.#lastIndex,
      trouble: this.#trouble,
    };
  }

  /** @returns the log's index of an entry that this run submitted, as far as it is remembered */
  indexOf(epoch: number, seq: number): number | undefined {
    return this.#indexes.find(epoch, seq);
  }

  #end(): void {
    this.#ended = true;
    this.#pause.interrupt();
    this.#o.client.close();
  }

  async #run(): Promise<void> {
    const { reader, onThrough, unchecked } = this.#o;
    if (unchecked !== undefined) await this.#check(unchecked);
    const payload = new Payload();
    while (!this.#ended) {
      if (!this.#draining && reader.peek() === undefined && reader.behind < ENOUGH_BYTES) {
        if (reader.behind === 0) await this.#pause.idle();
        await this.#pause.linger(this.#o.lingerMs);
      }
      const through = await this.#gather(payload);
      if (payload.count > 0 && !(await this.#send(payload, 0, payload.count))) return;
      // What was not taken now stands in the way of saying more than that.
      onThrough(reader.peek() === undefined ? reader.address : through);
      if (this.#draining && reader.peek() === undefined && reader.behind === 0) return;
    }
  }

  /** Once the log answers, what open() would have found out. */
  async #check(spool: SpoolStanding): Promise<void> {
    const { client, keys } = this.#o;
    for (let attempt = 0; !this.#ended; attempt++) {
      const answer = await client.sources(SOURCES_TIMEOUT_MS);
      const standing = standingOf(answer, keys.name, keys.vkeys, this.#o.origin);
      if (standing !== undefined) {
        this.#well();
        return checkStanding(standing, spool);
      }
      await this.#backOff(answer, attempt);
    }
  }

  /** @returns the address through which everything is dealt with once the payload is acknowledged */
  async #gather(payload: Payload): Promise<number> {
    const { reader } = this.#o;
    let through = 0;
    payload.clear();
    for (;;) {
      const entry = reader.peek();
      if (entry === undefined) {
        if (await reader.fill()) continue;
        return through;
      }
      const { epoch, seq, form, kindCode } = entry.record;
      // Acknowledged before the last crash.
      const known = comparePlaces({ epoch, next: seq + 1 }, this.#acknowledged) <= 0;
      if (!known && payload.count > 0) {
        if (epoch !== payload.epoch || payload.count === MAX_ENTRIES) return through;
        if (payload.length + form.length > MAX_PAYLOAD_BYTES) return through;
      }
      if (!known) payload.add(epoch, seq, form);
      else this.#o.record?.pass(epoch, leafHash(form, 2, 2 + formEntryLength(form)));
      through = entry.through;
      reader.skip();
      // Signed by the key that it ends, so it is the last of its batch; what follows waits for the answer to it.
      if (!known && kindCode === KIND_KEY) return through;
    }
  }

  /**
   * Submits the entries `from` to `to` of the payload, as often as it takes.
   * @returns false if the submitter was ended first
   * @throws ProxyError when the log refuses them for good
   */
  async #send(payload: Payload, from: number, to: number): Promise<boolean> {
    const { client, keys, hooks } = this.#o;
    const first = payload.first + from;
    const count = to - from;
    const key = keys.keyFor({ epoch: payload.epoch, next: first + count });
    const bytes = payload.slice(from, to);
    const note = Buffer.from(
      key.note(
        `vitrine/submission/v1\n${this.#o.origin}\n${key.name}\n${payload.epoch}\n${first}\n${count}\n${hash("sha256", bytes, "base64")}\n`,
      ),
    );
    const head = Buffer.alloc(4);
    head.writeUInt32BE(note.length);
    for (let attempt = 0; !this.#ended; attempt++) {
      // CRASH: the log may have got the entries or not; they are submitted again, and it knows them again.
      hooks.at?.("submit.before");
      const answer = await client.submit([head, note, bytes]);
      this.#submissions++;
      const ranges = acceptedRanges(answer, key.name, payload.epoch, first, count);
      if (ranges !== undefined) {
        // CRASH: the log has them and the spool does not know it: as above.
        hooks.at?.("submit.acknowledged");
        await this.#o.record?.add(payload, from, ranges, key.vkey);
        // CRASH: they are recorded, and the spool does not know that the log has them: they are submitted again, and
        // not recorded again.
        hooks.at?.("record.durable");
        this.#well();
        const last = ranges.at(-1)!;
        this.#lastIndex = last.index + last.count - 1;
        this.#indexes.add(payload.epoch, ranges);
        this.#acknowledged = { epoch: payload.epoch, next: first + count };
        this.#o.onAcknowledged(this.#acknowledged, count);
        return true;
      }
      if (answer.status === 413 && count > 1) {
        const middle = from + Math.floor(count / 2);
        return (await this.#send(payload, from, middle)) && (await this.#send(payload, middle, to));
      }
      if ([400, 403, 409, 413].includes(answer.status)) throw this.#refusal(answer, payload.epoch, first, count);
      await this.#backOff(answer, attempt);
    }
    return false;
  }

  #refusal(answer: Answer, epoch: number, first: number, count: number): ProxyError {
    const body = ("body" in answer ? answer.body : undefined) as
      | { error?: { code?: unknown; expected?: { epoch?: unknown; seq?: unknown } } }
      | undefined;
    const expected = body?.error?.expected;
    const place = { epoch: expected?.epoch as number, next: expected?.seq as number };
    if (body?.error?.code === "sequence_gap" && comparePlaces(place, this.#acknowledged) < 0)
      return new ProxyError(
        "log_rolled_back",
        `the log expects epoch ${place.epoch}, sequence ${place.next}, but acknowledged everything up to epoch ${this.#acknowledged.epoch}, sequence ${this.#acknowledged.next}; find out what it lost`,
      );
    return new ProxyError(
      "log_refused",
      `the log refuses the ${count} entries of epoch ${epoch} from sequence ${first} on: ${describe(answer)}`,
    );
  }

  #well(): void {
    this.#trouble = undefined;
    if (this.#told) this.#o.onTrouble(undefined);
    this.#told = false;
  }

  async #backOff(answer: Answer, attempt: number): Promise<void> {
    this.#retries++;
    this.#trouble = describe(answer);
    // At the end the caller says what was left.
    if (attempt + 1 >= TOLD_ATTEMPTS && !this.#told && !this.#draining) {
      this.#told = true;
      this.#o.onTrouble(this.#trouble);
    }
    const longest = Math.min(MAX_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** Math.min(attempt, 10));
    const asked = ("retryAfterMs" in answer ? answer.retryAfterMs : undefined) ?? 0;
    const ms = Math.max(longest * (0.5 + Math.random() / 2), Math.min(asked, MAX_RETRY_AFTER_MS));
    if (!this.#ended) await this.#pause.backOff(ms);
  }
}

/** Where these entries stand in the log, if the answer says that it has all of them. */
function acceptedRanges(
  answer: Answer,
  source: string,
  epoch: number,
  first: number,
  count: number,
): AcknowledgedRange[] | undefined {
  if ("reason" in answer || answer.status !== 200) return undefined;
  const body = answer.body as { source?: unknown; epoch?: unknown; next?: unknown; ranges?: unknown } | undefined;
  if (body?.source !== source || !Number.isSafeInteger(body.epoch) || !Number.isSafeInteger(body.next))
    return undefined;
  // Where the log stands now: behind these entries, or in a later epoch when they repeat an old one.
  const stands = { epoch: body.epoch as number, next: body.next as number };
  if (comparePlaces(stands, { epoch, next: first + count }) < 0 || !Array.isArray(body.ranges)) return undefined;
  let expected = first;
  const ranges: AcknowledgedRange[] = [];
  for (const range of body.ranges as ({ seq?: number; index?: number; count?: number } | null)[]) {
    const { seq, index, count: n } = range ?? {};
    if (seq !== expected || !Number.isSafeInteger(n) || n! < 1 || !Number.isSafeInteger(index! + n!) || index! < 0)
      return undefined;
    expected += n!;
    ranges.push({ seq: seq!, index: index!, count: n! });
  }
  return expected === first + count ? ranges : undefined;
}
