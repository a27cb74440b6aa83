import { mkdir, open, readdir, readFile, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { LogServerError, reason } from "../errors.ts";
import { makeFolder } from "../publish/guard.ts";

/** Where files are written before they get their names; it is removed at the end. */
const UNFINISHED = ".unfinished";
/** Files that are written at a time. */
const AT_A_TIME = 16;

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/** The folder of an export. A file in it is whole, or not there. */
export class ExportFolder {
  readonly #path: string;
  /** Folders with files, or with folders, that are new since the last sync. */
  readonly #changed = new Set<string>();
  readonly #made = new Set<string>();
  #number = 0;
  readonly #writing = new Set<Promise<void>>();
  #failed: LogServerError | undefined;

  private constructor(path: string) {
    this.#path = path;
  }

  /**
   * @param resume whether the folder may have an earlier export in it
   * @throws LogServerError `export_exists`, `write_failed`
   */
  static async open(path: string, resume: boolean): Promise<ExportFolder> {
    try {
      await makeFolder(path);
      const found = await readdir(path);
      if (found.length > 0 && !resume) {
        const message = `${path} is not empty: name an empty folder, or go on with an earlier export with --resume`;
        throw new LogServerError("export_exists", message);
      }
      await rm(join(path, UNFINISHED), { recursive: true, force: true });
      await mkdir(join(path, UNFINISHED));
    } catch (error) {
      throw writeError(path, error);
    }
    return new ExportFolder(path);
  }

  /** @returns what a file holds; undefined when there is none. @throws LogServerError `write_failed` */
  async read(name: string): Promise<Buffer | undefined> {
    try {
      return await readFile(join(this.#path, name));
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === "ENOENT" || code === "ENOTDIR") return undefined;
      throw writeError(join(this.#path, name), error);
    }
  }

  /**
   * Begins to write a file, which must not be there, or may be replaced. It waits while many are being written.
   * @param name with `/` between folders
   * @throws LogServerError `write_failed`, for this or an earlier one
   */
  async write(name: string, bytes: Uint8Array): Promise<void> {
    while (this.#writing.size >= AT_A_TIME) await Promise.race(this.#writing);
    if (this.#failed !== undefined) throw this.#failed;
    const writing = this.#place(name, bytes)
      .catch((error: unknown) => {
        this.#failed ??= writeError(join(this.#path, name), error);
      })
      .finally(() => this.#writing.delete(writing));
    this.#writing.add(writing);
  }

  async #place(name: string, bytes: Uint8Array): Promise<void> {
    const target = join(this.#path, name);
    this.#number += 1;
    const temporary = join(this.#path, UNFINISHED, String(this.#number));
    await this.#makeFolder(dirname(target));
    const file = await open(temporary, "w", 0o644);
    try {
      await file.writeFile(bytes);
      await file.sync();
    } finally {
      await file.close();
    }
    // CRASH: the file has no name yet; the next export removes it.
    await rename(temporary, target);
    this.#changed.add(dirname(target));
  }

  async #makeFolder(path: string): Promise<void> {
    if (this.#made.has(path)) return;
    const first = await mkdir(path, { recursive: true });
    this.#made.add(path);
    // Each folder that was made stands in one that has to be synced.
    for (let made = path; first !== undefined && made.length >= first.length; made = dirname(made)) {
      this.#changed.add(made).add(dirname(made));
    }
  }

  /**
   * Waits until everything written so far survives the loss of power.
   * @throws LogServerError `write_failed`
   */
  async settle(): Promise<void> {
    await Promise.all(this.#writing);
    if (this.#failed !== undefined) throw this.#failed;
    try {
      for (const path of this.#changed) await syncFolder(path);
    } catch (error) {
      throw writeError(this.#path, error);
    }
    this.#changed.clear();
  }

  /** Removes what is left of unfinished files. */
  async close(): Promise<void> {
    await Promise.all(this.#writing);
    // If it cannot be removed, the next export tries again.
    await rm(join(this.#path, UNFINISHED), { recursive: true, force: true }).catch(() => undefined);
  }
}

function writeError(path: string, error: unknown): LogServerError {
  if (error instanceof LogServerError) return error;
  const message = `${path} cannot be written: ${reason(error)}; free or replace the disk, and go on with --resume`;
  return new LogServerError("write_failed", message, {}, { cause: error });
}
