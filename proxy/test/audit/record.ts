/** Reads records as spec/record.md says, with code of its own, and holds them against a log. */
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { TestLog } from "./log.ts";

export interface Range {
  readonly epoch: number;
  readonly seq: number;
  readonly count: number;
  readonly index: number;
  readonly before: string;
  readonly after: string;
}

const sha256 = (...parts: Uint8Array[]): Buffer => createHash("sha256").update(Buffer.concat(parts)).digest();

/** The whole lines of a record's files, in the order in which they were begun, without headers. */
export function readRecord(dir: string, name = "submitted"): Range[][] {
  const names = readdirSync(dir).filter((file) => new RegExp(`^${name}(\\.\\d{6})?$`).test(file));
  // The one without a number is the last.
  names.sort((a, b) => (a === name ? 1 : b === name ? -1 : a.localeCompare(b)));
  return names.map((file) => {
    const [header, ...lines] = readFileSync(join(dir, file), "utf8").split("\n").slice(0, -1);
    if (!header?.startsWith('{"format":"vitrine/submitted/v1","origin":"')) throw new Error(`${file}: ${header}`);
    return lines.map((line) => JSON.parse(line) as Range);
  });
}

/** Where a range does not follow the one before it. */
export function gaps(ranges: readonly Range[]): string[] {
  return ranges.flatMap((range, i) => {
    const last = ranges[i - 1];
    const next = last?.epoch === range.epoch ? last.seq + last.count : 0;
    const before = last?.epoch === range.epoch ? last.after : Buffer.alloc(32).toString("base64");
    const good = range.seq === next && range.before === before && range.epoch >= (last?.epoch ?? 1);
    return good ? [] : [`${i}: ${JSON.stringify(last)} ${JSON.stringify(range)}`];
  });
}

/** Where the log has something else than a range says. */
export function differences(ranges: readonly Range[], log: TestLog): string[] {
  return ranges.flatMap((range) => {
    let chain: Buffer = Buffer.from(range.before, "base64");
    for (let k = 0; k < range.count; k++) {
      const entry = log.entries[range.index + k];
      if (entry?.json.epoch !== range.epoch || entry.json.seq !== range.seq + k)
        return [`${k} of ${JSON.stringify(range)}`];
      chain = sha256(chain, sha256(Buffer.of(0), Buffer.from(entry.text)));
    }
    return chain.toString("base64") === range.after ? [] : [`chain of ${JSON.stringify(range)}`];
  });
}
