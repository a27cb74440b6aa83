/** The verifier's core: runs in Node and in a browser, and does no I/O but through a {@link LogReader}. */
export const version: string = "0.1.0";

export { type Alert, type AlertCode, type AlertEvent, monitorCodes } from "./alerts.ts";
export { type AuditOptions, auditLog } from "./audit.ts";
export type { AuditState, EntryListener } from "./auditor.ts";
export { decodeBase64, decodeBase64url, encodeBase64, encodeBase64url } from "./base64.ts";
export {
  type Bundle,
  type BundleReport,
  type BundleStep,
  formatEvidenceBundle,
  maxBundleFileLength,
  parseEvidenceBundle,
  verifyBundle,
} from "./bundle.ts";
export { type Checkpoint, verifyCheckpoint } from "./checkpoint.ts";
export {
  type Cosignature,
  cosignatureLength,
  cosignatureLine,
  cosignatureMessage,
  encodeCosignature,
  verifyCosignature,
} from "./cosignature.ts";
export { type Disclosure, parseDisclosure, verifyDisclosure } from "./disclosure.ts";
export { type Entry, parseEntry } from "./entry.ts";
export {
  type FaultCode,
  type FindingCode,
  findingVerdicts,
  isFindingCode,
  type Place,
  VerifierError,
} from "./errors.ts";
export type { EvidenceDemand, EvidenceFacts, EvidenceReport } from "./evidence.ts";
export type { Finding, Verdict } from "./findings.ts";
export { type HashedEntries, hashEntries, type LeafHasher } from "./hash-entries.ts";
export { checkHead, type HeadOptions } from "./head.ts";
export { compareWithKept, joinKept, type Kept, keptName, parseKept, serializeKept } from "./kept.ts";
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
} from "./key.ts";
export type { LogReader } from "./log-reader.ts";
export { hashLength, leafHash, maxEntryLength, nodeHash, verifyConsistency, verifyInclusion } from "./merkle.ts";
export { maxNoteLength, type Note, parseNote, verifySignature } from "./note.ts";
export {
  keysUnder,
  maxPolicyLength,
  type Policy,
  type PolicyGroup,
  type PolicyLog,
  type PolicyMember,
  type PolicyWitness,
  parsePolicy,
} from "./policy.ts";
export { type ProofReport, verifyProof } from "./proof-file.ts";
export { type ProveOptions, type ProveReport, proveEntry } from "./prove.ts";
export { describeShortfall, isQuorumReached } from "./quorum.ts";
export { maxReceiptLength } from "./receipt.ts";
export { maxRecordLength } from "./record.ts";
export type { AuditReport, Evidence, HeadReport } from "./reports.ts";
export { type SavedCheckpointReport, verifySavedCheckpoint } from "./saved-checkpoint.ts";
export { openSeal, type Seal } from "./seal.ts";
export { type Sealed, sealedValues } from "./sealed.ts";
export type { SourceRecord } from "./source.ts";
export type { SourceReport } from "./source-report.ts";
export type { Step } from "./steps.ts";
export {
  maxBundleLength,
  maxTileLength,
  parseBundle,
  parseTile,
  parseTilePath,
  type TileLevel,
  tilePath,
  tileWidth,
} from "./tile.ts";
export { formatTlogProof, parseTlogProof, type TlogProof } from "./tlog-proof.ts";
export { type ReceiptOptions, type ReceiptReport, verifyReceipt } from "./verify-receipt.ts";
export { type RecordOptions, type RecordReport, verifyRecord } from "./verify-record.ts";
export { compareViews, type SeenView, type Split, type View, type ViewsReport } from "./views.ts";
export { type Round, Watch, type WatchOptions } from "./watch.ts";
export type { WatchSettings } from "./watch-checks.ts";
export { newMemory, parseMemory, serializeMemory, type WatchMemory } from "./watch-memory.ts";
export {
  checkWitnesses,
  futureTolerance,
  timeText,
  type WitnessDemand,
  type Witnessing,
  type WitnessingReport,
  type WitnessReport,
} from "./witnesses.ts";
