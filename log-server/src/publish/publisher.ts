import { LogServerError, reason } from "../errors.ts";
import { checkpointText } from "../formats/checkpoint.ts";
import { checkNote, parseNote, type SignerKey, signNote } from "../formats/note.ts";
import type { Hooks } from "../hooks.ts";
import type { Store, TreeHead } from "../store/store.ts";
import { TreeReader } from "../tree/log.ts";
import type { Candidate } from "../witnesses/protocol.ts";
import type { Witnesses } from "../witnesses/witnesses.ts";
import { type SignedCheckpoint, writeGuard } from "./guard.ts";
import { checkAgainstSigned } from "./recovery.ts";

/** What a publication consists of, for the metrics: `publish` is the whole of it. */
export type PublicationStage = "sign" | "guard" | "witness" | "publish";

export interface PublisherPorts {
  readonly hooks: Hooks;
  /** Told how long each stage took, in seconds. */
  readonly measured: (stage: PublicationStage, seconds: number) => void;
  readonly onPublished: (checkpoint: SignedCheckpoint) => void;
  readonly onFatal: (error: LogServerError) => void;
}

function candidateOf(signed: SignedCheckpoint): Candidate {
  return { size: signed.size, text: checkpointText(signed), note: signed.note };
}

/** @returns whether the note has the signatures of exactly these keys, in their order. */
export function isSignedBy(note: string, keys: readonly SignerKey[]): boolean {
  const parsed = parseNote(Buffer.from(note));
  return (
    parsed?.signatures.length === keys.length &&
    keys.every((key, i) => parsed.signatures[i]!.id.equals(key.id) && checkNote(parsed, key) === "good")
  );
}

/**
 * Signs checkpoints: at start, every interval in which the tree has grown, and at close. Each step before the
 * signature leaves the process is in spec/checkpoint.md, "Signing one". Then the witnesses are asked, and the
 * checkpoint is served. Any error here is fatal to the log; that witnesses are missing is none.
 */
export class Publisher {
  readonly #store: Store;
  readonly #head: () => TreeHead;
  readonly #guard: string;
  readonly #interval: number;
  readonly #witnesses: Witnesses;
  readonly #ports: PublisherPorts;
  #keys: readonly SignerKey[];
  /** Signed and durable; as it is in the guard file. */
  #latest: SignedCheckpoint | undefined;
  #latestKeys: readonly SignerKey[];
  #served: SignedCheckpoint | undefined;
  #servedKeys: readonly SignerKey[];
  /** `#served` with the cosignatures of a version of the witnesses. */
  #shown: { signed: SignedCheckpoint; version: number; checkpoint: SignedCheckpoint } | undefined;
  #checkedAt = 0;
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> | undefined;
  #stopped = false;
  #halted = false;

  /**
   * @param head the tree as far as it is durable
   * @param guard path of the guard file
   * @param keys that sign each checkpoint, in the order of its lines
   * @param latest the checkpoint last signed, if any
   * @param interval in milliseconds
   */
  constructor(
    options: {
      store: Store;
      head: () => TreeHead;
      guard: string;
      keys: readonly SignerKey[];
      interval: number;
      latest: SignedCheckpoint | undefined;
      witnesses: Witnesses;
    },
    ports: PublisherPorts,
  ) {
    this.#store = options.store;
    this.#head = options.head;
    this.#guard = options.guard;
    this.#keys = options.keys;
    this.#latestKeys = options.keys;
    this.#servedKeys = options.keys;
    this.#interval = options.interval;
    this.#latest = options.latest;
    this.#witnesses = options.witnesses;
    this.#ports = ports;
  }

