/** What a command of the verifier has to say at its end. */

import type { Finding, Verdict } from "../findings.ts";
import type { Checkpoint } from "../formats/checkpoint.ts";
import type { SourceReport } from "../sources/source-report.ts";
import type { AuditState } from "./auditor.ts";
import type { Kept } from "./kept.ts";
import type { WitnessingReport } from "./witnesses.ts";

/** Two notes that should not both exist. */
export type Evidence = { kept: Checkpoint; seen: Checkpoint };

export type HeadReport = {
  verdict: Verdict;
  findings: Finding[];
  /** Findings that are counted and not listed, by code. */
  omitted: Record<string, number>;
  /** The checkpoint now; undefined when it did not pass C1 to C5. */
  checkpoint: Checkpoint | undefined;
  /** The size kept from before; undefined on first contact. */
  keptSize: number | undefined;
  /** What the witnesses of the policy have said; undefined without a policy, or when no checkpoint verifies. */
  witnessing: WitnessingReport | undefined;
  /** One sentence: what was established, and what was not. */
  conclusion: string;
  /** To be kept in place of what was; undefined when nothing may be advanced. */
  keep: Kept | undefined;
  /** When K1, K2 or K3 failed. */
  evidence: Evidence | undefined;
};

export type AuditReport = HeadReport & {
  /** Entries below were audited before and not read again. */
  from: number;
  /** The verdict is about the entries up to, not including, this index. */
  size: number;
  /** Entries from `size` up to here were read to find the seals of those before. */
  read: number;
  /** The lowest index that a FAIL finding names. */
  firstBadIndex: number | undefined;
  sources: SourceReport[];
  /** Of the entries read, those of kinds that this version does not know: of these only E1 and the six members. */
  unknown: number;
  /**
   * Where the next audit in this process may carry on although E, S or N failed, so that what failed once is not read
   * and reported again; undefined when a step of T failed. Unlike `keep` it is not to be saved.
   */
  progress: AuditState | undefined;
  /** The groups of steps that apply: without E, S and N nothing is said of what the entries hold. */
  checks: readonly string[];
};
