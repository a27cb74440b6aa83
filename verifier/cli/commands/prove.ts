import { proveEntry } from "../../src/index.ts";
import type { ProveInvocation } from "../args/evidence.ts";
import { fetchDisclosures, readReason } from "../disclosures.ts";
import { pathError, writeDurably } from "../files.ts";
import { headLines, headOptions, openLog, savedLines, saveState, sessionJson, statusOf } from "../log-session.ts";
import { printResult } from "../output.ts";
import { escapeJson, printable } from "../printable.ts";
import { findingLines, verdictLines } from "../report.ts";

/**
 * `vitrine-verifier prove`: an evidence bundle of one entry. Nothing is written unless all of it was verified.
 * @returns the exit status
 * @throws VerifierError `usage`, `log_unreachable`
 */
export async function runProve(options: ProveInvocation): Promise<number> {
  const { index, output, json } = options;
  const reason = options.reason === undefined ? undefined : readReason(options.reason);
  const session = await openLog(options);
  const { http, reader, token } = session;
  try {
    if (token !== undefined && reason === undefined) {
      process.stderr.write("The sealed values are not asked for: --reason says why they are to be read.\n");
    }
    const report = await proveEntry(reader, {
      ...headOptions(session),
      index,
      ...(reason === undefined || token === undefined || http === undefined
        ? {}
        : { disclosures: (of) => fetchDisclosures(http, of, { token, reason }) }),
    });
    const saved = await saveState(session, report);
    // A check made while saving may have taken the verdict back. What is escaped stands in strings: it is the same JSON.
    const bundle = report.verdict === "PASS" && report.bundle !== undefined ? escapeJson(report.bundle) : undefined;
    if (bundle !== undefined && output !== undefined) await writeBundle(output, bundle);
    if (json) {
      printResult("prove", {
        ...sessionJson(session, report, saved),
        index,
        entry: report.entry ?? null,
        output: bundle === undefined ? null : (output ?? null),
        bundle: bundle === undefined || output !== undefined ? null : JSON.parse(bundle),
      });
    } else {
      if (bundle !== undefined && output === undefined) process.stdout.write(bundle);
      const lines = [
        ...headLines(session, report),
        ...findingLines(report.findings, report.omitted),
        ...savedLines(saved),
        ...(bundle === undefined || output === undefined ? [] : [`The evidence bundle is in ${printable(output)}`, ""]),
        ...verdictLines(report.verdict, report.conclusion),
      ];
      process.stderr.write(`${lines.join("\n")}\n`);
    }
    return statusOf(report, saved);
  } finally {
    session.close();
  }
}

/** It may disclose what is secret: only its owner can read it. */
async function writeBundle(path: string, bundle: string): Promise<void> {
  try {
    await writeDurably(path, bundle);
  } catch (error) {
    throw pathError(error, `--output ${printable(path)} cannot be written`);
  }
}
