import { maxRecordLength, type RecordReport, verifyRecord } from "../../src/index.ts";
import type { RecordInvocation } from "../args/evidence.ts";
import { readBounded } from "../files.ts";
import { readPins } from "../keys.ts";
import {
  headLines,
  headOptions,
  type LogSession,
  openLog,
  type Saved,
  savedLines,
  saveState,
  sessionJson,
  statusOf,
} from "../log-session.ts";
import { printLines, printResult } from "../output.ts";
import { printable } from "../printable.ts";
import { Progress } from "../progress.ts";
import { aligned, count, findingLines, verdictLines } from "../report.ts";

/**
 * `vitrine-verifier verify FILE --log`: steps R1 to R10 of a source's record.
 * @returns the exit status
 * @throws VerifierError `usage`, `log_unreachable`
 */
export async function runVerifyRecord(options: RecordInvocation): Promise<number> {
  // One byte beyond the limit is enough for R1 to see that the file is too long.
  const bytes = await readBounded(options.file, maxRecordLength, "the record");
  const pins = await readPins(options.sources);
  const session = await openLog(options);
  const progress = new Progress();
  try {
    const report = await verifyRecord(new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length), session.reader, {
      ...headOptions(session),
      pins,
      onProgress: (done, entries) => progress.entries(done, entries),
    }).finally(() => progress.end());
    const saved = await saveState(session, report);
    if (options.json) printResult("verify", recordJson(session, report, saved, options.file));
    else printLines(recordLines(session, report, saved, options.file));
    return statusOf(report, saved);
  } finally {
    session.close();
  }
}

function recordJson(session: LogSession, report: RecordReport, saved: Saved, file: string): Record<string, unknown> {
  return {
    ...sessionJson(session, report, saved),
    file,
    form: "record",
    record: report.record ?? null,
    ranges: report.ranges,
    entries: report.entries,
    shown: report.shown,
    firstBad: report.firstBad ?? null,
  };
}

function recordLines(session: LogSession, report: RecordReport, saved: Saved, file: string): string[] {
  const { record, ranges, entries, shown } = report;
  const lines: [string, string][] = [["Record", file === "-" ? "standard input" : printable(file)]];
  if (record !== undefined) {
    lines.push(
      ["Source", printable(record.source)],
      [
        "Submitted",
        `${count(entries, "entry", "entries")} in ${count(ranges, "range", "ranges")}, of which ${shown} shown`,
      ],
    );
  }
  return [
    ...aligned(lines),
    ...(record?.torn ? ["Its last line is torn, as a crash leaves it, and was left out."] : []),
    "",
    ...headLines(session, report),
    ...findingLines(report.findings, report.omitted),
    ...savedLines(saved),
    ...verdictLines(report.verdict, report.conclusion),
  ];
}
