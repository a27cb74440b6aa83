import { type BundleReport, maxBundleFileLength, verifyBundle } from "../../src/index.ts";
import type { VerifyInvocation } from "../args.ts";
import { entryLines } from "../entry-text.ts";
import { verdictStatus } from "../exit-status.ts";
import { readBounded } from "../files.ts";
import { readKey } from "../keys.ts";
import { printLines, printResult } from "../output.ts";
import { printable } from "../printable.ts";
import { aligned, checkpointJson, count, describeCheckpoint, findingLines, verdictLines } from "../report.ts";

/**
 * `vitrine-verifier verify`: steps B1 to B5, offline.
 * @returns the exit status
 * @throws VerifierError `usage`
 */
export async function runVerify({ file, vkey, json }: VerifyInvocation): Promise<number> {
  const key = await readKey(vkey, "--vkey");
  // One byte beyond the limit is enough for B1 to see that the file is too long.
  const bytes = await readBounded(file, maxBundleFileLength, "the evidence bundle");
  const report = verifyBundle(bytes, key);
  if (json) printResult("verify", { file, vkey: key.text, ...bundleJson(report) });
  else printLines(bundleLines(report, file, printable(`${key.name}+${key.id}`)));
  return verdictStatus[report.verdict];
}

function bundleJson(report: BundleReport): Record<string, unknown> {
  return {
    verdict: report.verdict,
    findings: report.findings,
    steps: report.steps.map(({ step, passed, text }) => ({ step, passed: passed ?? null, text })),
    checkpoint: checkpointJson(report.checkpoint),
    index: report.index ?? null,
    entry: report.entry ?? null,
    entryText: report.entryText ?? null,
    sealed: report.sealed,
    disclosures: report.disclosures,
    conclusion: report.conclusion,
  };
}

function bundleLines(report: BundleReport, file: string, key: string): string[] {
  const head: [string, string][] = [
    ["Bundle", file === "-" ? "standard input" : printable(file)],
    ["Key", key],
  ];
  if (report.checkpoint !== undefined) head.push(["Checkpoint", describeCheckpoint(report.checkpoint)]);
  return [
    ...aligned(head),
    "",
    ...bundleEntryLines(report),
    "Steps",
    ...report.steps.map(({ step, passed, text }) => `  ${step}  ${stepWord(passed)}  ${printable(text)}`),
    "",
    ...findingLines(report.findings),
    ...verdictLines(report.verdict, report.conclusion),
  ];
}

function stepWord(passed: boolean | undefined): string {
  return passed === undefined ? "  -   " : passed ? "passed" : "FAILED";
}

function bundleEntryLines({ entry, index, sealed, disclosures, steps }: BundleReport): string[] {
  if (entry === undefined) return [];
  const disclosed = new Map(disclosures.map(({ name, value }) => [name, value]));
  const opened = sealed.filter((name) => disclosed.has(name)).length;
  // Where B5 failed, what the bundle disclosed is not shown: it is not what was sealed.
  const failed = steps.some(({ step, passed }) => step === "B5" && passed === false);
  const summary = failed
    ? "none shown, since step B5 failed"
    : `${opened} of ${count(sealed.length, "sealed value", "sealed values")} disclosed`;
  return [
    `Entry ${index}`,
    ...entryLines(entry, disclosed, new Set(sealed)),
    "",
    ...(sealed.length === 0 ? [] : [printable(summary), ""]),
  ];
}
