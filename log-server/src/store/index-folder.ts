import { Level } from "level";
import { LogServerError, reason } from "../errors.ts";

export type IndexDatabase = Level<Buffer, Buffer>;

// In Node.js, Level is ClassicLevel, which can remove the files of a database; the types of `level` leave that out.
const { destroy } = Level as unknown as { destroy(path: string): Promise<void> };

const META_KEY = Buffer.from("meta");
const WRITE_BUFFER_BYTES = 8 * 2 ** 20;

/** Where an index lives: a LevelDB folder that holds nothing else, and can be deleted at any time. */
export interface IndexFolder {
  readonly path: string;
  /** Such as "hash index", for messages. */
  readonly what: string;
  /** What it is an index of, and in which layout; stored in it. */
  readonly meta: Buffer;
  readonly warn: (message: string) => void;
}

/** @returns whether LevelDB found its own files damaged. */
export function isCorruption(error: unknown): boolean {
  const { code, cause } = error as { code?: unknown; cause?: { code?: unknown } };
  return code === "LEVEL_CORRUPTION" || cause?.code === "LEVEL_CORRUPTION" || /corruption/i.test(reason(error));
}

/** @returns whether another process has the folder open. */
export function isLocked(error: unknown): boolean {
  return (error as { cause?: { code?: unknown } }).cause?.code === "LEVEL_LOCKED";
}

/** Removes a closed index. */
export async function destroyIndex({ path, what, warn }: IndexFolder, why: string): Promise<void> {
  warn(`the ${what} ${path} is built again: ${why}`);
  await destroy(path);
}

/**
 * Opens the index, or begins a new one in place of one that is damaged or of another tree.
 * @param fits whether what the database holds can be continued
 * @throws Error when it cannot be opened; LogServerError `bad_config` when the folder holds something else, which is
 * not ours to delete
 */
export async function openIndex(
  folder: IndexFolder,
  fits: (db: IndexDatabase) => Promise<boolean>,
): Promise<IndexDatabase> {
  const options = { keyEncoding: "buffer", valueEncoding: "buffer" } as const;
  const db: IndexDatabase = new Level<Buffer, Buffer>(folder.path, options);
  const open = (): Promise<void> => db.open({ writeBufferSize: WRITE_BUFFER_BYTES });
  const again = async (why: string): Promise<void> => {
    await db.close();
    await destroyIndex(folder, why);
    await open();
  };
  try {
    await open();
  } catch (error) {
    if (!isCorruption(error)) throw error;
    await again("it is corrupt");
  }
  try {
    if (await isOurs(db, folder, fits)) return db;
    const [key] = await db.keys({ limit: 1 }).all();
    if (key !== undefined) await again("it is not of this tree, or of another version");
    await db.put(META_KEY, folder.meta);
    return db;
  } catch (error) {
    await db.close();
    throw error;
  }
}

async function isOurs(
  db: IndexDatabase,
  { what, meta }: IndexFolder,
  fits: (db: IndexDatabase) => Promise<boolean>,
): Promise<boolean> {
  try {
    const found = await db.get(META_KEY);
    if (found !== undefined) return found.equals(meta) && (await fits(db));
    const [key] = await db.keys({ limit: 1 }).all();
    if (key === undefined) return false;
  } catch (error) {
    if (isCorruption(error)) return false;
    throw error;
  }
  throw new LogServerError("bad_config", `the folder holds something that is not a ${what}`);
}
