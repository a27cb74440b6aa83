import { maxRecordLength, type RecordReport, verifyRecord } from "../../src/index.ts";
import type { RecordInvocation } from "../args/evidence.ts";
import { tellOtherForm } from "../file-form.ts";
import { readBounded } from "../files.ts";
import { readPins } from "../keys.ts";
import { headOptions, openLog, tellReport } from "../log-session.ts";
import { printable } from "../printable.ts";
import { Progress } from "../progress.ts";
import { aligned, count } from "../report.ts";

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
    tellOtherForm(bytes, "record", report.findings);
    const [members, lines] = [membersOf(report, options.file), linesOf(report, options.file)];
    return await tellReport(session, report, { command: "verify", json: options.json, members, lines });
  } finally {
    session.close();
  }
}

function membersOf(report: RecordReport, file: string): Record<string, unknown> {
  return {
    file,
    form: "record",
    record: report.record ?? null,
    ranges: report.ranges,
    entries: report.entries,
    shown: report.shown,
    firstBad: report.firstBad ?? null,
  };
}

function linesOf(report: RecordReport, file: string): string[] {
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
  ];
}
