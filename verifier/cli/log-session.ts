import {
  type Checkpoint,
  checkHead,
  type Evidence,
  type HeadReport,
  type Kept,
  type LogReader,
  VerifierError,
  type VerifierKey,
} from "../src/index.ts";
import type { LogOptions } from "./args.ts";
import { faultStatus, verdictStatus } from "./exit-status.ts";
import { readKey } from "./keys.ts";
import { type LogSource, openSource } from "./log-source.ts";
import { printable } from "./printable.ts";
import { aligned, describeCheckpoint, headJson } from "./report.ts";
import { defaultFolder, State } from "./state.ts";

/** What the commands that read a log begin and end with. */
export type LogSession = LogSource & { key: VerifierKey; state: State };

/** @throws VerifierError `usage` */
export async function openLog(options: LogOptions): Promise<LogSession> {
  const key = await readKey(options.vkey, "--vkey");
  const source = await openSource(options.log, options.timeoutMs);
  const state = await State.open(options.state ?? defaultFolder(), key);
  return { key, ...source, state };
}

/** What became of the state after a report. */
export type Saved = {
  /** Where the two notes of a fork were written. */
  evidence: string | undefined;
  /** Why nothing could be written. The verdict stands all the same. */
  problem: string | undefined;
};

/**
 * Advances the state as the report says, or keeps the evidence of a fork.
 * @param report a finding is added to it when another run, meanwhile, kept a checkpoint that contradicts this one
 * @throws VerifierError `log_unreachable`
 */
export async function saveState(session: LogSession, report: HeadReport): Promise<Saved> {
  try {
    return { evidence: await save(session, report), problem: undefined };
  } catch (error) {
    // After a long audit the verdict must not be lost because the disk is full.
    if (!(error instanceof VerifierError) || error.code !== "usage") throw error;
    return { evidence: undefined, problem: error.message };
  }
}

async function save(session: LogSession, report: HeadReport): Promise<string | undefined> {
  const { state } = session;
  let evidence = report.evidence;
  let keep = evidence === undefined ? report.keep : undefined;
  // Another run can come in between again and again only if it makes progress each time.
  while (keep !== undefined && !(await state.save(keep))) {
    const other: Kept | undefined = state.kept;
    if (other === undefined) continue; // it was taken away: this is the first contact again
    const compared = await compareWithOther(other.checkpoint, keep.checkpoint, report, session);
    evidence = compared.evidence;
    keep = compared.consistent ? further(other, keep) : undefined;
  }
  if (evidence === undefined) return undefined;
  const found = report.findings.find(({ code }) => ["rolled_back", "split_view", "inconsistent"].includes(code));
  return state.keepEvidence(evidence, found?.code ?? "inconsistent");
}

/** @returns what two runs know together, once their trees are known to be consistent */
function further(one: Kept, other: Kept): Kept {
  const { checkpoint } = one.checkpoint.size > other.checkpoint.size ? one : other;
  const { audit } = (one.audit?.size ?? 0) > (other.audit?.size ?? 0) ? one : other;
  return { checkpoint, audit };
}

/** Steps K1 to K3 between what this run saw and what another kept while it ran. A failure becomes a finding. */
async function compareWithOther(
  other: Checkpoint,
  mine: Checkpoint,
  report: HeadReport,
  { key, reader }: LogSession,
): Promise<{ consistent: boolean; evidence: Evidence | undefined }> {
  // That the other run saw a larger tree is no rollback: whichever is smaller came first.
  const [first, second] = other.size <= mine.size ? [other, mine] : [mine, other];
  const both: LogReader = {
    checkpoint: () => Promise.resolve(second.note),
    tile: (level, n, width) => reader.tile(level, n, width),
  };
  const { verdict, findings, evidence } = await checkHead(both, { key, kept: { checkpoint: first, audit: null } });
  if (verdict === "PASS") return { consistent: true, evidence: undefined };
  for (const finding of findings) {
    const message = `${finding.message} (one of the two was seen by another run of the verifier at the same time)`;
    report.findings.push({ ...finding, message });
  }
  if (report.verdict !== "FAIL") report.verdict = verdict;
  report.conclusion =
    "Another run of the verifier saw a tree that this one is not shown to agree with; the state was not advanced.";
  return { consistent: false, evidence };
}

/** @returns the lines at the top of a report */
export function headLines({ base, key, state }: LogSession, report: HeadReport): string[] {
  const before =
    report.keptSize === undefined ? "nothing: this is the first contact" : `the tree of ${report.keptSize} entries`;
  return [
    ...aligned([
      ["Log", printable(base)],
      ["Key", printable(`${key.name}+${key.id}`)],
      ["Checkpoint", report.checkpoint === undefined ? "none that verifies" : describeCheckpoint(report.checkpoint)],
      ["Kept before", `${before} (${printable(state.path)})`],
    ]),
    "",
  ];
}

/** @returns lines about the evidence of a fork, and about a state that could not be written */
export function savedLines({ evidence, problem }: Saved): string[] {
  const lines: string[] = [];
  if (evidence !== undefined) {
    lines.push(`Both signed checkpoints are kept in ${printable(evidence)}`, "The state was not advanced.", "");
  }
  if (problem !== undefined) lines.push("The state was not advanced:", `  ${printable(problem)}`, "");
  return lines;
}

/** The members that the JSON of every command over a log has. */
export function sessionJson({ base, key }: LogSession, report: HeadReport, saved: Saved): Record<string, unknown> {
  return {
    log: base,
    vkey: key.text,
    ...headJson(report),
    evidence: saved.evidence ?? null,
    stateError: saved.problem ?? null,
  };
}

/** @returns the exit status: that of the verdict, but a state that could not be kept must not look like success */
export function statusOf(report: HeadReport, saved: Saved): number {
  return saved.problem !== undefined && report.verdict !== "FAIL" ? faultStatus.usage : verdictStatus[report.verdict];
}
