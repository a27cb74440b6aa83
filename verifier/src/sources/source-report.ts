import { parseVerifierKey, type VerifierKey } from "../formats/key.ts";
import type { SourceRecord } from "./source.ts";

/** What an audit says about a source. */
export type SourceReport = Pick<
  SourceRecord,
  | "name"
  | "epoch"
  | "entries"
  | "epochs"
  | "cleanEnds"
  | "uncleanEnds"
  | "stopped"
  | "durability"
  | "seals"
  | "relaxed"
  | "gaps"
  | "last"
  | "lastSeal"
  | "unsealed"
> & {
  /** 8 hex digits; undefined when no acceptable key is known. */
  keyId: string | undefined;
  /** How many keys it has had, one after the other. */
  keys: number;
  /** `pinned`: one of them was given to the verifier. `learned`: they are those that the source's entries name. */
  key: "pinned" | "learned" | "unknown";
  openSessions: number;
};

/** @returns a report for each source, in the order in which they first wrote. */
export function reportSources(
  records: readonly SourceRecord[],
  pins: ReadonlyMap<string, VerifierKey> = new Map(),
): SourceReport[] {
  return records.map((record) => {
    const { vkey, keys, chain: _, counts: __, next: ___, sessions, ...rest } = record;
    const pin = pins.get(record.name);
    const known = vkey === null ? undefined : parseVerifierKey(vkey);
    const key = keys.some((each) => each.vkey === pin?.text) ? "pinned" : known === undefined ? "unknown" : "learned";
    return { ...rest, keyId: known?.id, keys: keys.length, key, openSessions: sessions.open.length };
  });
}
