import { nowMicros } from "./clock.ts";
import type { ChainPlace } from "./record-file.ts";
import { SEGMENT_HEAD } from "./segment.ts";
import type { Ground } from "./start.ts";

/** What an earlier run left to be submitted. */
export interface Backlog {
  readonly segment: number;
  readonly offset: number;
  /** Of the first batch with an entry that the log has not acknowledged. */
  readonly address: number;
  /** In front of the first entry that is read. */
  readonly before: ChainPlace;
  /** Up to which address entries wait, and since when by the monotonic clock. */
  readonly waiting: readonly { readonly through: number; readonly since: number }[];
}

export function backlogOf({ segments, scan, head }: Ground): Backlog {
  const batches = scan?.unacknowledged ?? [];
  const addressOf = (segment: number, offset: number): number => segments.get(segment)!.base + offset - SEGMENT_HEAD;
  const now = performance.now();
  const wall = nowMicros();
  const waiting = batches.map(({ segment, end, micros }) => ({
    through: addressOf(segment, end),
    since: now - Math.max(0, wall - micros) / 1000,
  }));
  const first = batches[0];
  if (first === undefined)
    return {
      segment: segments.current.number,
      offset: SEGMENT_HEAD,
      address: segments.address,
      before: head,
      waiting,
    };
  const { segment, offset, before } = first;
  return { segment, offset, address: addressOf(segment, offset), before, waiting };
}
