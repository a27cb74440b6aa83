/** The places where a process may die between two durable steps. Each has a CRASH: comment where it stands. */
export const CRASH_POINTS = [
  "batch.before",
  "batch.durable",
  "segment.headed",
  "segment.named",
  "segment.ready",
  "prune.carried",
  "prune.renamed",
  "prune.done",
  "spare.created",
  "open.truncated",
  "open.segment",
  "open.started",
  "open.recovered",
  "submit.before",
  "submit.acknowledged",
  "record.headed",
  "record.away",
  "record.durable",
  "key.durable",
  "key.kept",
  "key.switched",
  "key.acknowledged",
  "key.forgotten",
  "stop.stopped",
  "stop.submitted",
] as const;
export type CrashPoint = (typeof CRASH_POINTS)[number];

export interface Hooks {
  at?(point: CrashPoint): void;
}
