import { cosigners, limitOfWitnesses } from "../audit/conclusion.ts";
import { checkWitnesses, type WitnessDemand, type WitnessingReport } from "../audit/witnesses.ts";
import { VerifierError } from "../errors.ts";
import { type Finding, Findings, type Verdict } from "../findings.ts";
import { type Checkpoint, verifyCheckpoint } from "../formats/checkpoint.ts";
import type { LogKeys } from "../formats/key.ts";
import { leafHash, verifyInclusion } from "../formats/merkle.ts";
import type { TlogProof } from "../formats/tlog-proof.ts";
import type { Step, Steps } from "./steps.ts";

/** What evidence of all forms has in common: bundles, bare proofs, and checkpoints that were saved. */

/** What is demanded besides the log's signature. */
export type EvidenceDemand = {
  /** Without it, witnesses are not looked at. */
  witnesses?: WitnessDemand | undefined;
  /** The verifier's clock, milliseconds since 1970. */
  now?: () => number;
};

/** What was established so far. */
export type EvidenceFacts = {
  /** The entry's index and, of a bundle, its text, once B3 has passed. */
  index?: number;
  entryText?: string;
  /** The entry, once B4 has passed. */
  entry?: Record<string, unknown>;
  /** Once C1 to C5 have passed. */
  checkpoint?: Checkpoint;
  /** What witnesses have said of it; undefined when none are demanded. */
  witnessing?: WitnessingReport;
  /** The values that are disclosed, each name once; those that B5 has passed. */
  disclosures: { name: string; value: unknown }[];
  /** The names of all sealed values of the entry, disclosed or not. */
  sealed: string[];
};

export type EvidenceReport<Name extends string = string> = EvidenceFacts & {
  verdict: Verdict;
  findings: Finding[];
  steps: Step<Name>[];
  /** What was established, and what was not. */
  conclusion: string;
};

export const checkpointText = "the checkpoint is signed by the log's key";
export const witnessText = "the witnesses have cosigned it as the policy demands";
export const inclusionText = "the inclusion proof leads from the entry to the checkpoint's root";

/**
 * Steps C1 to C5 as one, and step W when witnesses are demanded.
 * @returns the checkpoint; undefined when one of the steps contradicts
 */
export function checkSigned<Name extends string>(
  note: Uint8Array,
  key: LogKeys,
  { witnesses, now = Date.now }: EvidenceDemand,
  facts: EvidenceFacts,
  steps: Steps<Name | "W">,
  step: Name,
): Checkpoint | undefined {
  const checkpoint = steps.run(step, () => verifyCheckpoint(note, key));
  if (checkpoint === undefined) return undefined;
  facts.checkpoint = checkpoint;
  if (witnesses === undefined) return checkpoint;
  steps.run("W", () => {
    const found = new Findings();
    const { report, missing } = checkWitnesses(checkpoint, witnesses, now(), found);
    facts.witnessing = report;
    const [wrong] = found.list;
    if (wrong !== undefined) throw new VerifierError(wrong.code, wrong.message);
    if (missing !== undefined) throw new VerifierError(missing.code, missing.message);
  });
  return steps.mayGoOn("W") ? checkpoint : undefined;
}

/**
 * Step B3.
 * @throws VerifierError `inclusion_invalid`
 */
export function checkInclusion(entry: Uint8Array, proof: TlogProof, checkpoint: Checkpoint): true {
  const { index, hashes } = proof;
  if (verifyInclusion(index, checkpoint.size, leafHash(entry), hashes, checkpoint.root)) return true;
  const message = `the proof does not lead from this entry, at index ${index}, to the root of the signed tree of ${checkpoint.size} entries`;
  throw new VerifierError("inclusion_invalid", message, { index });
}

/** The sentence under the verdict over a bundle or a bare proof. */
export function concludeEvidence(what: "bundle" | "proof", report: Omit<EvidenceReport, "conclusion">): string {
  if (report.verdict === "FAIL") {
    // The last one: a step W before it that lacks witnesses has not ended it.
    const failed = report.steps.findLast((step) => step.passed === false);
    return `This ${what} proves nothing: step ${failed?.step} failed.`;
  }
  const { checkpoint, witnessing, index } = report;
  const names = cosigners(witnessing);
  const cosigned = names === "" ? "" : `; ${names} cosigned that tree, as the policy demands`;
  const undisclosed = report.sealed.filter((name) => !report.disclosures.some((one) => one.name === name));
  const hidden = undisclosed.length === 0 ? "" : `; what is sealed as ${undisclosed.join(", ")}`;
  const content = what === "proof" ? "; that the entry is one of Vitrine's, and what it says" : "";
  const limit = witnessing === undefined ? "that the log shows this tree to everybody" : limitOfWitnesses(witnessing);
  return (
    `Established: the log's key signed a tree of ${checkpoint!.size} entries that has this entry at index ${index}${cosigned}. ` +
    `Not established: ${limit}; that nothing was left out of it${content}${hidden}.`
  );
}
