import { compareViews, VerifierError, type View, type ViewsReport } from "../../src/index.ts";
import type { CompareInvocation } from "../args/heads.ts";
import { faultStatus, verdictStatus } from "../exit-status.ts";
import { readKey } from "../keys.ts";
import { printLines, printResult } from "../output.ts";
import { printable } from "../printable.ts";
import { aligned, checkpointJson, describeCheckpoint, findingLines, verdictLines } from "../report.ts";
import { defaultFolder, State } from "../state.ts";
import { type OpenView, openView } from "../views.ts";

/**
 * `vitrine-verifier compare`: steps V1 to V3 over the views of several.
 * @returns the exit status
 * @throws VerifierError `usage`, `log_unreachable`
 */
export async function runCompare(options: CompareInvocation): Promise<number> {
  // What each view shows may be of before or after a change of keys, so one key is asked of all of them.
  const [vkey, ...more] = options.vkeys;
  if (more.length > 0) throw new VerifierError("usage", "compare takes one --vkey: compare under each key by itself");
  const key = await readKey(vkey!, "--vkey");
  const state = await State.open(options.state ?? defaultFolder(), key);
  const opened: OpenView[] = [];
  try {
    for (const given of options.views) opened.push(await openView(given, key, options.timeoutMs));
    const views: View[] = [...opened];
    const { kept } = state;
    if (kept !== undefined) views.push({ name: state.path, checkpoint: async () => kept.checkpoint.note });
    if (views.length < 2) {
      const message = "there is one view and nothing that was kept to compare it with; name another VIEW";
      throw new VerifierError("usage", message);
    }
    const report = await compareViews(views, key);
    const saved = await keep(state, report);
    if (options.json) printResult("compare", { vkey: key.text, ...viewsJson(report), ...saved });
    else printLines(viewsLines(report, saved, printable(`${key.name}+${key.id}`)));
    return saved.stateError !== null && report.verdict !== "FAIL" ? faultStatus.usage : verdictStatus[report.verdict];
  } finally {
    for (const view of opened) view.close();
  }
}

type Saved = { evidence: string[]; stateError: string | null };

/** The notes of each split are kept; the state itself is not advanced by what others show. */
async function keep(state: State, { splits }: ViewsReport): Promise<Saved> {
  const evidence: string[] = [];
  try {
    for (const split of splits) evidence.push(await state.keepEvidence(split, split.found));
    return { evidence, stateError: null };
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    return { evidence, stateError: error.message };
  }
}

function viewsJson(report: ViewsReport): Record<string, unknown> {
  return {
    verdict: report.verdict,
    findings: report.findings,
    omitted: report.omitted,
    views: report.views.map(({ name, checkpoint }) => ({ name, checkpoint: checkpointJson(checkpoint) })),
    conclusion: report.conclusion,
  };
}

function viewsLines(report: ViewsReport, { evidence, stateError }: Saved, key: string): string[] {
  const views = report.views.map(({ name, checkpoint }): [string, string] => [
    `  ${printable(name)}`,
    checkpoint === undefined ? "none that verifies" : describeCheckpoint(checkpoint),
  ]);
  return [
    ...aligned([["Key", key]]),
    "",
    "Views",
    ...aligned(views),
    "",
    ...findingLines(report.findings, report.omitted),
    ...evidence.map((path) => `Two signed checkpoints are kept in ${printable(path)}`),
    ...(stateError === null ? [] : ["The evidence could not be kept:", `  ${printable(stateError)}`]),
    ...(evidence.length + (stateError === null ? 0 : 1) > 0 ? [""] : []),
    ...verdictLines(report.verdict, report.conclusion),
  ];
}
