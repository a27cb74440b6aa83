import { decodeBase64 } from "./base64.ts";
import { type Checkpoint, verifyCheckpoint } from "./checkpoint.ts";
import { conclude } from "./conclusion.ts";
import { isFindingCode, VerifierError } from "./errors.ts";
import { type Finding, Findings, type Verdict } from "./findings.ts";
import { Frontier } from "./frontier.ts";
import { compareWithKept, type Kept } from "./kept.ts";
import type { VerifierKey } from "./key.ts";
import { locateInAudited } from "./locate.ts";
import { type LogReader, readCheckpoint } from "./log-reader.ts";

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
  /** One sentence: what was established, and what was not. */
  conclusion: string;
  /** To be kept in place of what was; undefined when nothing may be advanced. */
  keep: Kept | undefined;
  /** When K1, K2 or K3 failed. */
  evidence: Evidence | undefined;
};

export type HeadOptions = { key: VerifierKey; kept?: Kept | undefined };

/** Where steps C and K have led. */
export type Head = {
  /** Undefined when it did not pass C1 to C5. */
  checkpoint?: Checkpoint;
  /** Whether it continues the one kept, if there is one. */
  consistent: boolean;
  evidence?: Evidence;
};

/**
 * Steps C and K.
 * @throws VerifierError `log_unreachable`
 */
export async function openHead(reader: LogReader, { key, kept }: HeadOptions, findings: Findings): Promise<Head> {
  let checkpoint: Checkpoint;
  try {
    checkpoint = verifyCheckpoint(await readCheckpoint(reader), key);
  } catch (error) {
    findings.addError(error, { where: "checkpoint" });
    return { consistent: false };
  }
  if (kept === undefined) return { checkpoint, consistent: true };
  try {
    await compareWithKept(kept.checkpoint, checkpoint, reader);
    return { checkpoint, consistent: true };
  } catch (error) {
    findings.addError(await explain(error, kept, checkpoint, reader));
    const contradicts = findings.verdict === "FAIL" && !findings.has("tile_malformed");
    return {
      checkpoint,
      consistent: false,
      ...(contradicts ? { evidence: { kept: kept.checkpoint, seen: checkpoint } } : {}),
    };
  }
}

/** Adds to a failure of K1 to K3 where the audited entries and the tiles part, when that can be told. */
async function explain(error: unknown, kept: Kept, seen: Checkpoint, reader: LogReader): Promise<unknown> {
  const isFork = error instanceof VerifierError && ["rolled_back", "split_view", "inconsistent"].includes(error.code);
  if (!isFork || kept.audit === null) return error;
  const hashes = kept.audit.frontier.map((text) => decodeBase64(text) ?? new Uint8Array(0));
  const frontier = Frontier.from(kept.audit.size, hashes);
  if (frontier === undefined) return error;
  try {
    const range = await locateInAudited(reader, frontier, seen.size);
    if (range === undefined) return error;
    const where = `; by its tiles, the first audited entry that is not the same any more is one of ${range.from} to ${range.to - 1}`;
    return new VerifierError(error.code, error.message + where, { ...error.place, index: range.from });
  } catch (second) {
    if (second instanceof VerifierError && isFindingCode(second.code)) return error; // the tiles do not tell
    throw second;
  }
}

/**
 * Fetches the checkpoint and holds it against the one kept: steps C and K.
 * @throws VerifierError `log_unreachable`
 */
export async function checkHead(reader: LogReader, options: HeadOptions): Promise<HeadReport> {
  const findings = new Findings();
  const head = await openHead(reader, options, findings);
  return finishHead(head, options, findings, options.kept?.audit ?? null);
}

/** @param audit how far the entries were audited, to be kept with the checkpoint */
export function finishHead(head: Head, options: HeadOptions, findings: Findings, audit: Kept["audit"]): HeadReport {
  const report: HeadReport = {
    verdict: findings.verdict,
    findings: findings.sorted(),
    omitted: findings.omitted,
    checkpoint: head.checkpoint,
    keptSize: options.kept?.checkpoint.size,
    conclusion: "",
    keep: head.consistent && head.checkpoint !== undefined ? { checkpoint: head.checkpoint, audit } : undefined,
    evidence: head.evidence,
  };
  report.conclusion = conclude(report);
  return report;
}
