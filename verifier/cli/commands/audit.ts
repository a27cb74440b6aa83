import { type AuditReport, auditLog } from "../../src/index.ts";
import { Acknowledgements } from "../acknowledged.ts";
import type { AuditInvocation } from "../args/audit.ts";
import { acknowledgedStatus } from "../exit-status.ts";
import { type Doubts, isFiltering, makeDoubt, makeFilter } from "../filter.ts";
import { readPins } from "../keys.ts";
import { LeafPool } from "../leaf-pool.ts";
import { Listing, layListing } from "../listing.ts";
import {
  headLines,
  headOptions,
  type LogSession,
  openLog,
  type Saved,
  savedLines,
  saveSoFar,
  saveState,
  sessionJson,
  statusOf,
} from "../log-session.ts";
import { outputWidth, printLines, printResult } from "../output.ts";
import { Progress } from "../progress.ts";
import { count, findingLines, sourceLines, verdictLines } from "../report.ts";

/** How many entries are listed when the caller does not say: at a glance, and when something was looked for. */
const glance = 50;
const search = 10_000;

/** A source seals within seconds of an entry. */
const defaultWaitMs = 15_000;

/**
 * `vitrine-verifier audit`: steps C, K, W, T, E, S and N, and a list of entries.
 * @returns the exit status
 * @throws VerifierError `usage`, `log_unreachable`
 */
export async function runAudit(options: AuditInvocation): Promise<number> {
  const pins = await readPins(options.sources);
  const session = await openLog(options);
  const acknowledged = await Acknowledgements.read(options.acknowledged, session.keys[0].name);
  const listing = new Listing(options.limit ?? (options.all || isFiltering(options.filter) ? search : glance));
  const matches = makeFilter(options.filter);
  const doubts: Doubts = { schema: 0, text: 0 };
  const doubt = makeDoubt(options.filter, doubts);
  const progress = new Progress();
  const pool = new LeafPool();
  try {
    const report = await auditLog(session.reader, {
      ...headOptions(session),
      all: options.all,
      pins,
      // A folder does not grow because somebody waits.
      waitMs: options.waitMs ?? (session.http === undefined ? 0 : defaultWaitMs),
      entries: options.entries === "any" ? "any" : undefined,
      onEntry: (index, entry) => {
        if (entry === undefined) return;
        if (matches(entry.kind, entry.text)) listing.add(index, entry.text);
        else doubt(entry.kind, entry.text);
      },
      onProgress: (done, size) => progress.entries(done, size),
      onWait: (leftMs, what) => progress.waiting(leftMs, what),
      onVerified: (keep) => saveSoFar(session.state, keep),
      hashLeaves: pool.hash,
    }).finally(() => progress.end());
    const saved = await saveState(session, report);
    // Also what was found while the state was kept is among them.
    const whole: Whole = { session, report, listing, doubts, saved, acknowledged };
    if (options.json) printResult("audit", auditJson(whole));
    else printLines(auditLines(whole));
    return statusOf(report, saved, acknowledged.covers(report.findings, report.omitted));
  } finally {
    session.close();
    await pool.close();
  }
}

/** Findings after which the entries that were read are not the ones that were signed (spec/proof.md, T). */
const unsigned: ReadonlySet<string> = new Set(["data_missing", "tile_malformed", "leaf_mismatch", "root_mismatch"]);

/** @returns whether what is listed is what the log's key has signed */
function isSigned(report: AuditReport): boolean {
  return report.checkpoint !== undefined && !report.findings.some(({ code }) => unsigned.has(code));
}

/** All that is said about an audit. */
type Whole = {
  session: LogSession;
  report: AuditReport;
  listing: Listing;
  doubts: Doubts;
  saved: Saved;
  acknowledged: Acknowledgements;
};

function auditLines({ session, report, listing, doubts, saved, acknowledged }: Whole): string[] {
  const status = statusOf(report, saved, acknowledged.covers(report.findings, report.omitted));
  return [
    ...headLines(session, report),
    ...listingLines(report, listing, doubts),
    ...report.sources.flatMap(sourceLines),
    ...findingLines(report.findings, report.omitted, (finding) => acknowledged.of(finding)),
    ...savedLines(saved),
    ...verdictLines(report.verdict, report.conclusion),
    ...(status === acknowledgedStatus
      ? [`All findings are acknowledged, so the exit status is ${acknowledgedStatus}. The verdict stays what it is.`]
      : []),
  ];
}

/** @param end the index behind the last one */
function span(first: number, end: number): string {
  return end === first + 1 ? `Entry ${first} was` : `Entries ${first} to ${end - 1} were`;
}

function listingLines(report: AuditReport, listing: Listing, { schema, text }: Doubts): string[] {
  const { from, size, read } = report;
  const lines = [read === from ? "No new entries." : `${span(from, read)} read.`];
  if (from > 0) lines.push(`${span(0, from)} verified by an earlier audit; --all reads and lists them too.`);
  if (!report.checks.includes("E")) return [...lines, "What they hold was not looked at: --entries any.", ""];
  if (read > size)
    lines.push(`Those from ${size} on came while waiting for seals; the next audit gives the verdict on them.`);
  const listed = listing.listed;
  const more = listing.matched - listed.length;
  if (more > 0) {
    lines.push(
      `${count(listing.matched, "entry matches", "entries match")}; the newest ${listed.length} are listed, ${more} more with --limit ${listing.matched}.`,
    );
  } else if (read > from) lines.push(`${count(listing.matched, "entry matches", "entries match")}.`);
  if (schema > 0) {
    const more = count(schema, "statement names", "statements name");
    lines.push(`${more} such a table without a schema, and may mean this one: --table with the name alone lists all.`);
  }
  if (text > 0) {
    const more = count(text, "statement does", "statements do");
    lines.push(
      `${more} more than can be read off the text, and may have reached the table: without --table all are listed.`,
    );
  }
  if (listed.length > 0) {
    if (!isSigned(report)) lines.push("NOT PROVEN TO BE WHAT WAS SIGNED (see the findings):");
    lines.push("", ...layListing(listed, outputWidth()));
  }
  return [...lines, ""];
}

function auditJson({ session, report, listing, doubts, saved, acknowledged }: Whole): Record<string, unknown> {
  return {
    ...sessionJson(session, report, saved),
    findings: report.findings.map((finding) => {
      const said = acknowledged.of(finding);
      return said === undefined ? finding : { ...finding, acknowledged: said };
    }),
    acknowledged: acknowledged.covers(report.findings, report.omitted),
    from: report.from,
    size: report.size,
    read: report.read,
    firstBadIndex: report.firstBadIndex ?? null,
    sources: report.sources,
    unknown: report.unknown,
    checks: report.checks,
    matched: listing.matched,
    doubtful: doubts.schema,
    incomplete: doubts.text,
    entriesSigned: isSigned(report),
    entries: listing.listed,
  };
}
