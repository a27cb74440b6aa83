import { mkdir, open, readFile, rename, stat } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { LogServerError, reason } from "../errors.ts";
import { type Checkpoint, parseCheckpointText } from "../formats/checkpoint.ts";
import { checkNote, parseNote, type VerifierKey } from "../formats/note.ts";
import type { Hooks } from "../hooks.ts";
import type { RecordedCheckpoint } from "../store/store.ts";

/** A checkpoint of this log, signed by its key, and when. */
export interface SignedCheckpoint extends Checkpoint, RecordedCheckpoint {}

function isMissing(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === "ENOENT";
}

/**
 * Reads a checkpoint that this log signed before: by one of its keys at least, and each signature by one of them is
 * good.
 * @param keys that are configured now; the note may have been signed by others as well, or by only some of them
 * @param where the note comes from, for the error
 * @param damaged the code for a note that is not what it was
 * @throws LogServerError `damaged`, or `bad_key` when other keys signed it
 */
export function openCheckpoint(
  note: string,
  time: number,
  keys: readonly VerifierKey[],
  where: string,
  damaged: "guard_missing" | "store_corrupt",
): SignedCheckpoint {
  const origin = keys[0]!.name;
  const parsed = parseNote(Buffer.from(note));
  const checkpoint = parsed && parseCheckpointText(parsed.text);
  const signatures = parsed === undefined ? [] : keys.map((key) => checkNote(parsed, key));
  const good = signatures.includes("good") && !signatures.includes("invalid");
  if (checkpoint?.origin === origin && good) return { ...checkpoint, note, time };
  if (parsed !== undefined && checkpoint !== undefined && !signatures.includes("invalid")) {
    const own = parsed.signatures.filter(({ name }) => name === checkpoint.origin);
    const ids = own.map(({ name, id }) => `${name}+${id.toString("hex")}`).join(", ");
    const message = `${where} was signed by ${ids || "others"}, and not by a key of this log: put back the key that signed it. To change a log's key, name the new one in "more_keys" beside the old one first, tell the verifiers, and drop the old one after that`;
    throw new LogServerError("bad_key", message);
  }
  const remedy =
    damaged === "guard_missing"
      ? "put back the checkpoint last served, which any verifier of this log keeps"
      : "restore a copy that is not older than the guard file";
  throw new LogServerError(damaged, `${where} is damaged: ${remedy}`);
}

/**
 * @returns the last signed checkpoint as the guard file has it; undefined when there is no such file
 * @throws LogServerError `guard_missing`, `bad_key`
 */
export async function readGuard(path: string, keys: readonly VerifierKey[]): Promise<SignedCheckpoint | undefined> {
  try {
    const note = await readFile(path);
    const { mtimeMs } = await stat(path);
    return openCheckpoint(note.toString("utf8"), Math.floor(mtimeMs), keys, `the guard file ${path}`, "guard_missing");
  } catch (error) {
    if (error instanceof LogServerError) throw error;
    if (isMissing(error)) return undefined;
    throw new LogServerError(
      "guard_missing",
      `the guard file ${path} cannot be read: ${reason(error)}`,
      {},
      { cause: error },
    );
  }
}

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, "r");
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

/**
 * Creates a folder and those above it. Node's own `recursive` never returns where the file system takes no folders though
 * the one above is there, such as /proc (seen with Node 20.20).
 * @throws the system's error
 */
export async function makeFolder(path: string): Promise<void> {
  const folder = resolve(path);
  const found = await stat(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw error;
  });
  if (found?.isDirectory()) return;
  if (found === undefined) await makeFolder(dirname(folder));
  await mkdir(folder).catch(async (error: NodeJS.ErrnoException) => {
    // Another process may have made it in between.
    if (error.code !== "EEXIST" || !(await stat(folder)).isDirectory()) throw error;
  });
}

/** Replaces the guard file. When this returns, the new one survives the loss of power. */
export async function writeGuard(path: string, note: string, hooks: Hooks): Promise<void> {
  const temporary = `${path}.new`;
  await makeFolder(dirname(path));
  // CRASH: signed, and the signature has not left the process; the guard is the one before. The next start signs the
  // same tree or a larger one.
  await hooks.at("guard:before");
  const file = await open(temporary, "w", 0o644);
  try {
    await file.writeFile(note);
    await file.sync();
  } finally {
    await file.close();
  }
  // CRASH: as before; the temporary file is overwritten next time.
  await hooks.at("guard:written");
  await rename(temporary, path);
  // CRASH: the guard is the old or the new one. If it is the new one, the store has its tree, for that was durable
  // before.
  await hooks.at("guard:renamed");
  await syncDirectory(dirname(path));
}