  /** The checkpoint signed last: durable, and served once the witnesses were asked. */
  get latest(): SignedCheckpoint {
    if (this.#latest === undefined) throw new Error("no checkpoint before the first publish()");
    return this.#latest;
  }

  /** The checkpoint that is served, with the cosignatures that have come so far. */
  get served(): SignedCheckpoint {
    if (this.#served === undefined) throw new Error("no checkpoint before the first publish()");
    // Everything read asks for it.
    const { version } = this.#witnesses;
    if (this.#shown?.signed !== this.#served || this.#shown.version !== version) {
      const note = this.#witnesses.note(candidateOf(this.#served));
      this.#shown = { signed: this.#served, version, checkpoint: { ...this.#served, note } };
    }
    return this.#shown.checkpoint;
  }

  /** The keys that sign. */
  get keys(): readonly SignerKey[] {
    return this.#keys;
  }

  /** The keys that signed what is served: for a while others than those that sign, when these were changed. */
  get servedKeys(): readonly SignerKey[] {
    return this.#servedKeys;
  }

  /** How long ago `publish` last found everything in order, in milliseconds; whatever the clock does. */
  get checkedAgo(): number {
    return Math.floor(performance.now() - this.#checkedAt);
  }

  /** Signs with other keys from the next publication on, which comes even if the tree has not grown. */
  setKeys(keys: readonly SignerKey[]): void {
    this.#keys = keys;
  }

  /**
   * Shows the witnesses the checkpoint that was signed before, if there is one, before anything more is signed: they
   * may have seen more of this log than the store has.
   */
  async showLatest(): Promise<void> {
    if (this.#latest !== undefined) await this.#witnesses.collect(candidateOf(this.#latest));
  }

  /**
   * Asks the witnesses that have not cosigned what was signed last; what they say is added when it comes. That may not
   * be served yet: who has cosigned it must not be asked for an earlier one.
   */
  askWitnesses(): void {
    if (this.#latest !== undefined) void this.#witnesses.collect(candidateOf(this.#latest));
  }

  /**
   * Signs the tree as it is durable, if it is larger than the one last signed or other keys are to sign it.
   * @throws LogServerError `store_behind`, `store_disagrees`, `store_corrupt`, `write_failed`
   */
  async publish(): Promise<void> {
    const start = performance.now();
    const head = this.#head();
    const last = this.#latest;
    if (last !== undefined) await checkAgainstSigned(this.#store, last, "the last checkpoint");
    if (last === undefined || head.size > last.size || !isSignedBy(last.note, this.#keys)) {
      const root = await new TreeReader(this.#store, 0).root(head.size);
      if (!root.equals(head.root)) {
        const message = `the hashes of the tree of size ${head.size} do not give its root; restore a copy that is not older than the guard file`;
        throw new LogServerError("store_corrupt", message, { index: last?.size ?? 0 });
      }
      // Another part of the log may have failed meanwhile; what the store holds is then not known.
      if (!this.#halted) await this.#sign(head.size, root);
    }
    if (this.#latest !== undefined && this.#latest !== this.#served) {
      const asked = performance.now();
      await this.#witnesses.collect(candidateOf(this.#latest));
      this.#measure("witness", asked);
      // A witness may have shown that this is a second history: nobody else is to see it.
      if (this.#halted) return;
      this.#served = this.#latest;
      this.#servedKeys = this.#latestKeys;
      this.#measure("publish", start);
      this.#ports.onPublished(this.#latest);
    }
    this.#checkedAt = performance.now();
  }

  async #sign(size: number, root: Buffer): Promise<void> {
    const { hooks } = this.#ports;
    const start = performance.now();
    const keys = this.#keys;
    const checkpoint = { origin: keys[0]!.name, size, root };
    const signed = { ...checkpoint, note: signNote(checkpointText(checkpoint), ...keys), time: Date.now() };
    this.#measure("sign", start);
    const written = performance.now();
    try {
      await writeGuard(this.#guard, signed.note, hooks);
      // CRASH: the guard is ahead of the store's record. The next start serves the guard's checkpoint.
      await hooks.at("guard:durable");
      await this.#store.recordCheckpoint({ note: signed.note, time: signed.time });
      // CRASH: signed, and neither shown to a witness nor served; the next start does both.
      await hooks.at("checkpoint:recorded");
    } catch (error) {
      const message = `the checkpoint of size ${size} cannot be kept: ${reason(error)}; free or replace the disk, and start again`;
      throw new LogServerError("write_failed", message, {}, { cause: error });
    }
    this.#measure("guard", written);
    this.#latest = signed;
    this.#latestKeys = keys;
  }

  #measure(stage: PublicationStage, since: number): void {
    this.#ports.measured(stage, (performance.now() - since) / 1000);
  }

  /** Publishes every interval until `stop`. */
  start(): void {
    this.#schedule(this.#interval);
  }

  #schedule(wait: number): void {
    this.#timer = setTimeout(() => {
      this.#running = this.#tick();
    }, wait);
  }

  async #tick(): Promise<void> {
    const start = performance.now();
    try {
      await this.publish();
    } catch (error) {
      this.#stopped = true;
      const fatal = error instanceof LogServerError ? error : new LogServerError("write_failed", reason(error));
      this.#ports.onFatal(fatal);
    }
    // The wait for witnesses is a part of the interval.
    if (!this.#stopped) this.#schedule(Math.max(0, this.#interval - (performance.now() - start)));
  }

  /** Signs nothing more: another part of the log has failed. */
  halt(): void {
    this.#halted = true;
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  /** Ends the interval, and waits for a publication under way. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    await this.#running;
  }
}
