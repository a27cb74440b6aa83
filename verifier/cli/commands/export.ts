import { setMaxListeners } from "node:events";
import { VerifierError } from "../../src/index.ts";
import type { ExportInvocation } from "../args/export.ts";
import { readReason } from "../disclosures.ts";
import { verdictStatus } from "../exit-status.ts";
import { contradicts, Exporter, follow, type RoundEnd } from "../export/exporter.ts";
import { FileSink } from "../export/file-sink.ts";
import { defaultHooks, type ExportHooks } from "../export/hooks.ts";
import { Collector } from "../export/otlp/collector.ts";
import { OtlpSink } from "../export/otlp/sink.ts";
import { Position } from "../export/position.ts";
import type { Asking } from "../export/rows.ts";
import { type ExportSettings, readHeaders } from "../export/settings.ts";
import type { Sink } from "../export/sink.ts";
import { StdoutSink } from "../export/stdout-sink.ts";
import { type LogSession, openLog, savedLines, statusOf } from "../log-session.ts";
import { count, findingLines } from "../report.ts";

/** So long a collector that does not take rows is tried again when the export is to end by itself. */
const onceRetryMs = 60_000;

/**
 * `vitrine-verifier export`.
 * @returns the exit status
 * @throws VerifierError `usage`, `log_unreachable`, `position_invalid`, `write_failed`, `collector_refused`,
 * `collector_unreachable`
 */
export async function runExport(options: ExportInvocation, hooks: ExportHooks = defaultHooks): Promise<number> {
  const { settings } = options;
  const session = await openLog(options);
  const ended = new AbortController();
  setMaxListeners(0, ended.signal); // one for each request under way
  const stop = (): void => ended.abort();
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, stop);
  let sink: Sink | undefined;
  try {
    const asking = askingOf(settings, session);
    const { to, from, since } = settings;
    const position = await Position.open(settings.position, { keys: session.keys, to: to.format }, hooks);
    sink = await openSink(options, ended.signal, hooks);
    const exporter = new Exporter({ session, sink, position, from, since, asking, hooks, signal: ended.signal });
    return await run(exporter, options, ended.signal, hooks);
  } finally {
    await sink?.close();
    session.close();
    for (const signal of ["SIGTERM", "SIGINT"] as const) process.off(signal, stop);
  }
}

async function run(
  exporter: Exporter,
  { settings }: ExportInvocation,
  signal: AbortSignal,
  hooks: ExportHooks,
): Promise<number> {
  try {
    const end = settings.once
      ? await exporter.round()
      : await follow(exporter, { intervalMs: settings.intervalMs, signal, hooks });
    return statusAt(end, exporter, hooks);
  } catch (error) {
    if (signal.aborted && !(error instanceof VerifierError)) return statusAt(undefined, exporter, hooks);
    if (!contradicts(error)) throw error;
    tellLines(findingLines([{ code: error.code as never, message: error.message, ...error.place }]), hooks);
    hooks.log(summary(exporter));
    return error.code === "data_missing" ? verdictStatus["NOT PROVEN"] : verdictStatus.FAIL;
  }
}

function statusAt(end: RoundEnd | undefined, exporter: Exporter, hooks: ExportHooks): number {
  if (end !== undefined) tellLines([...findingLines(end.report.findings), ...savedLines(end.saved)], hooks);
  hooks.log(summary(exporter));
  const status = end === undefined ? 0 : statusOf(end.report, end.saved);
  // What the other side threw away must not look like success.
  return status === 0 && exporter.rejected > 0 ? verdictStatus["NOT PROVEN"] : status;
}

function tellLines(lines: readonly string[], hooks: ExportHooks): void {
  for (const line of lines) if (line.trim() !== "") hooks.log(line.trim());
}

function summary({ exported, rejected, next }: Exporter): string {
  const lost = rejected === 0 ? "" : `, of which ${rejected} were rejected`;
  return `${count(exported, "row", "rows")} written${lost}; the next index is ${next}`;
}

async function openSink(
  { settings: { to, maxRow, once }, timeoutMs }: ExportInvocation,
  signal: AbortSignal,
  hooks: ExportHooks,
): Promise<Sink> {
  if (to.format === "ocsf") {
    const { output, rotate, raw } = to;
    return output === undefined
      ? new StdoutSink({ raw, maxRow })
      : FileSink.open(output, { raw, maxRow, rotate, hooks });
  }
  const headers = to.headers === undefined ? {} : await readHeaders(to.headers);
  const retryMs = once ? onceRetryMs : Number.POSITIVE_INFINITY;
  const log = (message: string): void => hooks.log(message);
  return new OtlpSink(new Collector(to.endpoint, { headers, timeoutMs, retryMs, signal, log }), { maxRow, hooks });
}

function askingOf({ reason: given }: ExportSettings, { http, token }: LogSession): Asking | undefined {
  if (given === undefined || token === undefined || http === undefined) return undefined;
  return { http, token, reason: readReason(given) };
}
