/** A log's entries, rewritten: what someone with the log's key, or with the source's as well, can make of them. */
import { note, type Signer } from "./lying-note.ts";
import { leafHash, sha256 } from "./lying-tree.ts";

// biome-ignore lint/suspicious/noExplicitAny: an entry is rewritten in every possible way here
export type Members = Record<string, any>;

export function members(entry: Uint8Array): Members {
  return JSON.parse(Buffer.from(entry).toString()) as Members;
}

export function bytes(entry: Members): Buffer {
  return Buffer.from(JSON.stringify(entry));
}

/** An entry with some members changed, each where it stood. */
export function forged(entry: Uint8Array, change: Members): Buffer {
  return bytes({ ...members(entry), ...change });
}

/** A copy of the list with one entry's members changed in place. */
export function changed(entries: readonly Buffer[], index: number, change: (entry: Members) => void): Buffer[] {
  const entry = members(entries[index]!);
  change(entry);
  return entries.with(index, bytes(entry));
}

export interface SealFacts {
  kind: "source.seal" | "source.stop";
  source: string;
  epoch: number;
  next: number;
  chain: Buffer;
  sessions: number;
  statements: number;
  refused: number;
}

/** spec/submission.md, "Seal". */
export function sealText(facts: SealFacts): string {
  const { kind, source, epoch, next, chain, sessions, statements, refused } = facts;
  const counts = `sessions ${sessions}\nstatements ${statements}\nrefused ${refused}\n`;
  return `vitrine/${kind === "source.stop" ? "stop" : "seal"}/v1\n${source}\n${epoch}\n${next}\n${chain.toString("base64")}\n${counts}`;
}

export interface Remake {
  /** Signs the seals again over what the entries are now. Without it they stay as they are. */
  readonly seals?: Signer;
  /** Whether `seq` is counted anew. Else the entries keep theirs. */
  readonly renumber?: boolean;
  /** Whether `previous` is made to fit. Else it stays. */
  readonly previous?: boolean;
  /** The note of the seal at this index of the new list, in place of the right one. */
  readonly seal?: (facts: SealFacts, index: number) => string | undefined;
  /** The last word on an entry: its bytes at this index of the new list. */
  readonly entry?: (entry: Members, index: number) => Uint8Array | undefined;
}

/**
 * Makes the entries of one source fit together again after a change. Compact entries that need no change keep their
 * bytes, as signatures by Ed25519 are the same each time.
 */
export function remake(entries: readonly Buffer[], how: Remake): Buffer[] {
  let facts: SealFacts | undefined;
  let stopped = false;
  return entries.map((before, index) => {
    const entry = members(before);
    if (facts === undefined || entry.epoch !== facts.epoch) {
      if (how.previous && facts !== undefined && entry.kind === "source.start") {
        const { epoch, next } = facts;
        entry.previous = { ...entry.previous, epoch, next, chain: facts.chain.toString("base64"), clean: stopped };
      }
      const { source, epoch } = entry;
      facts = {
        kind: "source.seal",
        source,
        epoch,
        next: 0,
        chain: Buffer.alloc(32),
        sessions: 0,
        statements: 0,
        refused: 0,
      };
      stopped = false;
    }
    if (how.renumber) entry.seq = facts.next;
    if (entry.seal !== undefined) {
      facts.kind = entry.kind;
      const seal = how.seal?.(facts, index) ?? (how.seals && note(sealText(facts), how.seals));
      if (seal !== undefined) entry.seal = seal;
    }
    const after = Buffer.from(how.entry?.(entry, index) ?? bytes(entry));
    facts.chain = sha256(facts.chain, leafHash(after));
    facts.next += 1;
    if (entry.kind === "session.start") facts.sessions += 1;
    if (entry.kind === "statement") facts.statements += 1;
    if (entry.kind === "access.refused") facts.refused += 1;
    if (entry.kind === "source.stop") stopped = true;
    return after;
  });
}

/** Index of the first entry that is as wanted, from an index on. */
export function find(entries: readonly Buffer[], wanted: (entry: Members) => boolean, from = 0): number {
  for (let i = from; i < entries.length; i++) if (wanted(members(entries[i]!))) return i;
  throw new Error(`the recorded log has no such entry from ${from} on: ${wanted}`);
}
