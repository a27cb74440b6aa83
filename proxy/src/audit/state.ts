/** Kinds that the audit core itself tells apart: those that a seal counts, and a source's own. */
export const KIND_CODES: Readonly<Record<string, number>> = {
  "session.start": 1,
  statement: 2,
  "access.refused": 3,
  "source.start": 4,
  "source.seal": 5,
  "source.stop": 6,
  "source.key": 7,
};
export const KIND_SESSION = 1;
export const KIND_STATEMENT = 2;
export const KIND_REFUSED = 3;
export const KIND_START = 4;
export const KIND_STOP = 6;
export const KIND_KEY = 7;

/** A place in a source's history: `next` is the number of entries of `epoch`. */
export interface Place {
  readonly epoch: number;
  readonly next: number;
}

/** Negative, zero or positive as `a` is before, at or after `b`. */
export function comparePlaces(a: Place, b: Place): number {
  return a.epoch - b.epoch || a.next - b.next;
}

/** Where a spool stands: what a segment's head says about everything before it. Plain data, kept as JSON. */
export interface SpoolHead extends Place {
  /** The source's verifier key in force behind the last entry. */
  readonly vkey: string;
  /** c(next), base64. */
  readonly chain: string;
  /** The last entry is `source.stop`. */
  readonly clean: boolean;
  /** The spool before this one was lost, and no `source.start` has said so yet. */
  readonly lost: boolean;
  readonly sessions: number;
  readonly statements: number;
  readonly refused: number;
  /** Entries before this place were acknowledged by the log. */
  readonly acknowledged: Place;
  /** Higher than the id of every intent so far. */
  readonly nextId: number;
}

/** 32 zero bytes: c(0). */
export const EMPTY_CHAIN: string = Buffer.alloc(32).toString("base64");
