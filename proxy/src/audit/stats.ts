import type { SpoolState } from "./options.ts";
import type { Place } from "./state.ts";
import type { SubmitterStats } from "./submitter.ts";

/** What a recorder tells of itself. */
export interface RecorderStats {
  readonly state: SpoolState;
  /** In the spool and not dealt with yet, with what open intents may still need. */
  readonly bytes: number;
  readonly maxBytes: number;
  /** Of the oldest entry that the log has not acknowledged; 0 without one. */
  readonly oldestAgeMs: number;
  /** Entries of this epoch. */
  readonly entries: number;
  readonly seals: number;
  readonly openIntents: number;
  /** Entries that the log has not acknowledged, those of earlier epochs included. */
  readonly unsubmitted: number;
  readonly acknowledged: Place;
  readonly segments: number;
  /** Group commits, and the milliseconds they took together and at most. */
  readonly commits: number;
  readonly commitMs: number;
  readonly slowestCommitMs: number;
  readonly submitter: SubmitterStats;
}
