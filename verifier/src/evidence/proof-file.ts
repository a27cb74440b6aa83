import type { LogKeys } from "../formats/key.ts";
import { parseTlogProof } from "../formats/tlog-proof.ts";
import {
  checkInclusion,
  checkpointText,
  checkSigned,
  concludeEvidence,
  type EvidenceDemand,
  type EvidenceFacts,
  type EvidenceReport,
  inclusionText,
  witnessText,
} from "./evidence.ts";
import { Steps, without } from "./steps.ts";

type StepName = "B1" | "B2" | "W" | "B3";

export type ProofReport = EvidenceReport<StepName>;

const texts: Readonly<Record<StepName, string>> = {
  B1: "the file is a tlog-proof",
  B2: checkpointText,
  W: witnessText,
  B3: inclusionText,
};

/**
 * Steps B1 to B3, with W behind B2 when witnesses are demanded, over a bare C2SP tlog-proof and an entry that is had
 * from elsewhere, of this log or of any other. What the entry says is not looked at.
 * @param bytes the file of the proof
 * @param entry the entry's bytes
 * @param key the log's verifier key, had from a trusted place; of several, all must have signed
 * @returns a report, whatever the bytes are; its verdict is NOT PROVEN when only witnesses are missing
 * @throws VerifierError `usage` for keys of several logs
 */
export function verifyProof(
  bytes: Uint8Array,
  entry: Uint8Array,
  key: LogKeys,
  demand: EvidenceDemand = {},
): ProofReport {
  const facts: EvidenceFacts = { disclosures: [], sealed: [] };
  const steps = new Steps(demand.witnesses === undefined ? without(texts, "W") : texts);
  const proof = steps.run("B1", () => parseTlogProof(bytes));
  const checkpoint = proof && checkSigned(proof.checkpoint, key, demand, facts, steps, "B2");
  if (proof !== undefined && checkpoint !== undefined) {
    if (steps.run("B3", () => checkInclusion(entry, proof, checkpoint)) !== undefined) facts.index = proof.index;
  }
  const whole = { ...facts, ...steps.finish() };
  return { ...whole, conclusion: concludeEvidence("proof", whole) };
}
