import { closeSync, fstatSync, openSync, readSync, statSync } from "node:fs";
import { codeOf } from "./errors.ts";

/** Enough of a log's end to hold its last line. */
const TAIL_BYTES = 16 * 1024;

/** Bytes in a file; 0 when there is none. */
export function sizeOf(file: string): number {
  try {
    return statSync(file).size;
  } catch (error) {
    if (codeOf(error) === "ENOENT") return 0;
    throw error;
  }
}

/**
 * Why a program ended, by its log: the last line that `telling` knows for the cause of an end, or else the last line.
 *
 * @param from where this run's part of the log begins, in bytes
 */
export function lastLine(file: string, from: number, telling: RegExp): string | undefined {
  const descriptor = openSync(file, "r");
  try {
    const { size } = fstatSync(descriptor);
    const start = Math.max(from, size - TAIL_BYTES);
    const bytes = Buffer.alloc(Math.max(0, size - start));
    readSync(descriptor, bytes, 0, bytes.length, start);
    const lines = bytes
      .toString("utf8")
      .split("\n")
      .map((line) => line.trim())
      .filter((line) => line !== "");
    return lines.findLast((line) => telling.test(line)) ?? lines.at(-1);
  } finally {
    closeSync(descriptor);
  }
}
