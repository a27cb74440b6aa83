import { parseVerifierKey, type VerifierKey } from "./key.ts";
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
  /** `pinned`: it was given to the verifier. `learned`: it is the one that the source's first entry names. */
  key: "pinned" | "learned" | "unknown";
  openSessions: number;
};

/** @returns a report for each source, in the order in which they first wrote. */
export function reportSources(
  records: readonly SourceRecord[],
  pins: ReadonlyMap<string, VerifierKey> = new Map(),
): SourceReport[] {
  return records.map((record) => {
    const { vkey, chain: _, counts: __, next: ___, sessions, ...rest } = record;
    const pin = pins.get(record.name);
    const known = pin ?? (vkey === null ? undefined : parseVerifierKey(vkey));
    const key = pin !== undefined ? "pinned" : known === undefined ? "unknown" : "learned";
    return { ...rest, keyId: known?.id, key, openSessions: sessions.open.length };
  });
}
