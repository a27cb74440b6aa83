import { maxReceiptLength, type ReceiptReport, verifyReceipt } from "../../src/index.ts";
import type { ReceiptInvocation } from "../args/evidence.ts";
import { tellOtherForm } from "../file-form.ts";
import { readBounded } from "../files.ts";
import { readPins } from "../keys.ts";
import { headOptions, openLog, tellReport } from "../log-session.ts";
import { printable } from "../printable.ts";
import { aligned } from "../report.ts";

/**
 * `vitrine-verifier verify FILE --receipt --log`: steps Q1 to Q7 of a source's receipt.
 * @returns the exit status
 * @throws VerifierError `usage`, `log_unreachable`
 */
export async function runVerifyReceipt(options: ReceiptInvocation): Promise<number> {
  // A newline and one byte beyond the limit are enough for Q1 to see that the file is too long.
  const bytes = await readBounded(options.file, maxReceiptLength + 1, "the receipt");
  const pins = await readPins(options.sources);
  const session = await openLog(options);
  try {
    const report = await verifyReceipt(new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length), session.reader, {
      ...headOptions(session),
      pins,
    });
    tellOtherForm(bytes, "receipt", report.findings);
    const [members, lines] = [membersOf(report, options.file), linesOf(report, options.file)];
    return await tellReport(session, report, { command: "verify", json: options.json, members, lines });
  } finally {
    session.close();
  }
}

function membersOf(report: ReceiptReport, file: string): Record<string, unknown> {
  const { receipt, leaf, foundAt, pinned } = report;
  return {
    file,
    form: "receipt",
    receipt: receipt === undefined ? null : { ...receipt, leaf, index: receipt.index ?? null },
    index: foundAt ?? null,
    pinned,
  };
}

function linesOf(report: ReceiptReport, file: string): string[] {
  const { receipt, foundAt } = report;
  const lines: [string, string][] = [["Receipt", file === "-" ? "standard input" : printable(file)]];
  if (receipt !== undefined) {
    const { source, epoch, seq, acknowledged, index } = receipt;
    const at = index === undefined ? "" : ` at index ${index}`;
    lines.push(
      ["Source", printable(source)],
      ["Entry", `epoch ${epoch}, sequence ${seq}`],
      ["It says", acknowledged ? `acknowledged by the log${at}` : "not yet acknowledged by the log"],
    );
    if (foundAt !== undefined) lines.push(["Found", `at index ${foundAt}`]);
  }
  return [...aligned(lines), ""];
}
