/** The recorder: intents and entries of one epoch of one source, durable in the spool, sealed, and on to the log. */
import { ProxyError } from "../errors.ts";
import { Bounds } from "./bounds.ts";
import { Chain } from "./chain.ts";
import { formatTimestamp, nowMicros } from "./clock.ts";
import { GroupCommit, type Placed } from "./group-commit.ts";
import type { Durability, RecorderOptions, SealIntervals, SpoolState } from "./options.ts";
import { SpoolReader } from "./reader.ts";
import { disclosuresLength } from "./record.ts";
import { Sealer } from "./sealer.ts";
import { SEGMENT_HEAD } from "./segment.ts";
import { type Ground, prepare, spoolError } from "./start.ts";
import {
  KIND_CODES,
  KIND_REFUSED,
  KIND_SEAL,
  KIND_SESSION,
  KIND_STATEMENT,
  KIND_STOP,
  type Place,
  type SpoolHead,
} from "./state.ts";
import { Submitter, type SubmitterStats } from "./submitter.ts";

/** UTF-8 bytes that the members of an intent may have; the rest of an entry is for its outcome and the common members. */
export const MAX_INTENT_BYTES: number = 60 * 1024;
/** What an intent may have with its disclosures: a submission of 16 MiB is what every log takes (spec/submission.md). */
export const MAX_DISCLOSED_BYTES: number = 15 * 1024 * 1024;
/** What an intent is expected to grow by when it becomes an entry. */
const OUTCOME_BYTES = 1024;
const LINGER_MS = 20;
const SUBMIT_LINGER_MS = 50;
const DEFAULT_SEALS: SealIntervals = { everyEntries: 1000, everyMs: 10_000, idleMs: 60_000 };

/** An intended act whose outcome is not known yet. */
export interface Intent {
  /** For {@link Recorder.whenDurable}. Infinity for a lazy intent that was not written yet. */
  readonly position: number;
}

class OpenIntent implements Intent, Placed {
  readonly id: number;
  readonly kind: string;
  readonly members: string;
  readonly disclosures: readonly Uint8Array[];
  /** What it may need in the spool once more, as an entry. */
  readonly reserved: number;
  position = Number.POSITIVE_INFINITY;
  segment = Number.POSITIVE_INFINITY;

  constructor(id: number, kind: string, members: string, disclosures: readonly Uint8Array[]) {
    this.id = id;
    this.kind = kind;
    this.members = members;
    this.disclosures = disclosures;
    this.reserved = members.length + disclosuresLength(disclosures) + OUTCOME_BYTES;
  }
}

export interface RecorderStats {
  readonly state: SpoolState;
  /** Bytes in the spool that were not dealt with yet, with what open intents will need. */
  readonly bytes: number;
  readonly maxBytes: number;
  /** Of the oldest entry that the log has not acknowledged; 0 without one. */
  readonly oldestAgeMs: number;
  /** Entries of this epoch. */
  readonly entries: number;
  readonly seals: number;
  readonly openIntents: number;
  /** Entries that the log has not acknowledged, those of earlier epochs included. */
  readonly unsubmitted: number;
  readonly acknowledged: Place;
  readonly segments: number;
  /** Group commits, and the milliseconds they took together and at most. */
  readonly commits: number;
  readonly commitMs: number;
  readonly slowestCommitMs: number;
  readonly submitter: SubmitterStats;
}

export class Recorder {
  /** The source's name. */
  readonly source: string;
  readonly epoch: number;
  readonly #options: RecorderOptions;
  readonly #ground: Ground;
  readonly #commit: GroupCommit;
  readonly #bounds: Bounds;
  readonly #sealer: Sealer;
  readonly #submitter: Submitter;
  readonly #chain = new Chain();
  readonly #prefixes = new Map<string, string>();
  readonly #open = new Set<OpenIntent>();
  readonly #lazy = new Set<OpenIntent>();
  readonly #lazyMs: number;
  readonly #watch: NodeJS.Timeout;
  #lazyTimer: NodeJS.Timeout | undefined;
  #begun = false;
  #next = 0;
  #sessions = 0;
  #statements = 0;
  #refused = 0;
  #seals = 0;
  #nextId: number;
  #acknowledged: Place;
  #unsubmitted: number;
  #through: number;
  #reserved = 0;
  #pruning: Promise<void> | undefined;
  /** Why nothing goes on any more; with #broken, why nothing is written any more. */
  #failure: ProxyError | undefined;
  #broken = false;
  readonly #onBroken = new Set<() => void>();
  #stopping = false;
  /** `source.stop` was written. */
  #stopped = false;
  #commits = 0;
  #commitMs = 0;
  #slowestCommitMs = 0;

