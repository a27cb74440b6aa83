import { Auditor, type EntryListener, type LeafHasher } from "./auditor.ts";
import { type Checkpoint, verifyCheckpoint } from "./checkpoint.ts";
import { isFindingCode, VerifierError } from "./errors.ts";
import { type Finding, Findings, type Verdict } from "./findings.ts";
import { Frontier } from "./frontier.ts";
import { decodeBase64 } from "./base64.ts";
import { compareWithKept, type Kept } from "./kept.ts";
import type { VerifierKey } from "./key.ts";
import { locateInAudited } from "./locate.ts";
import { type LogReader, readCheckpoint } from "./log-reader.ts";
import { conclude } from "./conclusion.ts";
import { reportSources, type SourceReport } from "./source-report.ts";

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
};

export type HeadOptions = { key: VerifierKey; kept?: Kept | undefined };

export type AuditOptions = HeadOptions & {
  /** Read from entry 0, whatever was audited before. */
  all?: boolean;
  /** Keys given for sources, by name. */
  pins?: ReadonlyMap<string, VerifierKey>;
  /** How long to wait for the seals of entries that have none yet, in milliseconds. */
  waitMs?: number;
  /** The verifier's clock, milliseconds since 1970. */
  now?: () => number;
  sleep?: (ms: number) => Promise<void>;
  onEntry?: EntryListener;
  onProgress?: (done: number, size: number) => void;
  /** Called before each pause for seals with the milliseconds that are left. */
  onWait?: (leftMs: number) => void;
  hashLeaves?: LeafHasher;
};

const pollMs = 1000;

/** Steps C and K, and the state they leave. */
async function openHead(
  reader: LogReader,
  { key, kept }: HeadOptions,
  findings: Findings,
): Promise<{ checkpoint?: Checkpoint; consistent: boolean; evidence?: Evidence }> {
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
    return { checkpoint, consistent: false, ...(contradicts ? { evidence: { kept: kept.checkpoint, seen: checkpoint } } : {}) };
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

function finishHead(
  head: { checkpoint?: Checkpoint; consistent: boolean; evidence?: Evidence },
  options: HeadOptions,
  findings: Findings,
  audit: Kept["audit"],
): HeadReport {
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

/**
 * The whole audit: steps C, K, T, E, S and N over all entries that were not audited before.
 * @throws VerifierError `log_unreachable`
 */
export async function auditLog(reader: LogReader, options: AuditOptions): Promise<AuditReport> {
  const findings = new Findings();
  const now = options.now ?? Date.now;
  const head = await openHead(reader, options, findings);
  const before = options.kept?.audit ?? null;
  // A tree that does not continue the one kept is read from its beginning: what was audited is not part of it.
  const state = options.all || !head.consistent ? null : before;
  const auditor = new Auditor({ ...options, findings, state });
  const from = auditor.size;
  let scope = from;
  if (head.checkpoint !== undefined) {
    scope = head.checkpoint.size;
    await auditor.advance(reader, head.checkpoint);
    if (auditor.complete) {
      await waitForSeals(reader, options, auditor, findings, head as typeof head & { checkpoint: Checkpoint }, scope);
      auditor.finish(now(), scope);
    }
  }
  const done = auditor.complete && findings.verdict !== "FAIL" && head.checkpoint !== undefined;
  const report: AuditReport = {
    ...finishHead(head, options, findings, done ? auditor.state() : before),
    from,
    size: scope,
    read: auditor.size,
    firstBadIndex: findings.firstBadIndex,
    sources: reportSources(auditor.sources, options.pins),
  };
  report.conclusion = conclude(report, report);
  return report;
}

/** Follows the log until the entries below `scope` are sealed, or the time is over. */
async function waitForSeals(
  reader: LogReader,
  options: AuditOptions,
  auditor: Auditor,
  findings: Findings,
  head: { checkpoint: Checkpoint; consistent: boolean; evidence?: Evidence },
  scope: number,
): Promise<void> {
  const now = options.now ?? Date.now;
  const sleep = options.sleep ?? ((ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms)));
  const deadline = now() + (options.waitMs ?? 0);
  while (findings.verdict !== "FAIL" && auditor.complete && auditor.hasUnsealed(scope)) {
    const left = deadline - now();
    if (left <= 0) return;
    options.onWait?.(left);
    await sleep(Math.min(pollMs, left));
    // The checkpoint seen a moment ago is the one kept now.
    const kept = { checkpoint: head.checkpoint, audit: null };
    const next = await openHead(reader, { key: options.key, kept }, findings);
    if (next.evidence !== undefined) head.evidence = next.evidence;
    if (next.checkpoint === undefined || !next.consistent) return;
    if (next.checkpoint.size === head.checkpoint.size) continue;
    head.checkpoint = next.checkpoint;
    await auditor.advance(reader, next.checkpoint);
  }
}
