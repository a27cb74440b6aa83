/**
 * What a verifier can find, in the order of spec/proof.md, and what each finding makes of the verdict.
 * `NOT PROVEN` stands where something is missing; `FAIL` where something contradicts.
 */
export const findingVerdicts = {
  note_malformed: "FAIL",
  checkpoint_malformed: "FAIL",
  origin_mismatch: "FAIL",
  signature_missing: "FAIL",
  signature_invalid: "FAIL",
  rolled_back: "FAIL",
  split_view: "FAIL",
  inconsistent: "FAIL",
  cosignature_invalid: "FAIL",
  quorum_missing: "NOT PROVEN",
  cosignature_old: "NOT PROVEN",
  data_missing: "NOT PROVEN",
  tile_malformed: "FAIL",
  leaf_mismatch: "FAIL",
  root_mismatch: "FAIL",
  entry_malformed: "FAIL",
  epoch_break: "FAIL",
  sequence_gap: "FAIL",
  sequence_repeat: "FAIL",
  source_key_mismatch: "FAIL",
  declared_gap: "NOT PROVEN",
  seal_invalid: "FAIL",
  seal_mismatch: "FAIL",
  unsealed: "NOT PROVEN",
  silent: "NOT PROVEN",
  source_missing: "NOT PROVEN",
  session_break: "FAIL",
  session_totals: "FAIL",
  bundle_malformed: "FAIL",
  inclusion_invalid: "FAIL",
  disclosure_mismatch: "FAIL",
  record_malformed: "FAIL",
  record_mismatch: "FAIL",
  record_broken: "FAIL",
  unpublished: "NOT PROVEN",
  submitted_missing: "FAIL",
  submitted_changed: "FAIL",
  receipt_malformed: "FAIL",
  receipt_mismatch: "FAIL",
  receipt_signature: "FAIL",
  receipt_unpublished: "NOT PROVEN",
  receipt_broken: "FAIL",
} as const;

/** The code of a finding. Closed: spec/proof.md lists each with the step that gives it. */
export type FindingCode = keyof typeof findingVerdicts;

/** Errors that end a command without a verdict, as in spec/errors.md. */
export type FaultCode = "usage" | "log_unreachable";

/** Errors that end a witness, as in spec/errors.md. */
export type WitnessFault = "port_in_use" | "state_locked" | "state_missing" | "state_corrupt" | "write_failed";

/** Errors that end an export, as in spec/errors.md; `write_failed` ends one as well. */
export type ExportFault = "position_invalid" | "collector_unreachable" | "collector_refused";

/** Where a finding applies. */
export type Place = {
  /** Index of the entry in the log. */
  index?: number;
  /** Name of the source. */
  source?: string;
  epoch?: number;
  seq?: number;
  /** File, URL path, or member. */
  where?: string;
};

/**
 * The one error of this package. With a {@link FindingCode} it says what is wrong with the bytes that were read, and
 * becomes a finding; with a {@link FaultCode}, {@link WitnessFault} or {@link ExportFault} there is no verdict.
 */
export class VerifierError extends Error {
  readonly code: FindingCode | FaultCode | WitnessFault | ExportFault;
  readonly place: Place;

  constructor(code: FindingCode | FaultCode | WitnessFault | ExportFault, message: string, place: Place = {}) {
    super(message);
    this.name = "VerifierError";
    this.code = code;
    this.place = place;
  }
}

/** @returns whether the code is that of a finding rather than of a fault. */
export function isFindingCode(code: string): code is FindingCode {
  return Object.hasOwn(findingVerdicts, code);
}
