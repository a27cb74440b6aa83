import { unwatchFile, watchFile } from "node:fs";
import { type Access, readRules } from "../access/index.ts";
import { ProxyError } from "../errors.ts";
import { type Announcer, announceFile } from "./file-change.ts";

/** Polled, because a file that is replaced by another, or by a link to another, is not seen by every way of watching. */
const POLL_MS = 1000;

/** Brings changed rules into force, the log first. */
export class RulesInForce {
  readonly #access: Access;
  readonly #path: string;
  readonly #recorder: Announcer;
  readonly #notice: (line: string) => void;
  #last: Promise<unknown> = Promise.resolve();
  #closed = false;

  constructor(access: Access, path: string, recorder: Announcer, notice: (line: string) => void) {
    this.#access = access;
    this.#path = path;
    this.#recorder = recorder;
    this.#notice = notice;
  }

  /** Says in the log which rules this run begins with. @returns when that is durable */
  announce(): Promise<void> {
    return announceFile(this.#recorder, "rules", this.#access.set.digest);
  }

  /**
   * Reads the file again. One reload at a time, in the order of asking.
   * @returns a line that says what is in force
   * @throws ProxyError `bad_config`, the spool's failure; the rules stay as they were
   */
  reload(): Promise<string> {
    const next = this.#last.then(
      () => this.#reload(),
      () => this.#reload(),
    );
    this.#last = next.catch(() => undefined);
    return next;
  }

  watch(): void {
    watchFile(this.#path, { persistent: false, interval: POLL_MS }, this.#onChange);
  }

  close(): void {
    this.#closed = true;
    unwatchFile(this.#path, this.#onChange);
  }

  readonly #onChange = (): void => {
    this.reload().then(this.#notice, (error: unknown) => {
      if (!(error instanceof ProxyError)) throw error;
      this.#notice(`the access rules stay as they were: ${error.code}: ${error.message}`);
    });
  };

  async #reload(): Promise<string> {
    const set = await readRules(this.#path);
    const previous = this.#access.set.digest;
    if (set.digest !== previous && !this.#closed) {
      await announceFile(this.#recorder, "rules", set.digest, previous);
      // CRASH: the log has the change, and nothing was decided by it; the next start says what it begins with.
      this.#access.replace(set);
    }
    return `access rules ${set.digest.slice(0, 16)}: ${set.rules.length} in force`;
  }
}
