import { checkHead } from "../../src/index.ts";
import type { HeadInvocation } from "../args/heads.ts";
import { headLines, headOptions, openLog, savedLines, saveState, sessionJson, statusOf } from "../log-session.ts";
import { printLines, printResult } from "../output.ts";
import { findingLines, verdictLines } from "../report.ts";

/**
 * `vitrine-verifier head`: steps C, K and W.
 * @returns the exit status
 * @throws VerifierError `usage`, `log_unreachable`
 */
export async function runHead(options: HeadInvocation): Promise<number> {
  const session = await openLog(options);
  try {
    const report = await checkHead(session.reader, headOptions(session));
    const saved = await saveState(session, report);
    if (options.json) printResult("head", sessionJson(session, report, saved));
    else {
      printLines([
        ...headLines(session, report),
        ...findingLines(report.findings, report.omitted),
        ...savedLines(saved),
        ...verdictLines(report.verdict, report.conclusion),
      ]);
    }
    return statusOf(report, saved);
  } finally {
    session.close();
  }
}