  /**
   * Recovers the spool, holds it against the log, and begins an epoch: when this resolves, its `source.start` and an
   * entry for each intent that a crash left without an outcome are durable.
   * @throws ProxyError `bad_key`, `bad_config`, `spool_locked`, `spool_version`, `spool_corrupt`, `spool_behind`,
   * `spool_failed`, `disk_full`, `log_rolled_back`, `log_refused`, `log_unreachable`
   */
  static async open(options: RecorderOptions): Promise<Recorder> {
    const ground = await prepare(options);
    const recorder = new Recorder(options, ground);
    await recorder.#begin();
    return recorder;
  }

  private constructor(options: RecorderOptions, ground: Ground) {
    const { key, head, segments, scan, client, origin, unchecked } = ground;
    const { spool, durability, seals = DEFAULT_SEALS, hooks = {}, lingerMs = SUBMIT_LINGER_MS } = options;
    const relaxed = isRelaxed(durability);
    this.#options = options;
    this.#ground = ground;
    this.source = key.name;
    this.epoch = head.epoch + 1;
    this.#nextId = head.nextId;
    this.#acknowledged = head.acknowledged;
    this.#unsubmitted = scan?.unacknowledgedEntries ?? 0;
    this.#bounds = new Bounds(spool.maxBytes, spool.maxAgeMs);
    // An intent waits for half a window at most to be written, and what is written half a window at most to be synced.
    this.#lazyMs = Math.max(1, Math.floor(durability.windowMs / 2));
    this.#commit = new GroupCommit(
      segments,
      () => this.#snapshot(),
      relaxed ? Math.min(LINGER_MS, this.#lazyMs) : LINGER_MS,
      (ms) => this.#durable(ms),
      (error) => this.#break(error),
    );
    this.#sealer = new Sealer(seals, () => this.#seal());
    const start = this.#backlog();
    this.#through = start.address;
    this.#submitter = new Submitter({
      client,
      origin,
      key,
      reader: new SpoolReader(segments, start),
      acknowledged: head.acknowledged,
      unchecked,
      lingerMs,
      hooks,
      onAcknowledged: (place, entries) => this.#acknowledge(place, entries),
      onThrough: (address) => this.#dealtWith(address),
      onError: (error) => this.#fail(error),
    });
    this.#watch = setInterval(() => this.#update(), 1000);
  }

  get state(): SpoolState {
    return this.#failure === undefined ? this.#bounds.state : "failed";
  }

  /**
   * Registers what is about to happen. It is in the write buffer of this turn; wait for its position before it happens.
   * @param kind the kind that the entry will have
   * @param members JSON text of the entry's members after the common six, without braces, such as `"session":"1.2"`
   * @param disclosures of the sealed values among them
   * @param lazy write it only if its outcome is not known within half the window of `relaxed` durability
   * @throws ProxyError `spool_full` in the state `closed`, the failure in `failed`, `shutting_down` after stop,
   * `statement_too_large` when the members have more than {@link MAX_INTENT_BYTES}, or with their disclosures more than
   * {@link MAX_DISCLOSED_BYTES}
   */
  intend(kind: string, members: string, disclosures: readonly Uint8Array[], lazy = false): Intent {
    if (this.#stopping) throw new ProxyError("shutting_down", "the proxy is being stopped");
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#bounds.state === "closed")
      throw new ProxyError("spool_full", "the spool is full: the log has been unreachable too long");
    if (members.length * 3 > MAX_INTENT_BYTES && Buffer.byteLength(members) > MAX_INTENT_BYTES)
      throw tooLarge(kind, "members", MAX_INTENT_BYTES);
    const intent = new OpenIntent(this.#nextId++, kind, members, disclosures);
    if (intent.reserved > MAX_DISCLOSED_BYTES) throw tooLarge(kind, "disclosures", MAX_DISCLOSED_BYTES);
    this.#open.add(intent);
    this.#reserved += intent.reserved;
    if (lazy) {
      this.#lazy.add(intent);
      this.#lazyTimer ??= setTimeout(() => this.#writeLazy(), this.#lazyMs);
    } else intent.position = this.#writeIntent(intent);
    if (this.#depth() >= this.#bounds.watch) this.#update();
    return intent;
  }

  /**
   * Calls back once everything up to `position` is durable: at once if it is, never if the spool failed (onState tells).
   * In the order of the positions.
   */
  whenDurable(position: number, then: () => void): void {
    this.#commit.whenDurable(position, then);
  }

  isDurable(position: number): boolean {
    return this.#commit.isDurable(position);
  }

  /**
   * The outcome of an intent is known: writes its entry. Does nothing once the spool cannot be written any more; if the
   * intent is durable, the next start records it as `unknown`.
   * @param members JSON text of the members that follow those of the intent
   * @param disclosures of the sealed values among these
   */
  complete(intent: Intent, members: string, disclosures: readonly Uint8Array[]): void {
    const known = intent as OpenIntent;
    if (!this.#close(known)) return;
    this.#entry(
      known.kind,
      `${known.members},${members}`,
      disclosures.length === 0 ? known.disclosures : [...known.disclosures, ...disclosures],
      known.position === Number.POSITIVE_INFINITY ? 0 : known.id,
    );
  }

  /** What was intended did not happen. */
  drop(intent: Intent): void {
    const known = intent as OpenIntent;
    if (!this.#close(known) || known.position === Number.POSITIVE_INFINITY) return;
    this.#commit.begin().drop(known.id);
    this.#commit.end();
  }

  /**
   * Writes an entry that had no intent, in every state but `failed`: what ends or refuses must always be said.
   * @returns its position, Infinity if the spool cannot be written any more
   */
  record(kind: string, members: string, disclosures: readonly Uint8Array[]): number {
    if (this.#stopping) throw new Error(`the entry ${kind} came after the recorder was stopped`);
    return this.#entry(kind, members, disclosures, 0);
  }

  /**
   * Ends the epoch: writes `source.stop`, waits until everything is durable, then for the log, up to `timeoutMs`. An
   * intent that is still open is recorded as `unknown` by the next start. The recorder is of no use afterwards.
   * @returns how many entries stay in the spool for the next run
   */
  async stop(reason: "shutdown", timeoutMs: number): Promise<{ unsubmitted: number }> {
    if (this.#stopping) throw new Error("the recorder was already stopped");
    this.#stopping = true;
    this.#sealer.stop();
    this.#seal(reason);
    await this.#settled();
    // CRASH: the epoch ended in order; what was not submitted is submitted by the next.
    this.#options.hooks?.at?.("stop.stopped");
    await this.#submitter.stop(timeoutMs);
    await this.#pruning;
    await this.#settled();
    // CRASH: as above; the mark of what was acknowledged is durable.
    this.#options.hooks?.at?.("stop.submitted");
    await this.#end();
    return { unsubmitted: this.#unsubmitted };
  }

  stats(): RecorderStats {
    return {
      state: this.state,
      bytes: this.#depth(),
      maxBytes: this.#options.spool.maxBytes,
      oldestAgeMs: this.#bounds.age(performance.now()),
      entries: this.#next,
      seals: this.#seals,
      openIntents: this.#open.size,
      unsubmitted: this.#unsubmitted,
      acknowledged: this.#acknowledged,
      segments: this.#ground.segments.count,
      commits: this.#commits,
      commitMs: this.#commitMs,
      slowestCommitMs: this.#slowestCommitMs,
      submitter: this.#submitter.stats,
    };
  }

  /** Writes the first entries of the epoch. */
  async #begin(): Promise<void> {
    const hooks = this.#options.hooks ?? {};
    try {
      // The first batch belongs to the state before the epoch.
      this.#commit.begin();
      this.#begun = true;
      this.#entry("source.start", this.#startMembers(), [], 0);
      await this.#settled();
      // CRASH: the epoch has begun; the intents are still open, and known to be of an earlier epoch.
      hooks.at?.("open.started");
      for (const { id, epoch, kind, members, disclosures } of this.#ground.scan?.intents ?? [])
        this.#entry(kind, `${members},"outcome":"unknown","recovered":{"epoch":${epoch}}`, disclosures, id);
      await this.#settled();
      // CRASH: all as after any other batch.
      hooks.at?.("open.recovered");
    } catch (error) {
      this.#break(error);
    }
    if (this.#failure !== undefined) {
      await this.#end();
      throw this.#failure;
    }
    this.#submitter.start();
    this.#update();
  }

  #startMembers(): string {
    const { software, configDigest, durability, seals = DEFAULT_SEALS } = this.#options;
    const { epoch, next, chain, clean, lost } = this.#ground.head;
    const json = JSON.stringify({
      vkey: this.#ground.key.vkey,
      software: { name: software.name, version: software.version },
      config: configDigest,
      durability: {
        reads: durability.reads,
        others: durability.others,
        window_ms: isRelaxed(durability) ? durability.windowMs : 0,
      },
      seals: { every_entries: seals.everyEntries, every_ms: seals.everyMs, idle_ms: seals.idleMs },
      previous: epoch === 0 ? null : { epoch, next, chain, clean, spool: lost ? "lost" : "kept" },
    });
    return json.slice(1, -1);
  }

  /** Where the first entry lies that the log has not acknowledged. */
  #backlog(): { segment: number; offset: number; address: number } {
    const { segments, scan } = this.#ground;
    const addressOf = (segment: number, offset: number): number => segments.get(segment)!.base + offset - SEGMENT_HEAD;
    const now = performance.now();
    const wall = nowMicros();
    for (const { segment, end, micros } of scan?.unacknowledged ?? [])
      this.#bounds.wrote(addressOf(segment, end), now - Math.max(0, wall - micros) / 1000);
    const first = scan?.unacknowledged[0];
    if (first !== undefined)
      return { segment: first.segment, offset: first.offset, address: addressOf(first.segment, first.offset) };
    return { segment: segments.current.number, offset: SEGMENT_HEAD, address: segments.address };
  }

  #entry(kind: string, members: string, disclosures: readonly Uint8Array[], intent: number): number {
    if (this.#broken) return Number.POSITIVE_INFINITY;
    let prefix = this.#prefixes.get(kind);
    if (prefix === undefined) {
      prefix = `{"v":1,"kind":${JSON.stringify(kind)},"source":${JSON.stringify(this.source)},"epoch":${this.epoch},"seq":`;
      this.#prefixes.set(kind, prefix);
    }
    const code = KIND_CODES[kind] ?? 0;
    const micros = nowMicros();
    const text = `${prefix}${this.#next},"time":"${formatTimestamp(micros)}",${members}}`;
    const leaf = this.#commit.begin().entry(this.epoch, this.#next, intent, micros, code, text, disclosures);
    this.#chain.add(leaf);
    this.#next += 1;
    this.#unsubmitted += 1;
    if (code === KIND_STATEMENT) this.#statements += 1;
    else if (code === KIND_SESSION) this.#sessions += 1;
    else if (code === KIND_REFUSED) this.#refused += 1;
    const position = this.#commit.end();
    if (code !== KIND_SEAL && code !== KIND_STOP) this.#sealer.wrote();
    return position;
  }

  #seal(reason?: "shutdown"): void {
    const { key } = this.#ground;
    const note = key.note(
      `vitrine/seal/v1\n${key.name}\n${this.epoch}\n${this.#next}\n${this.#chain.value}\nsessions ${this.#sessions}\nstatements ${this.#statements}\nrefused ${this.#refused}\n`,
    );
    const seal = `"seal":${JSON.stringify(note)}`;
    this.#seals += 1;
    if (reason !== undefined) {
      this.#entry("source.stop", `"reason":"${reason}",${seal}`, [], 0);
      this.#stopped = true;
      return;
    }
    this.#entry("source.seal", seal, [], 0);
    this.#sealer.sealed();
  }

  #writeIntent(intent: OpenIntent): number {
    this.#commit.begin().intent(intent.id, this.epoch, intent.kind, intent.members, intent.disclosures);
    return this.#commit.end(intent);
  }

  #writeLazy(): void {
    this.#lazyTimer = undefined;
    if (this.#broken || this.#lazy.size === 0) return;
    for (const intent of this.#lazy) intent.position = this.#writeIntent(intent);
    this.#lazy.clear();
    void this.#settled();
  }

  /** @returns whether its end can be written */
  #close(intent: OpenIntent): boolean {
    if (!this.#open.delete(intent)) throw new Error("an intent was ended twice");
    this.#lazy.delete(intent);
    this.#reserved -= intent.reserved;
    return !this.#broken;
  }

  #snapshot(): SpoolHead {
    if (!this.#begun) return this.#ground.head;
    return {
      epoch: this.epoch,
      next: this.#next,
      chain: this.#chain.value,
      clean: this.#stopped,
      lost: false,
      sessions: this.#sessions,
      statements: this.#statements,
      refused: this.#refused,
      acknowledged: this.#acknowledged,
      nextId: this.#nextId,
    };
  }

  #durable(ms: number): void {
    this.#commits += 1;
    this.#commitMs += ms;
    if (ms > this.#slowestCommitMs) this.#slowestCommitMs = ms;
    if (this.#unsubmitted > 0) this.#bounds.wrote(this.#ground.segments.address, performance.now() - ms);
    this.#submitter.wake();
    this.#update();
  }

  #acknowledge(place: Place, entries: number): void {
    this.#acknowledged = place;
    this.#unsubmitted -= entries;
    if (this.#broken) return;
    this.#commit.begin().acknowledged(place.epoch, place.next);
    // If the mark is lost, the entries are submitted once more. It is not worth a sync of its own.
    this.#commit.end(undefined, false);
  }

  #dealtWith(address: number): void {
    if (address <= this.#through) return;
    this.#through = address;
    this.#bounds.acknowledged(address);
    this.#update();
    if (this.#isPrunable()) this.#pruning ??= this.#prune();
  }

  /** Whether the oldest segment holds nothing any more that was not dealt with. */
  #isPrunable(): boolean {
    const { oldest, current } = this.#ground.segments;
    if (oldest === undefined || oldest === current || this.#broken) return false;
    return oldest.base + oldest.end - SEGMENT_HEAD <= this.#through;
  }

  async #prune(): Promise<void> {
    const { segments } = this.#ground;
    try {
      while (this.#isPrunable()) {
        const { number } = segments.oldest!;
        // An act that takes long must not hold on to the segment that it was announced in.
        for (const intent of this.#open) if (intent.segment <= number) this.#writeIntent(intent);
        // Also for the outcomes that are still in memory: until they are durable, their intents count.
        await this.#settled();
        if (this.#broken) return;
        // CRASH: these intents stand in two segments; they have one id.
        this.#options.hooks?.at?.("prune.carried");
        await segments.removeOldest();
      }
    } catch (error) {
      this.#break(error);
    } finally {
      this.#pruning = undefined;
    }
  }

  #depth(): number {
    return this.#ground.segments.address + this.#commit.pendingBytes - this.#through + this.#reserved;
  }

  #update(): void {
    if (this.#bounds.update(this.#depth(), performance.now()) && this.#failure === undefined)
      this.#options.onState?.(this.#bounds.state);
  }

  /** Resolves when everything so far is durable, or never will be. */
  #settled(): Promise<void> {
    if (this.#broken) return Promise.resolve();
    return new Promise((resolve) => {
      const settle = (): void => {
        this.#onBroken.delete(settle);
        resolve();
      };
      this.#onBroken.add(settle);
      this.#commit.whenDurable(this.#commit.position, settle);
    });
  }

  /** The spool cannot be written any more. */
  #break(error: unknown): void {
    if (this.#broken) return;
    this.#broken = true;
    this.#commit.fail();
    this.#sealer.stop();
    clearTimeout(this.#lazyTimer);
    this.#fail(error instanceof ProxyError ? error : spoolError(error));
    for (const settle of this.#onBroken) settle();
  }

  #fail(error: ProxyError): void {
    const first = this.#failure === undefined;
    this.#failure ??= error;
    if (first) this.#options.onState?.("failed", error);
  }

  async #end(): Promise<void> {
    clearInterval(this.#watch);
    clearTimeout(this.#lazyTimer);
    this.#sealer.stop();
    await this.#ground.close();
  }
}

function isRelaxed({ reads, others }: { reads: Durability; others: Durability }): boolean {
  return reads === "relaxed" || others === "relaxed";
}

function tooLarge(kind: string, what: string, limit: number): ProxyError {
  return new ProxyError("statement_too_large", `the ${what} of one ${kind} have more than ${limit} bytes together`);
}
