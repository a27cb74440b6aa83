import {
  type Checkpoint,
  type Evidence,
  findingVerdicts,
  type HeadReport,
  isFindingCode,
  type Kept,
  VerifierError,
  type VerifierKey,
} from "../src/index.ts";
import { compareWithKept } from "../src/kept.ts";
import type { LogOptions } from "./args.ts";
import { verdictStatus } from "./exit-status.ts";
import { HttpClient } from "./http.ts";
import { HttpReader } from "./http-reader.ts";
import { readKey } from "./keys.ts";
import { printable } from "./printable.ts";
import { aligned, describeCheckpoint } from "./report.ts";
import { defaultFolder, State } from "./state.ts";

/** What the commands that read a log begin and end with. */
export type LogSession = { key: VerifierKey; http: HttpClient; reader: HttpReader; state: State };

/** @throws VerifierError `usage` */
export async function openLog(options: LogOptions): Promise<LogSession> {
  const key = await readKey(options.vkey, "--vkey");
  const http = new HttpClient(options.log, options.timeoutMs);
  const state = await State.open(options.state ?? defaultFolder(), key);
  return { key, http, reader: new HttpReader(http), state };
}

/** What became of the state after a report. */
export type Saved = {
  /** Where the two notes of a fork were written. */
  evidence: string | undefined;
};

/**
 * Advances the state as the report says, or keeps the evidence of a fork.
 * @param report a finding is added to it when another run, meanwhile, kept a checkpoint that contradicts this one
 * @throws VerifierError `usage` when the state cannot be written, `log_unreachable`
 */
export async function saveState({ state, reader }: LogSession, report: HeadReport): Promise<Saved> {
  let evidence = report.evidence;
  let keep = evidence === undefined ? report.keep : undefined;
  // Another run can come in between again and again only if it makes progress each time.
  while (keep !== undefined && !(await state.save(keep))) {
    const other: Kept | undefined = state.kept;
    if (other === undefined) continue; // it was taken away: this is the first contact again
    const compared = await compareWithOther(other.checkpoint, keep.checkpoint, report, reader);
    evidence = compared.evidence;
    keep = compared.consistent ? further(other, keep) : undefined;
  }
  if (evidence === undefined) return { evidence: undefined };
  const found = report.findings.find(({ code }) => ["rolled_back", "split_view", "inconsistent"].includes(code));
  return { evidence: await state.keepEvidence(evidence, found?.code ?? "inconsistent") };
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
  reader: HttpReader,
): Promise<{ consistent: boolean; evidence: Evidence | undefined }> {
  // That the other run saw a larger tree is no rollback: whichever is smaller came first.
  const [first, second] = other.size <= mine.size ? [other, mine] : [mine, other];
  try {
    await compareWithKept(first, second, reader);
    return { consistent: true, evidence: undefined };
  } catch (error) {
    if (!(error instanceof VerifierError) || !isFindingCode(error.code)) throw error;
    const message = `${error.message} (the other one was seen by another run of the verifier at the same time)`;
    report.findings.push({ code: error.code, message, ...error.place });
    if (report.verdict !== "FAIL") report.verdict = findingVerdicts[error.code];
    report.conclusion =
      "Another run of the verifier saw a tree that this one is not shown to agree with; the state was not advanced.";
    const fork = findingVerdicts[error.code] === "FAIL" && error.code !== "tile_malformed";
    return { consistent: false, evidence: fork ? { kept: first, seen: second } : undefined };
  }
}

/** @returns the lines at the top of a report */
export function headLines({ http, key, state }: LogSession, report: HeadReport): string[] {
  const before =
    report.keptSize === undefined ? "nothing: this is the first contact" : `the tree of ${report.keptSize} entries`;
  return [
    ...aligned([
      ["Log", printable(http.base)],
      ["Key", printable(`${key.name}+${key.id}`)],
      ["Checkpoint", report.checkpoint === undefined ? "none that verifies" : describeCheckpoint(report.checkpoint)],
      ["Kept before", `${before} (${printable(state.path)})`],
    ]),
    "",
  ];
}

/** @returns lines about the evidence of a fork, if there is any */
export function evidenceLines(path: string | undefined): string[] {
  if (path === undefined) return [];
  return [`Both signed checkpoints are kept in ${printable(path)}`, "The state was not advanced.", ""];
}

/** @returns the exit status of the report's verdict */
export function statusOf(report: HeadReport): number {
  return verdictStatus[report.verdict];
}
