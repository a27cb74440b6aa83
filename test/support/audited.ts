/** The record against pgAudit's lines: which statements each session ran, in which order. */
import type { Entry } from "./stack.ts";

export interface AuditLine {
  readonly pid: number;
  readonly class: string;
  readonly command: string;
  readonly text: string;
  /** It has the number of a statement before it: it is within that, or that is a portal which is not yet done. */
  readonly within: boolean;
}

/**
 * @param log the server's log with `log_line_prefix = '%p '`: a line of an audited statement begins so, and goes on in
 * lines that begin with a tab
 * @returns what was audited, in order
 */
export function auditLines(log: string): AuditLine[] {
  const found: AuditLine[] = [];
  const line = /^(\d+) LOG: {2}AUDIT: (SESSION,.*(?:\n\t.*)*)/gm;
  for (const [, pid, record] of log.matchAll(line)) {
    const fields = csv(record!.replaceAll("\n\t", "\n"));
    const [, , part, kind, command, , , text] = fields;
    found.push({ pid: Number(pid), class: kind!, command: command!, text: text!, within: part !== "1" });
  }
  return found;
}

/** RFC 4180, one record. */
function csv(record: string): string[] {
  const fields: string[] = [];
  for (const [, quoted, plain] of record.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,]*))/g)) {
    fields.push(quoted?.replaceAll('""', '"') ?? plain ?? "");
  }
  return fields;
}

const plain = (text: string): string =>
  text
    .replace(/\s+/g, " ")
    .replace(/[ ;]+$/, "")
    .trim();
const executed = (text: string): string | undefined => /^\s*EXECUTE\s+("[^"]+"|[\w.]+)/i.exec(text)?.[1]?.toLowerCase();
const prepares = (text: string): string | undefined => /^\s*PREPARE\s+("[^"]+"|[\w.]+)/i.exec(text)?.[1]?.toLowerCase();

/** The line tells of the statement: by its text, or that of the whole string it stood in, or of what it executes. */
function tells(line: AuditLine, entry: Entry): boolean {
  const [said, sql] = [plain(line.text), plain(String(entry.sql))];
  if (said === sql || (said.includes(";") && said.includes(sql))) return true;
  return entry.operation === "EXECUTE" && prepares(said) === executed(sql);
}

/**
 * pgAudit says nothing of what is rejected before it is executed (unknown names, constants that cannot be computed), of
 * what the server does in a failed transaction, and of a cursor's rows.
 */
function mayBeUntold({ outcome, tx, operation }: Entry): boolean {
  return outcome !== "completed" || tx === "E" || operation === "FETCH" || operation === "MOVE";
}

/**
 * Holds one session's entries against its lines, both in order. A statement may have several lines: what it explains,
 * copies or creates is told as well.
 * @returns what one side has and the other has not
 */
export function unequal(recorded: readonly Entry[], lines: readonly AuditLine[]): string[] {
  const found: string[] = [];
  // An entry is written when its outcome is known: that of a portal which is executed in portions, behind others.
  const entries = recorded
    .filter(({ executed }) => executed !== false)
    .toSorted((a, b) => String(a.start).localeCompare(String(b.start)));
  let at = 0;
  for (let i = 0; i < entries.length; i++) {
    // Statements within functions have no entry.
    const next = lines.findIndex((other, k) => k >= at && (!other.within || tells(other, entries[i]!)));
    if (next > at && tells(lines[next]!, entries[i]!)) at = next;
    const line = lines[at];
    // Which of those that began within the same millisecond was the first is not told.
    const first = entries.findIndex(
      (other, k) => k >= i && other.start === entries[i]!.start && line !== undefined && tells(line, other),
    );
    if (first > i) entries.splice(i, 0, ...entries.splice(first, 1));
    const entry = entries[i]!;
    if (line === undefined || !tells(line, entry)) {
      if (!mayBeUntold(entry)) found.push(`not audited: ${entry.operation} ${plain(String(entry.sql)).slice(0, 100)}`);
      continue;
    }
    // The same text again is the next entry's, if that has it.
    do at++;
    while (
      at < lines.length &&
      lines[at]!.text === line.text &&
      !(i + 1 < entries.length && tells(lines[at]!, entries[i + 1]!))
    );
  }
  for (const line of lines.slice(at).filter(({ within }) => !within))
    found.push(`not recorded: ${line.command} ${plain(line.text).slice(0, 100)}`);
  return found;
}
