// The verifier for what one can hold, as one ES module: bundles, proofs, checkpoints. It is the same code as in Node.
// The audit of a whole log is not in it: that reads every entry, which is work for a command.

export {
  type BundleReport,
  type Checkpoint,
  type EvidenceDemand,
  type EvidenceReport,
  findingVerdicts,
  keysUnder,
  type Policy,
  parsePolicy,
  parseVerifierKey,
  type Step,
  timeText,
  VerifierError,
  type VerifierKey,
  verifyBundle,
  verifyCheckpoint,
  verifyConsistency,
  verifyDisclosure,
  verifyInclusion,
  verifyProof,
  verifySavedCheckpoint,
  version,
} from "../src/index.ts";
