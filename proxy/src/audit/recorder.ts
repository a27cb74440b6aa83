/** The recorder: intents and entries of one epoch of one source, durable in the spool, sealed, and on to the log. */
import { ProxyError } from "../errors.ts";
import { Acknowledged } from "./acknowledged.ts";
import { Bounds } from "./bounds.ts";
import { nowMicros } from "./clock.ts";
import { Epoch, startMembers } from "./epoch.ts";
import { GroupCommit } from "./group-commit.ts";
import { type Intent, Intents, type OpenIntent } from "./intents.ts";
import { parseSigningKey, type SigningKey } from "./keys.ts";
import { type CrashPoint, isRelaxed, type RecorderOptions, type SpoolState, sealsOf } from "./options.ts";
import { Pruner } from "./pruner.ts";
import { SpoolReader } from "./reader.ts";
import { receipt } from "./receipt.ts";
import type { ChainPlace } from "./record-file.ts";
import { Sealer } from "./sealer.ts";
import { SEGMENT_HEAD } from "./segment.ts";
import { type Ground, prepare, spoolError } from "./start.ts";
import { comparePlaces, type Place } from "./state.ts";
import { Submitter, type SubmitterStats } from "./submitter.ts";

/** How long records for which nobody waits stay in memory at most. */
const LINGER_MS = 20;

