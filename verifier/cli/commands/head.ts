import { checkHead } from "../../src/index.ts";
import type { HeadInvocation } from "../args.ts";
import { evidenceLines, headLines, openLog, saveState, statusOf } from "../log-session.ts";
import { printLines, printResult } from "../output.ts";
import { findingLines, headJson, verdictLines } from "../report.ts";

/**
 * `vitrine-verifier head`: steps C and K.
 * @returns the exit status
 * @throws VerifierError `usage`, `log_unreachable`
 */
export async function runHead(options: HeadInvocation): Promise<number> {
  const session = await openLog(options);
  try {
    const report = await checkHead(session.reader, { key: session.key, kept: session.state.kept });
    const { evidence } = await saveState(session, report);
    if (options.json) {
      printResult("head", {
        log: session.http.base,
        vkey: session.key.text,
        ...headJson(report),
        evidence: evidence ?? null,
      });
    } else {
      printLines([
        ...headLines(session, report),
        ...findingLines(report.findings, report.omitted),
        ...evidenceLines(evidence),
        ...verdictLines(report.verdict, report.conclusion),
      ]);
    }
    return statusOf(report);
  } finally {
    session.http.close();
  }
}
