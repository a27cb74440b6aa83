import {
  type EvidenceReport,
  findingVerdicts,
  maxBundleFileLength,
  maxNoteLength,
  type Step,
  VerifierError,
  verifyBundle,
  verifyProof,
  verifySavedCheckpoint,
} from "../../src/index.ts";
import type { VerifyInvocation } from "../args/evidence.ts";
import { entryLines } from "../entry-text.ts";
import { verdictStatus } from "../exit-status.ts";
import { tellOtherForm } from "../file-form.ts";
import { readBounded } from "../files.ts";
import { printLines, printResult } from "../output.ts";
import { printable } from "../printable.ts";
import {
  aligned,
  checkpointJson,
  count,
  describeCheckpoint,
  findingLines,
  verdictLines,
  witnessLines,
} from "../report.ts";
import { keyNames, readTrust, type Trust } from "../trust.ts";

/**
 * `vitrine-verifier verify`, offline: steps B1 to B5 of a bundle, B1 to B3 of a bare proof, C1 to C5 of a checkpoint;
 * each with W when there is a policy.
 * @returns the exit status
 * @throws VerifierError `usage`
 */
export async function runVerify(options: VerifyInvocation): Promise<number> {
  const { file, json } = options;
  const trust = await readTrust(options);
  const report = await verifyFile(options, trust);
  const vkeys = trust.keys.map(({ text }) => text);
  if (json) printResult("verify", { file, form: options.form, vkey: vkeys[0], vkeys, ...evidenceJson(report) });
  else printLines(evidenceLines(report, options, keyNames(trust.keys)));
  return verdictStatus[report.verdict];
}

/** One byte beyond its limit is enough for the first step to see that a file is too long. */
async function verifyFile(options: VerifyInvocation, { keys, witnesses }: Trust): Promise<EvidenceReport> {
  const { file, form } = options;
  switch (form) {
    case "bundle":
      return told(await readBounded(file, maxBundleFileLength, "the evidence bundle"), (bundle) =>
        verifyBundle(bundle, keys, { witnesses }),
      );
    case "proof": {
      if (file === "-" && options.entry === "-") {
        throw new VerifierError("usage", "the proof and its entry cannot both be read from standard input");
      }
      const entry = await readBounded(options.entry, maxBundleFileLength, "--entry");
      if (entry.length > maxBundleFileLength) {
        throw new VerifierError(
          "usage",
          `--entry ${printable(options.entry)} has more than ${maxBundleFileLength} bytes`,
        );
      }
      return told(await readBounded(file, maxBundleFileLength, "the tlog-proof"), (proof) =>
        verifyProof(proof, entry, keys, { witnesses }),
      );
    }
    case "checkpoint":
      return told(await readBounded(file, maxNoteLength, "the checkpoint"), (note) =>
        verifySavedCheckpoint(note, keys, { witnesses }),
      );
  }

  function told(bytes: Uint8Array, verify: (bytes: Uint8Array) => EvidenceReport): EvidenceReport {
    const report = verify(bytes);
    tellOtherForm(bytes, form, report.findings);
    return report;
  }
}

function evidenceJson(report: EvidenceReport): Record<string, unknown> {
  return {
    verdict: report.verdict,
    findings: report.findings,
    steps: report.steps.map(({ step, passed, code, text }) => ({
      step,
      passed: passed ?? null,
      code: code ?? null,
      text,
    })),
    checkpoint: checkpointJson(report.checkpoint),
    policy: report.witnessing ?? null,
    index: report.index ?? null,
    entry: report.entry ?? null,
    entryText: report.entryText ?? null,
    sealed: report.sealed,
    disclosures: report.disclosures,
    conclusion: report.conclusion,
  };
}

const titles = { bundle: "Bundle", proof: "Proof", checkpoint: "File" } as const;

function evidenceLines(report: EvidenceReport, { file, form }: VerifyInvocation, keys: string): string[] {
  const head: [string, string][] = [
    [titles[form], file === "-" ? "standard input" : printable(file)],
    ["Key", keys],
  ];
  if (report.checkpoint !== undefined) head.push(["Checkpoint", describeCheckpoint(report.checkpoint)]);
  return [
    ...aligned(head),
    "",
    ...witnessLines(report.witnessing),
    ...bundleEntryLines(report),
    "Steps",
    ...report.steps.map((step) => `  ${step.step.padEnd(2)}  ${stepWord(step)}  ${printable(step.text)}`),
    "",
    ...findingLines(report.findings),
    ...verdictLines(report.verdict, report.conclusion),
  ];
}

function stepWord({ passed, code }: Step): string {
  if (passed === undefined) return "  -   ";
  if (passed) return "passed";
  return code !== undefined && findingVerdicts[code] === "NOT PROVEN" ? "LACKS " : "FAILED";
}

function bundleEntryLines({ entry, index, sealed, disclosures, steps }: EvidenceReport): string[] {
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
