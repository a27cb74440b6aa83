import { isFindingCode, VerifierError } from "../errors.ts";
import { Findings } from "../findings.ts";
import { decodeBase64 } from "../formats/base64.ts";
import { type Checkpoint, verifyCheckpoint } from "../formats/checkpoint.ts";
import { Frontier } from "../formats/frontier.ts";
import type { LogKeys } from "../formats/key.ts";
import { equalBytes } from "../formats/merkle.ts";
import { locateInAudited } from "../reading/locate.ts";
import { type LogReader, readCheckpoint } from "../reading/log-reader.ts";
import { conclude } from "./conclusion.ts";
import { compareWithKept, joinKept, type Kept, listKept } from "./kept.ts";
import type { Evidence, HeadReport } from "./reports.ts";
import { checkWitnesses, type WitnessDemand, type Witnessing } from "./witnesses.ts";

export type HeadOptions = {
  /** Of several, all must have signed. */
  key: LogKeys;
  /** Of several, such as what was kept under each key, the furthest counts; all must agree. */
  kept?: Kept | readonly Kept[] | undefined;
  /** Without it, witnesses are not looked at. */
  witnesses?: WitnessDemand | undefined;
  /** The verifier's clock, milliseconds since 1970. */
  now?: () => number;
};

/** Where steps C and K have led. */
export type Head = {
  /** Undefined when it did not pass C1 to C5. */
  checkpoint?: Checkpoint;
  /** Whether it continues the one kept, if there is one. */
  consistent: boolean;
  evidence?: Evidence;
  witnessing?: Witnessing;
};

/**
 * Steps C, K and, of W, what contradicts; what W finds missing becomes a finding in {@link finishHead}.
 * @throws VerifierError `log_unreachable`; `usage` for keys of several logs
 */
export async function openHead(reader: LogReader, options: HeadOptions, findings: Findings): Promise<Head> {
  let checkpoint: Checkpoint;
  try {
    checkpoint = verifyCheckpoint(await readCheckpoint(reader), options.key);
  } catch (error) {
    findings.addError(error, { where: "checkpoint" });
    return { consistent: false };
  }
  const head: Head = { checkpoint, consistent: true };
  for (const [earlier, later] of pairs(checkpoint, listKept(options.kept))) {
    try {
      await compareWithKept(earlier, later, reader);
    } catch (error) {
      const kept = later === checkpoint ? joinKept(options.kept) : undefined;
      findings.addError(await explain(error, kept, later, reader));
      head.consistent = false;
      if (isFork(error)) head.evidence = { kept: earlier, seen: later };
      break;
    }
  }
  if (options.witnesses !== undefined) {
    head.witnessing = checkWitnesses(checkpoint, options.witnesses, (options.now ?? Date.now)(), findings);
  }
  return head;
}

/** What is to be compared, the furthest first. That all continue into the one seen shows that they agree. */
function pairs(seen: Checkpoint, kept: readonly Kept[]): [Checkpoint, Checkpoint][] {
  const checkpoints = kept.map(({ checkpoint }) => checkpoint).sort((a, b) => b.size - a.size);
  const list: [Checkpoint, Checkpoint][] = [];
  for (const [at, checkpoint] of checkpoints.entries()) {
    const next = checkpoints[at + 1];
    // K2: two that were kept and contradict one another do so whatever is seen now.
    if (next?.size === checkpoint.size && !equalBytes(next.root, checkpoint.root)) return [[checkpoint, next]];
    list.push([checkpoint, seen]);
  }
  return list;
}

function isFork(error: unknown): error is VerifierError {
  return error instanceof VerifierError && ["rolled_back", "split_view", "inconsistent"].includes(error.code);
}

/** Adds to a failure of K1 to K3 where the audited entries and the tiles part, when that can be told. */
async function explain(error: unknown, kept: Kept | undefined, seen: Checkpoint, reader: LogReader): Promise<unknown> {
  const audit = kept?.audit ?? null;
  if (!isFork(error) || audit === null) return error;
  const hashes = audit.frontier.map((text) => decodeBase64(text) ?? new Uint8Array(0));
  const frontier = Frontier.from(audit.size, hashes);
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
 * Fetches the checkpoint and holds it against the one kept: steps C, K and W.
 * @throws VerifierError `log_unreachable`; `usage` for keys of several logs
 */
export async function checkHead(reader: LogReader, options: HeadOptions): Promise<HeadReport> {
  const findings = new Findings();
  const head = await openHead(reader, options, findings);
  return finishHead(head, options, findings, joinKept(options.kept)?.audit ?? null);
}

/** @param audit how far the entries were audited, to be kept with the checkpoint */
export function finishHead(head: Head, options: HeadOptions, findings: Findings, audit: Kept["audit"]): HeadReport {
  const missing = head.witnessing?.missing;
  if (missing !== undefined) findings.add(missing.code, missing.message, { where: "checkpoint" });
  const report: HeadReport = {
    verdict: findings.verdict,
    findings: findings.sorted(),
    omitted: findings.omitted,
    checkpoint: head.checkpoint,
    keptSize: joinKept(options.kept)?.checkpoint.size,
    witnessing: head.witnessing?.report,
    conclusion: "",
    keep: head.consistent && head.checkpoint !== undefined ? { checkpoint: head.checkpoint, audit } : undefined,
    evidence: head.evidence,
  };
  report.conclusion = conclude(report);
  return report;
}
