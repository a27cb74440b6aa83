import { stat } from "node:fs/promises";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { type LogReader, VerifierError } from "../src/index.ts";
import { systemCode } from "./files.ts";
import { FolderReader } from "./folder-reader.ts";
import { HttpClient } from "./http.ts";
import { HttpReader } from "./http-reader.ts";
import { printableShort } from "./printable.ts";

/** Where a log is read: over HTTP, or from a folder on this machine. */
export type LogSource = {
  reader: LogReader;
  /** The URL, or the folder's absolute path; fit for a terminal only when printed through `printable`. */
  base: string;
  /** Undefined for a folder, which no network is touched for. */
  http: HttpClient | undefined;
  close(): void;
};

/**
 * @param given an http, https or file URL, or a folder
 * @param timeoutMs how long a log may be silent
 * @param token for a log that gives its entries to holders of one alone; sent with requests for entries and no others
 * @throws VerifierError `usage`
 */
export async function openSource(given: string, timeoutMs: number, token?: string): Promise<LogSource> {
  if (/^file:/i.test(given)) return openFolder(pathOf(given));
  if (!/^[a-z][a-z0-9+.-]*:\/\//i.test(given) && (await exists(given))) return openFolder(given);
  const http = new HttpClient(given, timeoutMs);
  return { reader: new HttpReader(http, token), base: http.base, http, close: () => http.close() };
}

async function openFolder(folder: string): Promise<LogSource> {
  const reader = await FolderReader.open(folder);
  return { reader, base: resolve(folder), http: undefined, close: () => undefined };
}

function pathOf(url: string): string {
  try {
    return fileURLToPath(url);
  } catch {
    // Another host's file, an encoded slash: Node's own words say less.
    const message = `--log ${printableShort(url)} is not the URL of a folder on this machine; write file:///its/path`;
    throw new VerifierError("usage", message);
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if (systemCode(error) !== undefined) return false;
    throw error;
  }
}
