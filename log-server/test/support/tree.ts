import { leafHashInto, RightEdge } from "../../src/formats/merkle.ts";
import type { CheckedSubmission } from "../../src/intake/check.ts";
import { Turn } from "../../src/intake/turn.ts";
import type { Store } from "../../src/store/store.ts";
import { frameEntry, type TestEntry } from "./source.ts";

// Trees of any size without sources or HTTP: entries go into a store as the sequencer would write them.

/** @returns a submission as it is after its checks. */
export function checked(source: string, epoch: number, seq: number, entries: readonly TestEntry[]): CheckedSubmission {
  const starts: number[] = [];
  const ends: number[] = [];
  const leaves = Buffer.alloc(entries.length * 32);
  const frames = entries.map(frameEntry);
  let offset = 0;
  for (const [i, { bytes }] of entries.entries()) {
    starts.push(offset + 2);
    ends.push(offset + 2 + bytes.length);
    offset += frames[i]!.length;
    leafHashInto(leaves, i * 32, bytes);
  }
  const base = { source, vkey: "", epoch, seq, count: entries.length, starts, ends, blocks: [], shared: [], leaves };
  const payload = Buffer.concat(frames);
  if (seq > 0) return { ...base, payload };
  return { ...base, payload, previous: JSON.parse(entries[0]!.bytes.toString()).previous };
}

export const entryBytes = (index: number): Buffer => Buffer.from(`entry ${index}`);

/** Appends entries to a store until the tree has this size, in steps of these lengths, over and over. */
export async function grow(
  store: Store,
  edge: RightEdge,
  size: number,
  steps: readonly number[],
  bytesOf: (index: number) => Buffer = entryBytes,
): Promise<void> {
  for (let i = 0; edge.size < size; i += 1) {
    const turn = new Turn(edge);
    const count = Math.min(steps[i % steps.length]!, size - edge.size);
    const first = edge.size;
    const entries = Array.from({ length: count }, (_, j) => ({ bytes: bytesOf(first + j), disclosures: [] }));
    turn.add(checkedRaw(first, entries), 0, { epoch: 1, next: first, chain: Buffer.alloc(32), vkey: "" });
    await store.append(turn.finish());
  }
}

function checkedRaw(seq: number, entries: readonly TestEntry[]): CheckedSubmission {
  return { ...checked("s", 1, seq + 1, entries), seq };
}

export function newEdge(): RightEdge {
  return new RightEdge(0, []);
}
