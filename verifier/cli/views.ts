import { createHash } from "node:crypto";
import { stat } from "node:fs/promises";
import { type LogReader, maxNoteLength, VerifierError, type VerifierKey, type View } from "../src/index.ts";
import { readBounded, systemCode } from "./files.ts";
import { type LogSource, openSource } from "./log-source.ts";

/** A view, and what ends its connections. */
export type OpenView = View & { close(): void };

/** Where a witness or mirror serves a log's checkpoint and tiles, below its own URL (C2SP tlog-witness, tlog-mirror). */
export function originFolder(key: VerifierKey): string {
  return createHash("sha256").update(key.name).digest("hex");
}

/**
 * @param given the URL or folder of a log, or of a witness or mirror of several; or a file with a signed note, `-` being
 * standard input
 * @param key the log's
 * @throws VerifierError `usage`
 */
export async function openView(given: string, key: VerifierKey, timeoutMs: number): Promise<OpenView> {
  if (given === "-" || (await isFile(given))) {
    return { name: given, checkpoint: () => readNote(given), close: () => undefined };
  }
  const url = given.replace(/\/checkpoint$/, "");
  const whole = await openSource(url, timeoutMs).catch((error: unknown) => {
    if (!(error instanceof VerifierError) || error.code !== "usage") throw error;
    throw new VerifierError("usage", error.message.replace(/^--log /, "the view "));
  });
  const below = await openBelow(url, whole.http !== undefined, originFolder(key), timeoutMs);
  let chosen: LogReader = whole.reader;
  return {
    name: given,
    checkpoint: async () => {
      const own = await read(whole.reader);
      if (own instanceof Uint8Array || below === undefined) return orThrow(own);
      // Not a log's own place: perhaps that of somebody who has many logs.
      const theirs = await read(below.reader);
      if (!(theirs instanceof Uint8Array)) return orThrow(own);
      chosen = below.reader;
      return theirs;
    },
    tile: (level, n, width) => chosen.tile(level, n, width),
    close: () => {
      whole.close();
      below?.close();
    },
  };
}

type Checkpoint = Uint8Array | "missing" | VerifierError;

/** @returns as an error what the place answers instead of a checkpoint */
async function read(reader: LogReader): Promise<Checkpoint> {
  try {
    return await reader.checkpoint();
  } catch (error) {
    if (error instanceof VerifierError && error.code === "data_missing") return error;
    throw error;
  }
}

function orThrow(checkpoint: Checkpoint): Uint8Array | "missing" {
  if (checkpoint instanceof VerifierError) throw checkpoint;
  return checkpoint;
}

/** @returns the place of the one log; undefined for a folder that has no such folder */
async function openBelow(
  url: string,
  isHttp: boolean,
  folder: string,
  timeoutMs: number,
): Promise<LogSource | undefined> {
  try {
    return await openSource(`${url.replace(/\/+$/, "")}/${folder}`, timeoutMs);
  } catch (error) {
    if (isHttp || !(error instanceof VerifierError)) throw error;
    return undefined;
  }
}

async function isFile(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isFile();
  } catch (error) {
    if (systemCode(error) !== undefined) return false;
    throw error;
  }
}

/** One byte beyond the limit is enough for C1 to see that it is too long. */
async function readNote(path: string): Promise<Uint8Array> {
  return new Uint8Array(await readBounded(path, maxNoteLength, "the signed note"));
}
