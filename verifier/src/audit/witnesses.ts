import type { Findings } from "../findings.ts";
import type { Checkpoint } from "../formats/checkpoint.ts";
import { type Cosignature, verifyCosignature } from "../formats/cosignature.ts";
import { parseNote } from "../formats/note.ts";
import type { Policy, PolicyWitness } from "../formats/policy.ts";
import { describeShortfall, isQuorumReached, quorumWitnesses } from "../formats/quorum.ts";

/** What a verifier demands of witnesses. */
export type WitnessDemand = {
  policy: Policy;
  /** Cosignatures that are older, in seconds, do not count; undefined: however old they are. */
  maxAge?: number | undefined;
};

/** Steps W1 to W3: what one witness has said of a checkpoint. */
export type WitnessReport = {
  /** As the policy calls it. */
  name: string;
  /** The name and key id of its key. */
  key: string;
  /** Only `cosigned` counts. `future` and `old` are good cosignatures of a time that is out of bounds. */
  state: "cosigned" | "missing" | "invalid" | "future" | "old";
  /** Seconds since 1970 of its latest cosignature that is not in the future; if all are, of the latest. */
  timestamp: number | null;
  /** Whether the quorum can depend on it. */
  inQuorum: boolean;
};

/** Steps W1 to W4: what all witnesses of the policy have said of one checkpoint. */
export type WitnessingReport = {
  /** Entries in the tree that they were asked about. */
  size: number;
  /** The name of the witness or group that must have witnessed it, or `none`. */
  quorum: string;
  reached: boolean;
  witnesses: WitnessReport[];
};

/** How far ahead of the verifier's clock a cosignature may be, in seconds. */
export const futureTolerance = 300;

/** What is known of the cosignatures of one checkpoint, before it is said what follows from it. */
export type Witnessing = { report: WitnessingReport; missing: { code: MissingCode; message: string } | undefined };

type MissingCode = "quorum_missing" | "cosignature_old";

/**
 * Steps W1 to W4.
 * @param checkpoint one that has passed C1 to C5
 * @param now the verifier's clock, milliseconds since 1970
 * @param findings gets what contradicts (W1); what is missing is in the result, since a later checkpoint may have it
 */
export function checkWitnesses(
  checkpoint: Checkpoint,
  { policy, maxAge }: WitnessDemand,
  now: number,
  findings: Findings,
): Witnessing {
  const note = parseNote(checkpoint.note);
  const asked = new Set(quorumWitnesses(policy));
  const states = new Map<PolicyWitness, WitnessReport>();
  for (const witness of policy.witnesses) {
    const said = verifyCosignature(note, witness.key);
    const key = `${witness.key.name}+${witness.key.id}`;
    // W1
    if (said.state === "invalid") {
      const message = `the cosignature by the witness ${witness.name} (${key}) is not one: ${said.why}`;
      findings.add("cosignature_invalid", message, { where: "checkpoint" });
    }
    const inQuorum = asked.has(witness);
    states.set(witness, { name: witness.name, key, ...judge(said, now / 1000, maxAge), inQuorum });
  }
  const inStates = (...wanted: WitnessReport["state"][]): Set<PolicyWitness> =>
    new Set(policy.witnesses.filter((witness) => wanted.includes(states.get(witness)!.state)));
  const counted = inStates("cosigned");
  const report = {
    size: checkpoint.size,
    quorum: policy.quorum === "none" ? "none" : policy.quorum.name,
    reached: isQuorumReached(policy, counted),
    witnesses: [...states.values()],
  };
  // What W1 has reported is not reported again as missing, nor what is old as missing altogether.
  if (isQuorumReached(policy, inStates("cosigned", "invalid"))) return { report, missing: undefined };
  const tooOld = isQuorumReached(policy, inStates("cosigned", "invalid", "old"));
  const why = describeShortfall(policy, counted)!;
  const message = `the tree of ${checkpoint.size} entries is not cosigned as the policy demands: ${why}${notCounted(report.witnesses)}`;
  return { report, missing: { code: tooOld ? "cosignature_old" : "quorum_missing", message } };
}

/** Steps W2 and W3 for one witness. */
function judge(
  said: Cosignature,
  now: number,
  maxAge: number | undefined,
): { state: WitnessReport["state"]; timestamp: number | null } {
  if (said.state !== "good") return { state: said.state, timestamp: null };
  // W2
  const timestamp = said.timestamps.find((time) => time <= now + futureTolerance);
  if (timestamp === undefined) return { state: "future", timestamp: said.timestamp };
  // W3
  return { state: maxAge !== undefined && timestamp < now - maxAge ? "old" : "cosigned", timestamp };
}

function notCounted(witnesses: readonly WitnessReport[]): string {
  const list: string[] = [];
  for (const { name, state, timestamp } of witnesses) {
    if (state === "future") list.push(`that of ${name} is of ${timeText(timestamp!)}, ahead of this clock`);
    if (state === "old") list.push(`that of ${name} is of ${timeText(timestamp!)}, older than is allowed`);
  }
  return list.length === 0 ? "" : `; not counted: ${list.join(", ")}`;
}

/** @returns the time as RFC 3339, or as a number where the calendar ends */
export function timeText(seconds: number): string {
  const end = 253402300800; // the year 10000
  return seconds < end ? `${new Date(seconds * 1000).toISOString().slice(0, 19)}Z` : `second ${seconds} since 1970`;
}
