import { LogServerError } from "../errors.ts";
import { MAX_ENTRY_BYTES } from "./entry.ts";

// Every entry of a source begins with these bytes: its first members have a fixed order, and no white space is
// between them (spec/entry.md).
const OF_A_SOURCE = Buffer.from('{"v":1,"kind":');

/** @returns whether the bytes begin as each entry of a source does; those of `POST /add` never do. */
export function isOfSource(entry: Buffer): boolean {
  return entry.subarray(0, OF_A_SOURCE.length).equals(OF_A_SOURCE);
}

/**
 * Checks an entry that comes without a source (spec/submission.md, "Entries without a source").
 * @throws LogServerError `bad_entry`
 */
export function checkAdded(entry: Buffer): void {
  const fail = (what: string): LogServerError => new LogServerError("bad_entry", `the body: ${what}`, { entry: 0 });
  if (entry.length === 0) throw fail(`it is the entry, and has 1 to ${MAX_ENTRY_BYTES} bytes; it is empty`);
  if (entry.length > MAX_ENTRY_BYTES) throw fail(`it has ${entry.length} bytes; the limit is ${MAX_ENTRY_BYTES}`);
  // Anyone could otherwise write in a source's name, and every later audit would fail for it.
  if (isOfSource(entry)) throw fail("it begins as an entry of a source does; those come by /api/v1/submissions");
}
