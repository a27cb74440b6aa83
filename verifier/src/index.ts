/** The verifier's core: runs in Node and in a browser, and does no I/O but through a {@link LogReader}. */
export const version: string = "0.1.0";

export { type AuditOptions, auditLog } from "./audit/audit.ts";
export type { AuditState, EntryListener } from "./audit/auditor.ts";
export { checkHead, type HeadOptions } from "./audit/head.ts";
export { compareWithKept, joinKept, type Kept, keptName, parseKept, serializeKept } from "./audit/kept.ts";
export type { AuditReport, Evidence, HeadReport } from "./audit/reports.ts";
export { compareViews, type SeenView, type Split, type View, type ViewsReport } from "./audit/views.ts";
export {
  checkWitnesses,
  futureTolerance,
  timeText,
  type WitnessDemand,
  type Witnessing,
  type WitnessingReport,
  type WitnessReport,
} from "./audit/witnesses.ts";
export { type Disclosure, parseDisclosure, verifyDisclosure } from "./entries/disclosure.ts";
export { type Entry, parseEntry } from "./entries/entry.ts";
export { type Sealed, sealedValues } from "./entries/sealed.ts";
export {
  type FaultCode,
  type FindingCode,
  findingVerdicts,
  isFindingCode,
  type Place,
  VerifierError,
} from "./errors.ts";
export {
  type Bundle,
  type BundleReport,
  type BundleStep,
  formatEvidenceBundle,
  maxBundleFileLength,
  parseEvidenceBundle,
  verifyBundle,
} from "./evidence/bundle.ts";
export type { EvidenceDemand, EvidenceFacts, EvidenceReport } from "./evidence/evidence.ts";
export { type ProofReport, verifyProof } from "./evidence/proof-file.ts";
export { type ProveOptions, type ProveReport, proveEntry } from "./evidence/prove.ts";
export { maxReceiptLength } from "./evidence/receipt.ts";
export { maxRecordLength } from "./evidence/record.ts";
export { type SavedCheckpointReport, verifySavedCheckpoint } from "./evidence/saved-checkpoint.ts";
export type { Step } from "./evidence/steps.ts";
export { type ReceiptOptions, type ReceiptReport, verifyReceipt } from "./evidence/verify-receipt.ts";
export { type RecordOptions, type RecordReport, verifyRecord } from "./evidence/verify-record.ts";
export type { Finding, Verdict } from "./findings.ts";
export { decodeBase64, decodeBase64url, encodeBase64, encodeBase64url } from "./formats/base64.ts";
export { type Checkpoint, verifyCheckpoint } from "./formats/checkpoint.ts";
export {
  type Cosignature,
  cosignatureLength,
  cosignatureLine,
  cosignatureMessage,
  encodeCosignature,
  verifyCosignature,
} from "./formats/cosignature.ts";
export {
  type CosignerKey,
  isKeyName,
  type LogKeys,
  listKeys,
  makeCosignerKey,
  makeVerifierKey,
  parseCosignerKey,
  parseVerifierKey,
  type VerifierKey,
} from "./formats/key.ts";
export {
  hashLength,
  leafHash,
  maxEntryLength,
  nodeHash,
  verifyConsistency,
  verifyInclusion,
} from "./formats/merkle.ts";
export { maxNoteLength, type Note, parseNote, verifySignature } from "./formats/note.ts";
export {
  keysUnder,
  maxPolicyLength,
  type Policy,
  type PolicyGroup,
  type PolicyLog,
  type PolicyMember,
  type PolicyWitness,
  parsePolicy,
} from "./formats/policy.ts";
export { describeShortfall, isQuorumReached } from "./formats/quorum.ts";
export {
  maxBundleLength,
  maxTileLength,
  parseBundle,
  parseTile,
  parseTilePath,
  type TileLevel,
  tilePath,
  tileWidth,
} from "./formats/tile.ts";
export { formatTlogProof, parseTlogProof, type TlogProof } from "./formats/tlog-proof.ts";
export { type HashedEntries, hashEntries, type LeafHasher } from "./reading/hash-entries.ts";
export type { LogReader } from "./reading/log-reader.ts";
export { openSeal, type Seal } from "./sources/seal.ts";
export type { SourceRecord } from "./sources/source.ts";
export type { SourceReport } from "./sources/source-report.ts";
export { type Alert, type AlertCode, type AlertEvent, monitorCodes } from "./watch/alerts.ts";
export type { WatchSettings } from "./watch/checks.ts";
export { newMemory, parseMemory, serializeMemory, type WatchMemory } from "./watch/memory.ts";
export { type Round, Watch, type WatchOptions } from "./watch/watch.ts";
