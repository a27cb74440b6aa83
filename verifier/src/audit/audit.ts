import { Findings } from "../findings.ts";
import type { Checkpoint } from "../formats/checkpoint.ts";
import type { VerifierKey } from "../formats/key.ts";
import type { LeafHasher } from "../reading/hash-entries.ts";
import type { LogReader } from "../reading/log-reader.ts";
import { reportSources } from "../sources/source-report.ts";
import { Auditor, type AuditState, type EntryListener } from "./auditor.ts";
import { conclude } from "./conclusion.ts";
import { finishHead, type Head, type HeadOptions, openHead } from "./head.ts";
import { joinKept, type Kept } from "./kept.ts";
import type { AuditReport } from "./reports.ts";

export type AuditOptions = HeadOptions & {
  /** Read from entry 0, whatever was audited before. */
  all?: boolean;
  /** Keys given for sources, by name. */
  pins?: ReadonlyMap<string, VerifierKey>;
  /** How long to wait for the seals of entries that have none yet, and for cosignatures, in milliseconds. */
  waitMs?: number;
  sleep?: (ms: number) => Promise<void>;
  onEntry?: EntryListener;
  onProgress?: (done: number, size: number) => void;
  /**
   * Called, and awaited, in the middle of a long tree with what may be kept already, so that an audit that is broken off
   * later is not lost: nothing contradicts up to there, and the entries are the signed tree's beginning.
   */
  onVerified?: (keep: Kept) => Promise<void>;
  /** So many entries lie between two such places. */
  verifiedEvery?: number;
  /** Called before each pause with the milliseconds that are left, and what is waited for. */
  onWait?: (leftMs: number, what: "seals" | "cosignatures") => void;
  hashLeaves?: LeafHasher;
  /**
   * `any`: the log is not one of Vitrine's, its entries may be of any bytes. Then only steps C, K, W and T are carried
   * out, and the verdict says nothing of what the entries hold.
   */
  entries?: "any" | undefined;
};

const pollMs = 1000;

/** Findings of T behind which something has to be read again. */
const tileCodes = ["tile_malformed", "leaf_mismatch", "root_mismatch"] as const;

/**
 * The whole audit: steps C, K, W, T, E, S and N over all entries that were not audited before.
 * @throws VerifierError `log_unreachable`
 */
export async function auditLog(reader: LogReader, options: AuditOptions): Promise<AuditReport> {
  const findings = new Findings();
  const now = options.now ?? Date.now;
  const head = await openHead(reader, options, findings);
  const before = joinKept(options.kept)?.audit ?? null;
  // A tree that does not continue the one kept is read from its beginning: what was audited is not part of it. An
  // audit that looked into no entry is no beginning for one that does.
  const any = options.entries === "any";
  const looked = before?.entries !== "any";
  const usable = head.consistent && (looked || any);
  const start = options.all || !usable ? null : before;
  const state = any && start !== null ? { ...start, sources: [] } : start;
  // What looked into the entries is not given up for what did not.
  const less = any && before !== null && looked;
  const { onVerified, ...rest } = options;
  let kept = before;
  const keepSoFar = async (audit: AuditState, checkpoint: Checkpoint): Promise<void> => {
    if (!head.consistent || less || audit.size <= (before?.size ?? 0)) return;
    kept = audit;
    await onVerified?.({ checkpoint, audit });
  };
  const auditor = new Auditor({
    ...rest,
    findings,
    state,
    ...(any ? { pins: new Map() } : {}),
    ...(onVerified === undefined ? {} : { onVerified: keepSoFar }),
  });
  const from = auditor.size;
  let scope = from;
  if (head.checkpoint !== undefined) {
    scope = head.checkpoint.size;
    await auditor.advance(reader, head.checkpoint);
    if (auditor.established) {
      auditor.listen(now());
      await waitForOthers(reader, options, auditor, findings, head as Head & { checkpoint: Checkpoint }, scope);
      if (auditor.established) auditor.finish(now(), scope);
    }
  }
  // Where a tile is missing that no step needed, the entries are established; but not everything was processed.
  const processed = head.checkpoint !== undefined && auditor.established && !findings.has("data_missing");
  const done = processed && findings.verdict !== "FAIL" && !less;
  // What passed once and is contradicted now has not passed: the next audit reads it again.
  if (start === null && before !== null && kept === before && isContradicted(findings, before.size)) kept = null;
  const report: AuditReport = {
    ...finishHead(head, options, findings, done ? auditor.state() : kept),
    from,
    size: scope,
    read: auditor.size,
    firstBadIndex: findings.firstBadIndex,
    checks: ["C", "K", ...(options.witnesses === undefined ? [] : ["W"]), "T", ...(any ? [] : ["E", "S", "N"])],
    unknown: auditor.unknown,
    progress: processed && !tileCodes.some((code) => findings.has(code)) ? auditor.state() : undefined,
    sources: reportSources(auditor.established ? auditor.sources : (state?.sources ?? []), options.pins),
  };
  report.conclusion = conclude(report, report);
  return report;
}

/** @returns whether a finding says that the entries below `size` are not what they should be, or not those signed */
function isContradicted(findings: Findings, size: number): boolean {
  const first = findings.firstBadIndex;
  return first === undefined ? findings.has("root_mismatch") : first < size;
}

/** Follows the log until the entries below `scope` are sealed and witnessed, or the time is over. */
async function waitForOthers(
  reader: LogReader,
  options: AuditOptions,
  auditor: Auditor,
  findings: Findings,
  head: Head & { checkpoint: Checkpoint },
  scope: number,
): Promise<void> {
  const now = options.now ?? Date.now;
  const sleep = options.sleep ?? ((ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms)));
  const deadline = now() + (options.waitMs ?? 0);
  const unwitnessed = (): boolean => head.witnessing?.missing !== undefined;
  while (findings.verdict !== "FAIL" && auditor.established && (auditor.hasUnsealed(scope) || unwitnessed())) {
    const left = deadline - now();
    if (left <= 0) return;
    options.onWait?.(left, auditor.hasUnsealed(scope) ? "seals" : "cosignatures");
    await sleep(Math.min(pollMs, left));
    // The checkpoint seen a moment ago is the one kept now.
    const kept = { checkpoint: head.checkpoint, audit: null };
    const witnesses = unwitnessed() ? options.witnesses : undefined;
    const next = await openHead(reader, { key: options.key, kept, witnesses, now }, findings);
    if (next.evidence !== undefined) head.evidence = next.evidence;
    if (next.checkpoint === undefined || !next.consistent) return;
    // It continues the one before, so its witnesses speak for the entries below `scope` as well.
    if (next.witnessing !== undefined) head.witnessing = next.witnessing;
    const grown = next.checkpoint.size > head.checkpoint.size;
    if (grown || next.witnessing !== undefined) head.checkpoint = next.checkpoint;
    if (grown) await auditor.advance(reader, next.checkpoint);
  }
}
