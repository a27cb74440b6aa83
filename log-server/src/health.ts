import { parseCheckpointText } from "./checkpoint.ts";
import type { SignedCheckpoint } from "./guard.ts";
import { checkNote, parseNote, type VerifierKey } from "./note.ts";
import type { TreeHead } from "./store.ts";

/** What was found. Each member of `checks` is a sentence when the check failed, else "ok". */
export interface Health {
  readonly status: "ok" | "failing";
  readonly checks: {
    readonly signature: string;
    readonly tree: string;
    readonly publishing: string;
    readonly writing: string;
  };
  /** Of the latest checkpoint. */
  readonly size: number;
  /** Of the tree, published or not. */
  readonly tree_size: number;
  /** Milliseconds since the publisher last found everything in order. */
  readonly publish_check_age_ms: number;
  readonly index_lag: number;
  readonly search_lag: number;
}

/** What the checks look at. */
export interface HealthState {
  readonly key: VerifierKey;
  readonly served: SignedCheckpoint;
  readonly head: TreeHead;
  /** When the publisher last found everything in order, and every how many milliseconds it looks. */
  readonly checkedAt: number;
  readonly interval: number;
  readonly indexed: number;
  readonly searchable: number;
  readonly failure: string | undefined;
}

// A publication may take a few syncs of a slow disk; more than this without one is not normal.
const OVERDUE_INTERVALS = 3;
const OVERDUE_MS = 5000;

function signatureCheck({ key, served }: HealthState): string {
  const note = parseNote(Buffer.from(served.note));
  const checkpoint = note && parseCheckpointText(note.text);
  if (note === undefined || checkpoint === undefined) return "the checkpoint served is malformed";
  const signature = checkNote(note, key);
  if (signature !== "good") return `the log's signature on the checkpoint served is ${signature}`;
  if (checkpoint.size !== served.size || !checkpoint.root.equals(served.root)) {
    return "the checkpoint served is not the one that the tiles are served by";
  }
  return "ok";
}

function treeCheck({ served, head }: HealthState): string {
  if (served.size > head.size) return `the checkpoint served has the size ${served.size}, and the tree ${head.size}`;
  if (served.size === head.size && !served.root.equals(head.root))
    return "the checkpoint served has another root than the tree";
  return "ok";
}

/** Really checks what can go wrong while the log runs. The indexes are no part of the status: they may lag. */
export function checkHealth(state: HealthState, now: number): Health {
  const age = now - state.checkedAt;
  const overdue = age > OVERDUE_INTERVALS * state.interval + OVERDUE_MS;
  const checks = {
    signature: signatureCheck(state),
    tree: treeCheck(state),
    publishing: overdue ? `no checkpoint was verified or signed for ${age} ms` : "ok",
    writing: state.failure ?? "ok",
  };
  return {
    status: Object.values(checks).every((check) => check === "ok") ? "ok" : "failing",
    checks,
    size: state.served.size,
    tree_size: state.head.size,
    publish_check_age_ms: age,
    index_lag: Math.max(0, state.served.size - state.indexed),
    search_lag: Math.max(0, state.served.size - state.searchable),
  };
}
