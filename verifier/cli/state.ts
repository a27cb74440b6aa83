import { createHash } from "node:crypto";
import { access, constants, open, stat, unlink } from "node:fs/promises";
import { homedir } from "node:os";
import { isAbsolute, join } from "node:path";
import {
  type Evidence,
  type Kept,
  keptName,
  parseKept,
  serializeKept,
  VerifierError,
  type VerifierKey,
} from "../src/index.ts";
import { makeFolder, pathError, readBounded, systemCode, writeDurably } from "./files.ts";
import { printable } from "./printable.ts";

/** Grows with the sources and their open sessions only. */
const maxStateLength = 256 * 1024 * 1024;

/** The folder for what is kept, if the caller names none (XDG Base Directory: a path that is not absolute is ignored). */
export function defaultFolder(env: NodeJS.ProcessEnv = process.env): string {
  const base = env.XDG_STATE_HOME;
  return join(base !== undefined && isAbsolute(base) ? base : join(homedir(), ".local", "state"), "vitrine-verifier");
}

/**
 * Makes the folder when it is not there.
 * @throws VerifierError `usage` when it cannot be used
 */
export async function openFolder(folder: string): Promise<void> {
  try {
    await makeFolder(folder);
    await access(folder, constants.W_OK | constants.R_OK);
  } catch (error) {
    throw pathError(error, `the state folder ${printable(folder)} cannot be used`);
  }
}

/** What is kept of one log, in one file. Several runs may use it at once. */
export class State {
  readonly #folder: string;
  readonly #key: VerifierKey;
  readonly #limit: number;
  /** The file's text as it was read, undefined while there is none. */
  #text: string | undefined;
  #kept: Kept | undefined;

  private constructor(folder: string, key: VerifierKey, limit: number) {
    this.#folder = folder;
    this.#key = key;
    this.#limit = limit;
  }

  /**
   * @param folder is created when it is not there
   * @param limit bytes of a file; more is neither read nor written
   * @throws VerifierError `usage` when it cannot be used, or holds something else under this key
   */
  static async open(folder: string, key: VerifierKey, limit: number = maxStateLength): Promise<State> {
    const state = new State(folder, key, limit);
    await openFolder(folder);
    await state.#read();
    return state;
  }

  get path(): string {
    return join(this.#folder, `${keptName(this.#key)}.json`);
  }

  /** What was kept when the file was last read. */
  get kept(): Kept | undefined {
    return this.#kept;
  }

  async #read(): Promise<void> {
    const text = await this.#currentText();
    if (text === undefined) {
      this.#text = undefined;
      this.#kept = undefined;
      return;
    }
    try {
      this.#kept = parseKept(text, this.#key);
    } catch (error) {
      if (!(error instanceof VerifierError)) throw error;
      const advice =
        "restore it from a copy, or move it away to begin anew, knowing that then nothing shows a fork before now";
      throw new VerifierError("usage", `${printable(this.path)}: ${error.message}; ${advice}`);
    }
    this.#text = text;
  }

  async #currentText(): Promise<string | undefined> {
    try {
      await stat(this.path);
    } catch (error) {
      if (systemCode(error) === "ENOENT") return undefined;
      throw pathError(error, `${printable(this.path)} cannot be read`);
    }
    const bytes = await readBounded(this.path, this.#limit, "the kept state");
    if (bytes.length <= this.#limit) return bytes.toString("utf8");
    throw new VerifierError("usage", `${printable(this.path)} is too long to be what was kept of a log`);
  }

  /**
   * Keeps this instead of what was kept when the file was last read.
   * @returns false when another run has changed the file since; then it is read again, and nothing is written
   * @throws VerifierError `usage` when it cannot be written
   */
  async save(kept: Kept): Promise<boolean> {
    const text = this.#serialize(kept);
    if (text === this.#text) return true;
    const unlock = await this.#lock();
    try {
      if ((await this.#currentText()) !== this.#text) {
        await this.#read();
        return false;
      }
      await writeDurably(this.path, text);
    } catch (error) {
      throw pathError(error, `${printable(this.path)} cannot be written`);
    } finally {
      await unlock();
    }
    this.#text = text;
    this.#kept = kept;
    return true;
  }

  /** A log may have more sources and open sessions than can be kept; its verdict must not be lost over that. */
  #serialize(kept: Kept): string {
    let text: string | undefined;
    try {
      text = serializeKept(kept, this.#key);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error; // longer than a text can be
    }
    if (text !== undefined && Buffer.byteLength(text) <= this.#limit) return text;
    const message = `${printable(this.path)} would have more than ${this.#limit} bytes: the log has more sources and open sessions than can be kept`;
    throw new VerifierError("usage", message);
  }

  /**
   * The lock is held for the moment between looking at the file and replacing it. Its only purpose is that no run takes
   * another's progress back: the file itself is whole at every moment, with a lock or without.
   */
  async #lock(): Promise<() => Promise<void>> {
    const path = `${this.path}.lock`;
    for (let attempt = 0; ; attempt++) {
      try {
        await (await open(path, "wx", 0o600)).close();
        return () => unlink(path).catch(() => undefined); // taken away as stale by another run
      } catch (error) {
        if (systemCode(error) !== "EEXIST") throw pathError(error, `${printable(path)} cannot be created`);
      }
      const age = await stat(path).then(
        ({ mtimeMs }) => Date.now() - mtimeMs,
        () => 0, // gone: the other has finished
      );
      // CRASH: a run that died here left the lock; nobody holds one for longer than a moment.
      if (age > staleMs || attempt * lockPauseMs > staleMs) await unlink(path).catch(() => undefined);
      else await new Promise((resolve) => setTimeout(resolve, lockPauseMs));
    }
  }

  /**
   * Keeps two notes that should not both exist, in a file of their own.
   * @param found the code of the finding
   * @param keys all keys of the log that were given
   * @returns the file's path
   */
  async keepEvidence({ kept, seen }: Evidence, found: string, keys: readonly VerifierKey[] = []): Promise<string> {
    const notes = { kept: Buffer.from(kept.note).toString(), seen: Buffer.from(seen.note).toString() };
    // Named by what is in it: finding the same fork again does not fill the folder.
    const name = createHash("sha256").update(JSON.stringify(notes)).digest("hex").slice(0, 16);
    const path = join(this.#folder, `${keptName(this.#key)}.fork-${name}.json`);
    const several = keys.length > 1 ? { vkeys: keys.map(({ text }) => text) } : {};
    const content = { format: "vitrine/fork-evidence/v1", vkey: this.#key.text, ...several, found, ...notes };
    try {
      await writeDurably(path, `${JSON.stringify(content, undefined, 2)}\n`);
    } catch (error) {
      throw pathError(error, `the evidence ${printable(path)} cannot be written`);
    }
    return path;
  }
}

const staleMs = 10_000;
const lockPauseMs = 50;
