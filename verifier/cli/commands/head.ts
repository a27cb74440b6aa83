import { checkHead } from "../../src/index.ts";
import type { HeadInvocation } from "../args/heads.ts";
import { headOptions, openLog, tellReport } from "../log-session.ts";

/**
 * `vitrine-verifier head`: steps C, K and W.
 * @returns the exit status
 * @throws VerifierError `usage`, `log_unreachable`
 */
export async function runHead(options: HeadInvocation): Promise<number> {
  const session = await openLog(options);
  try {
    const report = await checkHead(session.reader, headOptions(session));
    return await tellReport(session, report, { command: "head", json: options.json });
  } finally {
    session.close();
  }
}