export interface RecorderStats {
  readonly state: SpoolState;
  /** In the spool and not dealt with yet, with what open intents may still need. */
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
  readonly #entries: Epoch;
  readonly #intents: Intents;
  readonly #commit: GroupCommit;
  readonly #bounds: Bounds;
  readonly #sealer: Sealer;
  readonly #pruner: Pruner;
  readonly #submitter: Submitter;
  readonly #watch: NodeJS.Timeout;
  #begun = false;
  #stopping = false;
  #acknowledged: Place;
  #unsubmitted: number;
  #seals = 0;
  /** Why nothing goes on any more; if #broken, nothing can be written any more. */
  #failure: ProxyError | undefined;
  #broken = false;
  #forgetting = false;
  #keyChange: Promise<unknown> = Promise.resolve();
  readonly #onBroken = new Set<() => void>();
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
    const { keys, head, segments, scan, client, origin, record, unchecked } = ground;
    const { spool, durability, hooks = {}, lingerMs = 50 } = options;
    // A lazy intent waits for half a window at most to be written, and what is written for half a window to be synced.
    const halfWindow = Math.max(1, Math.floor(durability.windowMs / 2));
    const start = backlog(ground);
    this.#options = options;
    this.#ground = ground;
    this.source = keys.name;
    this.epoch = head.epoch + 1;
    this.#acknowledged = head.acknowledged;
    this.#unsubmitted = scan?.unacknowledgedEntries ?? 0;
    this.#entries = new Epoch(keys.inForce, this.epoch);
    this.#bounds = new Bounds(spool.maxBytes, spool.maxAgeMs);
    for (const { through, since } of start.waiting) this.#bounds.wrote(through, since);
    this.#commit = new GroupCommit(
      segments,
      () =>
        this.#begun ? this.#entries.head({ acknowledged: this.#acknowledged, nextId: this.#intents.nextId }) : head,
      isRelaxed(options) ? Math.min(LINGER_MS, halfWindow) : LINGER_MS,
      (ms, records) => this.#durable(ms, records),
      (error) => this.#break(error),
    );
    this.#intents = new Intents(
      head.nextId,
      halfWindow,
      (intent) => this.#writeIntent(intent),
      () => void this.#settled(),
    );
    this.#sealer = new Sealer(sealsOf(options), () => this.#seal());
    this.#pruner = new Pruner(
      segments,
      start.address,
      hooks,
      (segment) => this.#carryFrom(segment),
      (error) => this.#break(error),
    );
    this.#submitter = new Submitter({
      client,
      origin,
      keys,
      reader: new SpoolReader(segments, start),
      acknowledged: head.acknowledged,
      record: record === undefined ? undefined : new Acknowledged(record, start.before),
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
   * @throws ProxyError `spool_full` when the spool is full, the failure in `failed`, `shutting_down` after stop,
   * `statement_too_large` for more than `MAX_INTENT_BYTES`, or with the disclosures more than `MAX_DISCLOSED_BYTES`
   */
  intend(kind: string, members: string, disclosures: readonly Uint8Array[], lazy = false): Intent {
    if (this.#stopping) throw new ProxyError("shutting_down", "the proxy is being stopped");
    if (this.#failure !== undefined) throw this.#failure;
    // The state follows from batch to batch only: whatever a session does in between must stay within the bound as well.
    if (this.#bounds.state === "closed" || this.#depth() >= this.#options.spool.maxBytes)
      throw new ProxyError("spool_full", "the spool is full: the log has been unreachable too long");
    return this.#intents.open(kind, members, disclosures, lazy);
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
   * The outcome of an intent is known: writes its entry. Does nothing after stop, or once the spool cannot be written any
   * more; the next start then records a durable intent as `unknown`.
   * @param members JSON text of the members that follow those of the intent
   * @param disclosures of the sealed values among these
   * @returns the entry's position; 0 after stop
   */
  complete(intent: Intent, members: string, disclosures: readonly Uint8Array[]): number {
    const known = intent as OpenIntent;
    this.#intents.close(known);
    if (this.#stopping) return 0;
    const all = disclosures.length === 0 ? known.disclosures : [...known.disclosures, ...disclosures];
    return this.#entry(known.kind, `${known.members},${members}`, all, known.written ? known.id : 0);
  }

  /** What was intended did not happen. */
  drop(intent: Intent): void {
    const known = intent as OpenIntent;
    this.#intents.close(known);
    if (this.#stopping || this.#broken || !known.written) return;
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

  /** What was written last: its sequence in this epoch, and its leaf hash as a latin1 string. */
  get written(): { readonly seq: number; readonly leaf: string } {
    return { seq: this.#entries.next - 1, leaf: this.#entries.leaf };
  }

  /**
   * A receipt for an entry of this epoch (spec/receipt.md), signed with the key in force. It must not be given away
   * before the entry is durable.
   * @param leaf its leaf hash, as {@link written} gave it
   * @returns JSON on one line
   */
  receipt(seq: number, leaf: string): string {
    const { origin, keys } = this.#ground;
    const { epoch } = this;
    const acknowledged = comparePlaces({ epoch, next: seq + 1 }, this.#acknowledged) <= 0;
    const index = acknowledged ? this.#submitter.indexOf(epoch, seq) : undefined;
    return receipt(keys.inForce, { origin, epoch, seq, leaf, acknowledged, index });
  }

  /**
   * Brings the next key into force, if there is one, or ends a change that was begun: the entry `source.key` is durable,
   * and then the files are switched. Entries and seals go on meanwhile.
   * @returns the verifier key in force if that is another now, else undefined
   * @throws ProxyError `bad_key`, `shutting_down`, and the failure in `failed`; the key in force is good in any case
   */
  changeKey(): Promise<string | undefined> {
    const change = this.#keyChange.then(() => this.#changeKey());
    this.#keyChange = change.catch(() => undefined);
    return change;
  }

  async #changeKey(): Promise<string | undefined> {
    const { key: store, hooks = {} } = this.#options;
    if (typeof store === "string") return undefined;
    const { keys, ahead } = this.#ground;
    const { current, next } = await store.read();
    const inPlace = parseSigningKey(current);
    // Only where a lost spool had announced it: it has its place already.
    const waits = ahead !== undefined && ahead.vkey === inPlace.vkey && ahead.vkey !== keys.inForce.vkey;
    if (!waits && next === undefined) return undefined;
    const key = waits ? ahead : parseNext(next!, store.path, keys.name);
    if (key.vkey !== keys.inForce.vkey) {
      if (inPlace.vkey !== keys.inForce.vkey && !waits)
        throw new ProxyError("bad_key", `${store.path} is not the key in force, ${keys.inForce.vkey}; restore it`);
      if (keys.isChanging)
        throw new ProxyError(
          "bad_key",
          "the log has not acknowledged the last change of the key yet; try again when it has",
        );
      if (this.#stopping) throw new ProxyError("shutting_down", "the proxy is being stopped");
      if (this.#failure !== undefined) throw this.#failure;
      this.#entry("source.key", this.#entries.keyMembers(key), [], 0);
      keys.change(key, { epoch: this.epoch, next: this.#entries.next });
    } else if (inPlace.vkey === key.vkey)
      throw new ProxyError("bad_key", `${store.path}.next is the key in force already; remove it`);
    await this.#settled();
    if (this.#broken) throw this.#failure!;
    // CRASH: the new key is in force and still stands in the file of the next one; the start switches the files.
    this.#at("key.durable");
    if (!waits) await store.advance(hooks);
    // CRASH: the files are switched; the old key signs what is not submitted yet, up to the entry.
    this.#at("key.switched");
    // Acknowledged meanwhile, in a change whose files could not be switched at once.
    if (!keys.isChanging) await store.forget();
    return key.vkey;
  }

  /** The log has the entry: the key that it ended has nothing left to sign. */
  async #forgetKey(): Promise<void> {
    const { key: store } = this.#options;
    if (typeof store === "string") return;
    // Until the mark of it is durable, a start would submit the entry again, signed by that key.
    await this.#settled();
    if (this.#broken) return;
    // CRASH: the old key is there and nothing needs it; the start removes it.
    this.#at("key.acknowledged");
    this.#ground.keys.forget();
    await store.forget();
    // CRASH: as after any other change of the spool.
    this.#at("key.forgotten");
  }

  /**
   * Ends the epoch: writes `source.stop`, waits until everything is durable, then for the log, up to `timeoutMs`. An
   * intent that is still open is recorded as `unknown` by the next start. The recorder is of no use afterwards.
   * @returns how many entries stay in the spool for the next run
   */
  async stop(reason: "shutdown", timeoutMs: number): Promise<{ unsubmitted: number }> {
    if (this.#stopping) throw new Error("the recorder was already stopped");
    this.#stopping = true;
    const { key } = this.#options;
    // The files of a change that was begun are switched before the process goes.
    if (typeof key !== "string") await this.#keyChange;
    if (!this.#broken) this.#intents.writeLazy();
    this.#seals += 1;
    this.#entry("source.stop", `"reason":"${reason}",${this.#entries.seal()}`, [], 0);
    this.#sealer.stop();
    await this.#settled();
    // CRASH: the epoch ended in order; what was not submitted is submitted by the next.
    this.#at("stop.stopped");
    await this.#submitter.stop(timeoutMs);
    await this.#pruner.idle();
    await this.#keyChange;
    await this.#settled();
    // CRASH: as above; the mark of what was acknowledged is durable.
    this.#at("stop.submitted");
    await this.#end();
    return { unsubmitted: this.#unsubmitted };
  }

  stats(): RecorderStats {
    return {
      state: this.state,
      bytes: this.#depth(),
      maxBytes: this.#options.spool.maxBytes,
      oldestAgeMs: this.#bounds.age(performance.now()),
      entries: this.#entries.next,
      seals: this.#seals,
      openIntents: this.#intents.count,
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
    const { keys, head, scan } = this.#ground;
    try {
      // The first batch belongs to the state before the epoch.
      this.#commit.begin();
      this.#begun = true;
      this.#entry("source.start", startMembers(this.#options, keys.inForce, head), [], 0);
      await this.#settled();
      // CRASH: the epoch has begun; the intents are still open, and known to be of an earlier epoch.
      this.#at("open.started");
      for (const { id, epoch, kind, members, disclosures } of scan?.intents ?? [])
        this.#entry(kind, `${members},"outcome":"unknown","recovered":{"epoch":${epoch}}`, disclosures, id);
      await this.#settled();
      // CRASH: all as after any other batch.
      this.#at("open.recovered");
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

  #entry(kind: string, members: string, disclosures: readonly Uint8Array[], intent: number): number {
    if (this.#broken) return Number.POSITIVE_INFINITY;
    this.#entries.write(this.#commit.begin(), kind, members, disclosures, intent);
    this.#unsubmitted += 1;
    const position = this.#commit.end();
    if (kind !== "source.seal") this.#sealer.wrote();
    return position;
  }

  #seal(): void {
    if (this.#stopping) return;
    this.#seals += 1;
    this.#entry("source.seal", this.#entries.seal(), [], 0);
    this.#sealer.sealed();
  }

  #writeIntent(intent: OpenIntent): number {
    this.#commit.begin().intent(intent.id, this.epoch, intent.kind, intent.members, intent.disclosures);
    return this.#commit.end(intent);
  }

  async #carryFrom(segment: number): Promise<boolean> {
    // An act that takes long must not hold on to the segment that it was announced in.
    if (!this.#broken) this.#intents.carryFrom(segment);
    // Also for the outcomes that are still in memory: until they are durable, their intents count.
    await this.#settled();
    return !this.#broken;
  }

  #durable(ms: number, records: number): void {
    this.#options.onCommit?.(ms, records);
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
    const { keys } = this.#ground;
    if (!keys.acknowledges(place) || this.#forgetting) return;
    this.#forgetting = true;
    const forgotten = this.#keyChange.then(() => this.#forgetKey());
    this.#keyChange = forgotten.then(
      () => {
        this.#forgetting = false;
        this.#options.onKey?.(`the log knows the source by the key ${keys.inForce.vkey}; the one before is removed`);
      },
      (error: unknown) => {
        this.#forgetting = false;
        if (!(error instanceof ProxyError)) throw error;
        this.#options.onKey?.(`the key before is still there: ${error.code}: ${error.message}`);
      },
    );
  }

  #dealtWith(address: number): void {
    if (address <= this.#pruner.through) return;
    this.#bounds.acknowledged(address);
    this.#pruner.advance(address);
    this.#update();
  }

  #depth(): number {
    return this.#ground.segments.address + this.#commit.pendingBytes - this.#pruner.through + this.#intents.reserved;
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
    this.#intents.stop();
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
    this.#intents.stop();
    this.#sealer.stop();
    await this.#ground.close();
  }

  #at(point: CrashPoint): void {
    this.#options.hooks?.at?.(point);
  }
}

function parseNext(line: string, path: string, name: string): SigningKey {
  const key = parseSigningKey(line);
  if (key.name === name) return key;
  throw new ProxyError("bad_key", `${path}.next is a key of ${key.name}, not of ${name}; make one with rotate-key`);
}

interface Backlog {
  readonly segment: number;
  readonly offset: number;
  /** Of the first batch with an entry that the log has not acknowledged. */
  readonly address: number;
  /** In front of the first entry that is read. */
  readonly before: ChainPlace;
  /** Up to which address entries wait, and since when by the monotonic clock. */
  readonly waiting: readonly { readonly through: number; readonly since: number }[];
}

/** What an earlier run left to be submitted. */
function backlog({ segments, scan, head }: Ground): Backlog {
  const batches = scan?.unacknowledged ?? [];
  const addressOf = (segment: number, offset: number): number => segments.get(segment)!.base + offset - SEGMENT_HEAD;
  const now = performance.now();
  const wall = nowMicros();
  const waiting = batches.map(({ segment, end, micros }) => ({
    through: addressOf(segment, end),
    since: now - Math.max(0, wall - micros) / 1000,
  }));
  const first = batches[0];
  if (first === undefined)
    return {
      segment: segments.current.number,
      offset: SEGMENT_HEAD,
      address: segments.address,
      before: head,
      waiting,
    };
  const { segment, offset, before } = first;
  return { segment, offset, address: addressOf(segment, offset), before, waiting };
}
