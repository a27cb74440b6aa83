import { parseCheckpointText } from "./formats/checkpoint.ts";
import { checkNote, parseNote, type VerifierKey } from "./formats/note.ts";
import type { SignedCheckpoint } from "./publish/guard.ts";
import type { TreeHead } from "./store/store.ts";
import type { WitnessReport } from "./witnesses/witnesses.ts";

/** What was found. Each member of `checks` is a sentence when the check failed, else "ok". */
export interface Health {
  /** `degraded`: the log does all it can do by itself, and too few witnesses have cosigned. */
  readonly status: "ok" | "degraded" | "failing";
  readonly checks: {
    readonly signature: string;
    readonly tree: string;
    readonly edge: string;
    readonly publishing: string;
    readonly writing: string;
    readonly history: string;
    readonly witnesses: string;
  };
  /** Of the latest checkpoint. */
  readonly size: number;
  /** Since it was signed, in milliseconds; a tree that does not grow is not signed again. */
  readonly checkpoint_age_ms: number;
  /** Of the tree, published or not. */
  readonly tree_size: number;
  /** Milliseconds since the publisher last found everything in order. */
  readonly publish_check_age_ms: number;
  readonly index_lag: number;
  readonly search_lag: number;
  readonly witnesses: Omit<WitnessReport, "alarms">;
}

/** What the checks look at. */
export interface HealthState {
  /** All that signed what is served. */
  readonly keys: readonly VerifierKey[];
  readonly served: SignedCheckpoint;
  readonly head: TreeHead;
  /** What re-hashing the right edge of what is stored has found. */
  readonly edge: string;
  /** How long ago the publisher last found everything in order, and how often it looks, in milliseconds. */
  readonly checkedAgo: number;
  readonly interval: number;
  readonly indexed: number;
  readonly searchable: number;
  readonly failure: string | undefined;
  readonly witnesses: WitnessReport;
  /** Whether the log is failing, and not only degraded, without a quorum. */
  readonly witnessesRequired: boolean;
}

// A publication may take a few syncs of a slow disk; more than this without one is not normal.
const OVERDUE_INTERVALS = 3;
const OVERDUE_MS = 5000;

function signatureCheck({ keys, served }: HealthState): string {
  const note = parseNote(Buffer.from(served.note));
  const checkpoint = note && parseCheckpointText(note.text);
  if (note === undefined || checkpoint === undefined) return "the checkpoint served is malformed";
  for (const key of keys) {
    const signature = checkNote(note, key);
    if (signature === "good") continue;
    return `the log's signature by ${key.name}+${key.id.toString("hex")} on the checkpoint served is ${signature}`;
  }
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

function witnessesCheck({ quorum, cosigned, of, missing }: WitnessReport): string {
  if (quorum) return "ok";
  const why = missing.map(({ name, failure, since }) => {
    const time = since === undefined ? "" : ` since ${new Date(since).toISOString()}`;
    return `${name} (${failure ?? "awaited"}${time})`;
  });
  return `the checkpoint served has ${cosigned.length} of ${of} cosignatures, and not the policy's quorum; missing: ${why.join(", ")}`;
}

function publishingCheck({ checkedAgo, interval }: HealthState): string {
  const overdue = checkedAgo > OVERDUE_INTERVALS * interval + OVERDUE_MS;
  return overdue ? `no checkpoint was verified or signed for ${checkedAgo} ms` : "ok";
}

/** Really checks what can go wrong while the log runs. The indexes are no part of the status: they may lag. */
export function checkHealth(state: HealthState, now: number): Health {
  const { alarms, ...witnesses } = state.witnesses;
  const checks = {
    signature: signatureCheck(state),
    tree: treeCheck(state),
    edge: state.edge,
    publishing: publishingCheck(state),
    writing: state.failure ?? "ok",
    history: alarms.map(({ name, message }) => `witness ${name}: ${message}`).join("; ") || "ok",
    witnesses: witnessesCheck(state.witnesses),
  };
  const failed = Object.entries(checks).filter(([, found]) => found !== "ok");
  const alone = failed.length === 1 && checks.witnesses !== "ok" && !state.witnessesRequired;
  return {
    status: failed.length === 0 ? "ok" : alone ? "degraded" : "failing",
    checks,
    size: state.served.size,
    checkpoint_age_ms: Math.max(0, now - state.served.time),
    tree_size: state.head.size,
    publish_check_age_ms: state.checkedAgo,
    index_lag: Math.max(0, state.served.size - state.indexed),
    search_lag: Math.max(0, state.served.size - state.searchable),
    witnesses,
  };
}
