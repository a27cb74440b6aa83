/**
 * The files of a source's keys: the one in its place, `<file>.next` that is to follow it, and `<file>.previous`, which is
 * kept until the log has acknowledged the entry that ended it. Which of them is in force the spool says, never a name:
 * so no order in which a crash leaves them can bring a wrong key into force.
 */
import { link, open, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { ProxyError } from "../errors.ts";
import type { Hooks } from "./crash-points.ts";
import { newSigningKey, parseSigningKey } from "./keys.ts";

const MAX_BYTES = 4096;

/** Lines with signing keys, not yet parsed; undefined where there is no such file. */
export interface KeyLines {
  readonly current: string;
  readonly next: string | undefined;
  readonly previous: string | undefined;
}

/** Where a source's keys are kept. Each change is durable when its promise resolves. */
export interface KeyStore {
  /** For messages: where the key stands. */
  readonly path: string;
  /** @throws ProxyError `bad_key` */
  read(): Promise<KeyLines>;
  /** The next key takes the place of the current one, which is kept as the previous. May be repeated after a crash. */
  advance(hooks: Hooks): Promise<void>;
  /** The previous key is needed no more. */
  forget(): Promise<void>;
}

/** The keys in files beside each other. */
export class KeyFiles implements KeyStore {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  async read(): Promise<KeyLines> {
    return {
      current: await readSourceKey(this.path),
      next: await readIfThere(`${this.path}.next`),
      previous: await readIfThere(`${this.path}.previous`),
    };
  }

  async advance(hooks: Hooks): Promise<void> {
    await changing(this.path, async () => {
      await writeNew(`${this.path}.previous-new`, await readSourceKey(this.path));
      await rename(`${this.path}.previous-new`, `${this.path}.previous`);
      await syncFolder(this.path);
      // CRASH: the old key stands in two files and the new one is still the next; this is done once more.
      hooks.at?.("key.kept");
      await rename(`${this.path}.next`, this.path);
      await syncFolder(this.path);
    });
  }

  async forget(): Promise<void> {
    await changing(this.path, async () => {
      await rm(`${this.path}.previous`, { force: true });
      await syncFolder(this.path);
    });
  }
}

/**
 * Makes the key that is to follow the one in a file, as `<file>.next`, durable and readable by its owner only.
 * @returns its verifier key
 * @throws ProxyError `bad_key` when there is a next one already, or a file cannot be read or written
 */
export async function makeNextKey(path: string): Promise<string> {
  const { name } = parseSigningKey(await readSourceKey(path));
  const line = newSigningKey(name);
  const next = `${path}.next`;
  await changing(path, async () => {
    await writeNew(`${next}-new`, `${line}\n`);
    // CRASH: what is not called the next key is written anew by the next call.
    // A link, because it fails where a rename would replace a key that may be in use already.
    await link(`${next}-new`, next).catch(async (error: NodeJS.ErrnoException) => {
      await rm(`${next}-new`, { force: true });
      if (error.code !== "EEXIST") throw error;
      throw new ProxyError(
        "bad_key",
        `${next} exists: a change of the key is under way; send the proxy SIGHUP, or start it, and wait for its line`,
      );
    });
    await rm(`${next}-new`);
    await syncFolder(path);
  });
  return parseSigningKey(line).vkey;
}

/**
 * Reads the file of a source's signing key (spec/checkpoint.md): one line, readable by its owner only.
 * @returns the line, not yet parsed
 * @throws ProxyError `bad_key`
 */
export async function readSourceKey(path: string): Promise<string> {
  const line = await readIfThere(path);
  if (line !== undefined) return line;
  throw new ProxyError("bad_key", `the source's key file ${path} cannot be read (ENOENT); restore it`);
}

async function readIfThere(path: string): Promise<string | undefined> {
  const bad = (what: string, cause?: unknown): ProxyError =>
    new ProxyError("bad_key", `the source's key file ${path} ${what}`, { cause });
  const file = await open(path, "r").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw bad(`cannot be read (${error.code}); restore it`, error);
  });
  if (file === undefined) return undefined;
  try {
    const { mode, size } = await file.stat();
    if (process.platform !== "win32" && (mode & 0o077) !== 0)
      throw bad(`can be read by others than its owner; run chmod 600 on it`);
    if (size > MAX_BYTES) throw bad(`has ${size} bytes; a key is one line`);
    return await file.readFile("utf8");
  } finally {
    await file.close();
  }
}

/** Makes a file anew, also where an earlier try left one. */
async function writeNew(path: string, text: string): Promise<void> {
  await rm(path, { force: true });
  const file = await open(path, "wx", 0o600);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(dirname(path), "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

async function changing(path: string, act: () => Promise<void>): Promise<void> {
  try {
    await act();
  } catch (error) {
    if (error instanceof ProxyError) throw error;
    const { message } = error as Error;
    throw new ProxyError(
      "bad_key",
      `the key files beside ${path} cannot be changed: ${message}; make the folder writable`,
      { cause: error },
    );
  }
}
