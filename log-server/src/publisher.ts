import { checkpointText } from "./checkpoint.ts";
import { LogServerError, reason } from "./errors.ts";
import { type SignedCheckpoint, writeGuard } from "./guard.ts";
import type { Hooks } from "./hooks.ts";
import { TreeReader } from "./log.ts";
import { type SignerKey, signNote } from "./note.ts";
import { checkAgainstSigned } from "./recovery.ts";
import type { Store, TreeHead } from "./store.ts";

/**
 * Signs checkpoints: at start, every interval in which the tree has grown, and at close. Each step before the
 * signature leaves the process is in spec/checkpoint.md, "Signing one". Any error here is fatal to the log.
 */
export class Publisher {
  readonly #store: Store;
  readonly #head: () => TreeHead;
  readonly #guard: string;
  readonly #key: SignerKey;
  readonly #interval: number;
  readonly #hooks: Hooks;
  readonly #onPublished: (checkpoint: SignedCheckpoint) => void;
  readonly #onFatal: (error: LogServerError) => void;
  #latest: SignedCheckpoint | undefined;
  #checkedAt = 0;
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> | undefined;
  #stopped = false;
  #halted = false;

  /**
   * @param head the tree as far as it is durable
   * @param guard path of the guard file
   * @param latest the checkpoint last signed, if any
   * @param interval in milliseconds
   */
  constructor(
    options: {
      store: Store;
      head: () => TreeHead;
      guard: string;
      key: SignerKey;
      interval: number;
      latest: SignedCheckpoint | undefined;
    },
    hooks: Hooks,
    onPublished: (checkpoint: SignedCheckpoint) => void,
    onFatal: (error: LogServerError) => void,
  ) {
    this.#store = options.store;
    this.#head = options.head;
    this.#guard = options.guard;
    this.#key = options.key;
    this.#interval = options.interval;
    this.#latest = options.latest;
    this.#hooks = hooks;
    this.#onPublished = onPublished;
    this.#onFatal = onFatal;
  }

  /** The checkpoint that is served. */
  get latest(): SignedCheckpoint {
    if (this.#latest === undefined) throw new Error("no checkpoint before the first publish()");
    return this.#latest;
  }

  /** When `publish` last found everything in order, in milliseconds since 1970. */
  get checkedAt(): number {
    return this.#checkedAt;
  }

  /**
   * Signs the tree as it is durable, if it is larger than the one last signed.
   * @throws LogServerError `store_behind`, `store_disagrees`, `store_corrupt`, `write_failed`
   */
  async publish(): Promise<void> {
    const head = this.#head();
    const last = this.#latest;
    if (last !== undefined) await checkAgainstSigned(this.#store, last, "the last checkpoint");
    if (last === undefined || head.size > last.size) {
      const root = await new TreeReader(this.#store, 0).root(head.size);
      if (!root.equals(head.root)) {
        const message = `the hashes of the tree of size ${head.size} do not give its root; restore a copy that is not older than the guard file`;
        throw new LogServerError("store_corrupt", message, { index: last?.size ?? 0 });
      }
      // Another part of the log may have failed meanwhile; what the store holds is then not known.
      if (!this.#halted) await this.#sign(head.size, root);
    }
    this.#checkedAt = Date.now();
  }

  async #sign(size: number, root: Buffer): Promise<void> {
    const checkpoint = { origin: this.#key.name, size, root };
    const signed = { ...checkpoint, note: signNote(checkpointText(checkpoint), this.#key), time: Date.now() };
    try {
      await writeGuard(this.#guard, signed.note, this.#hooks);
      // CRASH: the guard is ahead of the store's record. The next start serves the guard's checkpoint.
      await this.#hooks.at("guard:durable");
      await this.#store.recordCheckpoint({ note: signed.note, time: signed.time });
      // CRASH: signed and not served; the next start serves it.
      await this.#hooks.at("checkpoint:recorded");
    } catch (error) {
      const message = `the checkpoint of size ${size} cannot be kept: ${reason(error)}; free or replace the disk, and start again`;
      throw new LogServerError("write_failed", message, {}, { cause: error });
    }
    this.#latest = signed;
    this.#onPublished(signed);
  }

  /** Publishes every interval until `stop`. */
  start(): void {
    this.#timer = setTimeout(() => {
      this.#running = this.#tick();
    }, this.#interval);
  }

  async #tick(): Promise<void> {
    try {
      await this.publish();
    } catch (error) {
      this.#stopped = true;
      const fatal = error instanceof LogServerError ? error : new LogServerError("write_failed", reason(error));
      this.#onFatal(fatal);
    }
    if (!this.#stopped) this.start();
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
