import {
  type Checkpoint,
  compareWithKept,
  type Evidence,
  findingVerdicts,
  type HeadOptions,
  type HeadReport,
  isFindingCode,
  joinKept,
  type Kept,
  VerifierError,
} from "../src/index.ts";
import type { LogOptions } from "./args/common.ts";
import { readToken } from "./disclosures.ts";
import { acknowledgedStatus, faultStatus, verdictStatus } from "./exit-status.ts";
import { type LogSource, openSource } from "./log-source.ts";
import { printLines, printResult } from "./output.ts";
import { printable } from "./printable.ts";
import { aligned, describeCheckpoint, findingLines, headJson, verdictLines, witnessLines } from "./report.ts";
import { defaultFolder } from "./state.ts";
import { States } from "./states.ts";
import { keyNames, readTrust, type Trust } from "./trust.ts";

/** What the commands that read a log begin and end with. */
export type LogSession = LogSource & Trust & { state: States; token: string | undefined };

/** @throws VerifierError `usage` */
export async function openLog(options: LogOptions): Promise<LogSession> {
  const trust = await readTrust(options);
  const token = options.token === undefined ? undefined : await readToken(options.token);
  const source = await openSource(options.log, options.timeoutMs, token);
  if (token !== undefined) checkToken(source);
  const state = await States.open(options.state ?? defaultFolder(), trust.keys);
  return { ...trust, ...source, state, token };
}

/**
 * Says when a token would travel where others can read it.
 * @throws VerifierError `usage` when there is nobody to show a token to
 */
export function checkToken({ http, base }: LogSource): void {
  if (http === undefined) {
    const message = `--token is for a log that is asked: ${printable(base)} is a folder, and a folder has no disclosures`;
    throw new VerifierError("usage", message);
  }
  if (!http.exposed) return;
  const message = "The token and what it opens travel without TLS: whoever is on the way can read them.";
  process.stderr.write(`${message}\n`);
}

/** @returns what every check over the log is told */
export function headOptions({ keys, state, witnesses }: LogSession): Pick<HeadOptions, "key" | "kept" | "witnesses"> {
  return { key: keys, kept: state.kept, witnesses };
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
export async function saveState(session: Omit<LogSession, "token">, report: HeadReport): Promise<Saved> {
  try {
    return { evidence: await save(session, report), problem: undefined };
  } catch (error) {
    // After a long audit the verdict must not be lost because the disk is full.
    if (!(error instanceof VerifierError) || error.code !== "usage") throw error;
    return { evidence: undefined, problem: error.message };
  }
}

/** Keeps what is verified in the middle of an audit, unless another run has come in between: the end sees to that. */
export async function saveSoFar(state: States, keep: Kept): Promise<void> {
  try {
    await state.save(keep, keep.checkpoint);
  } catch (error) {
    // A disk that is full says so when the audit ends.
    if (!(error instanceof VerifierError) || error.code !== "usage") throw error;
  }
}

async function save(session: Omit<LogSession, "token">, report: HeadReport): Promise<string | undefined> {
  const { state } = session;
  let { evidence } = report;
  if (evidence === undefined && report.keep !== undefined) {
    const mine = report.keep;
    let keep = mine;
    // Another run can come in between again and again only if it makes progress each time.
    while (evidence === undefined && !(await state.save(keep, mine.checkpoint))) {
      for (const { checkpoint } of state.kept) {
        const compared = await compareWithOther(checkpoint, mine.checkpoint, report, session);
        if (!compared.consistent && compared.evidence === undefined) return undefined;
        evidence ??= compared.evidence;
      }
      keep = joinKept([mine, ...state.kept])!;
    }
  }
  if (evidence === undefined) return undefined;
  const found = report.findings.find(({ code }) => forks.has(code));
  return state.keepEvidence(evidence, found?.code ?? "inconsistent");
}

const forks: ReadonlySet<string> = new Set(["rolled_back", "split_view", "inconsistent"]);

/** Steps K1 to K3 between what this run saw and what another kept while it ran. A failure becomes a finding. */
async function compareWithOther(
  other: Checkpoint,
  mine: Checkpoint,
  report: HeadReport,
  { reader }: Pick<LogSession, "reader">,
): Promise<{ consistent: boolean; evidence: Evidence | undefined }> {
  // That the other run saw a larger tree is no rollback: whichever is smaller came first.
  const [kept, seen] = other.size <= mine.size ? [other, mine] : [mine, other];
  try {
    await compareWithKept(kept, seen, reader);
    return { consistent: true, evidence: undefined };
  } catch (error) {
    if (!(error instanceof VerifierError) || !isFindingCode(error.code)) throw error;
    const message = `${error.message} (one of the two was seen by another run of the verifier at the same time)`;
    report.findings.push({ code: error.code, message, ...error.place });
    if (report.verdict !== "FAIL") report.verdict = findingVerdicts[error.code];
    report.conclusion =
      "Another run of the verifier saw a tree that this one is not shown to agree with; the state was not advanced.";
    return { consistent: false, evidence: forks.has(error.code) ? { kept, seen } : undefined };
  }
}

/** @returns the lines at the top of a report */
export function headLines({ base, keys, state }: LogSession, report: HeadReport): string[] {
  const before =
    report.keptSize === undefined ? "nothing: this is the first contact" : `the tree of ${report.keptSize} entries`;
  return [
    ...aligned([
      ["Log", printable(base)],
      [keys.length === 1 ? "Key" : "Keys", keyNames(keys)],
      ["Checkpoint", report.checkpoint === undefined ? "none that verifies" : describeCheckpoint(report.checkpoint)],
      ["Kept before", `${before} (${printable(state.path)})`],
    ]),
    "",
    ...witnessLines(report.witnessing),
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
export function sessionJson({ base, keys }: LogSession, report: HeadReport, saved: Saved): Record<string, unknown> {
  return {
    log: base,
    vkey: keys[0].text,
    vkeys: keys.map(({ text }) => text),
    ...headJson(report),
    evidence: saved.evidence ?? null,
    stateError: saved.problem ?? null,
  };
}

/**
 * @param acknowledged whether somebody has looked into all findings
 * @returns the exit status: that of the verdict, but a state that could not be kept must not look like success
 */
export function statusOf(report: HeadReport, saved: Saved, acknowledged = false): number {
  if (acknowledged && saved.problem === undefined) return acknowledgedStatus;
  return saved.problem !== undefined && report.verdict !== "FAIL" ? faultStatus.usage : verdictStatus[report.verdict];
}

/** What a command says besides what all of them do. */
export type Telling = {
  command: string;
  json: boolean;
  /** Members of the JSON. */
  members?: Record<string, unknown>;
  /** Lines at the top. */
  lines?: readonly string[];
};

/**
 * Ends a command over a log: keeps the state, and tells the report.
 * @returns the exit status
 * @throws VerifierError `log_unreachable`
 */
export async function tellReport(session: LogSession, report: HeadReport, telling: Telling): Promise<number> {
  const saved = await saveState(session, report);
  const { command, json, members = {}, lines = [] } = telling;
  if (json) printResult(command, { ...sessionJson(session, report, saved), ...members });
  else {
    printLines([
      ...lines,
      ...headLines(session, report),
      ...findingLines(report.findings, report.omitted),
      ...savedLines(saved),
      ...verdictLines(report.verdict, report.conclusion),
    ]);
  }
  return statusOf(report, saved);
}
