/** The recorder: intents and entries of one epoch of one source, durable in the spool, sealed, and on to the log. */
import { ProxyError } from "../errors.ts";
import { Acknowledged } from "./acknowledged.ts";
import { backlogOf } from "./backlog.ts";
import { Condition } from "./condition.ts";
import type { CrashPoint } from "./crash-points.ts";
import { Epoch, startMembers } from "./epoch.ts";
import { GroupCommit } from "./group-commit.ts";
import { type Intent, Intents, type OpenIntent } from "./intents.ts";
import { KeyChange } from "./key-change.ts";
import type { SigningKey } from "./keys.ts";
import { isRelaxed, type RecorderOptions, type SpoolState, sealsOf } from "./options.ts";
import { Pruner } from "./pruner.ts";
import { SpoolReader } from "./reader.ts";
import { receipt } from "./receipt.ts";
import { Sealer } from "./sealer.ts";
import { type Ground, prepare, spoolError } from "./start.ts";
import { comparePlaces, type Place } from "./state.ts";
import type { RecorderStats } from "./stats.ts";
import { Submitter } from "./submitter.ts";

/** How long records for which nobody waits stay in memory at most. */
const LINGER_MS = 20;

export class Recorder {
  /** The source's name. */
  readonly source: string;
  readonly epoch: number;
  readonly #options: RecorderOptions;
  readonly #ground: Ground;
  readonly #entries: Epoch;
  readonly #intents: Intents;
  readonly #commit: GroupCommit;
  readonly #condition: Condition;
  readonly #sealer: Sealer;
  readonly #pruner: Pruner;
  readonly #submitter: Submitter;
  readonly #keyChange: KeyChange;
  #begun = false;
  #stopping = false;
  #acknowledged: Place;
  #unsubmitted: number;
  #seals = 0;
  /** Nothing can be written any more. */
  #broken = false;
  readonly #onBroken = new Set<() => void>();

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
    const { durability, hooks = {}, lingerMs = 50 } = options;
    // A lazy intent waits for half a window at most to be written, and what is written for half a window to be synced.
    const halfWindow = Math.max(1, Math.floor(durability.windowMs / 2));
    const start = backlogOf(ground);
    this.#options = options;
    this.#ground = ground;
    this.source = keys.name;
    this.epoch = head.epoch + 1;
    this.#acknowledged = head.acknowledged;
    this.#unsubmitted = scan?.unacknowledgedEntries ?? 0;
    this.#entries = new Epoch(keys.inForce, this.epoch);
    this.#condition = new Condition(options, () => this.#depth(), start.waiting);
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
      record: record === undefined ? undefined : new Acknowledged(record, start.before, this.#entries.recent),
      unchecked,
      lingerMs,
      hooks,
      onAcknowledged: (place, entries) => this.#acknowledge(place, entries),
      onThrough: (address) => this.#dealtWith(address),
      onTrouble: (why) => options.onTrouble?.(why),
      onError: (error) => this.#condition.fail(error),
    });
    this.#keyChange = new KeyChange(options, ground, {
      end: (next) => this.#endKey(next),
      settled: () => this.#settled(),
      broken: () => (this.#broken ? this.#condition.failure : undefined),
    });
  }

  get state(): SpoolState {
    return this.#condition.state;
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
    this.#condition.admit();
    return this.#intents.open(kind, members, disclosures, lazy);
  }

  /**
   * Calls back once everything up to `position` is durable: at once if it is, never if the spool failed (onState tells).
   * In the order of the positions.
   */
  whenDurable(position: number, then: () => void): void {
    this.#commit.whenDurable(position, then);
  }

  /**
   * Waits until what {@link record} wrote at `position` is durable.
   * @throws ProxyError the failure, when it cannot become that any more
   */
  async durable(position: number): Promise<void> {
    await this.#settled();
    if (!this.#commit.isDurable(position)) throw this.#condition.failure!;
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
    return this.#keyChange.change();
  }

  /**
   * Ends the epoch: writes `source.stop`, waits until everything is durable, then for the log, up to `timeoutMs`. An
   * intent that is still open is recorded as `unknown` by the next start. The recorder is of no use afterwards.
   * @returns how many entries stay in the spool for the next run
   */
  async stop(reason: "shutdown", timeoutMs: number): Promise<{ unsubmitted: number }> {
    if (this.#stopping) throw new Error("the recorder was already stopped");
    this.#stopping = true;
    // The files of a change that was begun are switched before the process goes.
    await this.#keyChange.idle();
    if (!this.#broken) this.#intents.writeLazy();
    this.#seals += 1;
    this.#entry("source.stop", `"reason":"${reason}",${this.#entries.seal("source.stop")}`, [], 0);
    this.#sealer.stop();
    await this.#settled();
    // CRASH: the epoch ended in order; what was not submitted is submitted by the next.
    this.#at("stop.stopped");
    await this.#submitter.stop(timeoutMs);
    await this.#pruner.idle();
    await this.#keyChange.idle();
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
      oldestAgeMs: this.#condition.oldestAgeMs,
      entries: this.#entries.next,
      seals: this.#seals,
      openIntents: this.#intents.count,
      unsubmitted: this.#unsubmitted,
      acknowledged: this.#acknowledged,
      segments: this.#ground.segments.count,
      ...this.#commit.stats,
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
    const { failure } = this.#condition;
    if (failure !== undefined) {
      await this.#end();
      throw failure;
    }
    this.#submitter.start();
    this.#condition.update();
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
    this.#entry("source.seal", this.#entries.seal("source.seal"), [], 0);
    this.#sealer.sealed();
  }

  #endKey(next: SigningKey): Place {
    if (this.#stopping) throw new ProxyError("shutting_down", "the proxy is being stopped");
    if (this.#condition.failure !== undefined) throw this.#condition.failure;
    this.#entry("source.key", this.#entries.keyMembers(next), [], 0);
    return { epoch: this.epoch, next: this.#entries.next };
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
    if (this.#unsubmitted > 0) this.#condition.wrote(this.#ground.segments.address, performance.now() - ms);
    this.#submitter.wake();
    this.#condition.update();
  }

  #acknowledge(place: Place, entries: number): void {
    this.#acknowledged = place;
    this.#unsubmitted -= entries;
    if (this.#broken) return;
    this.#commit.begin().acknowledged(place.epoch, place.next);
    // If the mark is lost, the entries are submitted once more. It is not worth a sync of its own.
    this.#commit.end(undefined, false);
    this.#keyChange.acknowledged(place);
  }

  #dealtWith(address: number): void {
    if (address <= this.#pruner.through) return;
    this.#condition.dealtWith(address);
    this.#pruner.advance(address);
    this.#condition.update();
  }

  #depth(): number {
    return this.#ground.segments.address + this.#commit.pendingBytes - this.#pruner.through + this.#intents.reserved;
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
    this.#condition.fail(error instanceof ProxyError ? error : spoolError(error));
    for (const settle of this.#onBroken) settle();
  }

  async #end(): Promise<void> {
    this.#condition.stop();
    this.#intents.stop();
    this.#sealer.stop();
    await this.#ground.close();
  }

  #at(point: CrashPoint): void {
    this.#options.hooks?.at?.(point);
  }
}
