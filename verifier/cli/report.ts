import {
  type Checkpoint,
  encodeBase64,
  type Finding,
  type HeadReport,
  type SourceReport,
  timeText,
  type Verdict,
  type WitnessingReport,
  type WitnessReport,
} from "../src/index.ts";
import type { Acknowledged } from "./acknowledged.ts";
import { outputWidth } from "./output.ts";
import { printable } from "./printable.ts";

/** Lines that say what was found, for people. Whatever comes from a log is made fit for a terminal here. */

/** @returns the pairs as lines with their values one below the other */
export function aligned(pairs: readonly (readonly [string, string])[]): string[] {
  const width = Math.max(0, ...pairs.map(([label]) => label.length)) + 2;
  return pairs.map(([label, text]) => `${label.padEnd(width)}${text}`);
}

export function describeCheckpoint({ size, root }: Checkpoint): string {
  return `${count(size, "entry", "entries")}, root ${encodeBase64(root)}`;
}

export function count(n: number, one: string, many: string): string {
  return `${n} ${n === 1 ? one : many}`;
}

/** @returns what each witness of the policy has said; nothing when there is no policy */
export function witnessLines(witnessing: WitnessingReport | undefined): string[] {
  if (witnessing === undefined) return [];
  const { quorum, reached, size, witnesses } = witnessing;
  const result =
    quorum === "none" ? "none is demanded" : `${printable(quorum)} is ${reached ? "reached" : "NOT reached"}`;
  const pairs = witnesses.map((one): [string, string] => [
    `  ${printable(one.name)}`,
    `${witnessState(one)}${one.inQuorum || quorum === "none" ? "" : ", not in the quorum"} (${printable(one.key)})`,
  ]);
  return [
    `Witnesses of the tree of ${count(size, "entry", "entries")}`,
    ...aligned([["  quorum", result], ...pairs]),
    "",
  ];
}

function witnessState({ state, timestamp }: WitnessReport): string {
  const time = timestamp === null ? "" : timeText(timestamp);
  switch (state) {
    case "cosigned":
      return `cosigned at ${time}`;
    case "missing":
      return "missing";
    case "invalid":
      return "INVALID: a cosignature that does not verify";
    case "future":
      return `not counted: cosigned at ${time}, ahead of this clock`;
    case "old":
      return `not counted: cosigned at ${time}, older than is allowed`;
  }
}

/**
 * @param acknowledged what somebody has said of a finding
 * @returns each finding with its code, its place and its sentence
 */
export function findingLines(
  findings: readonly Finding[],
  omitted: Readonly<Record<string, number>> = {},
  acknowledged: (finding: Finding) => Acknowledged | undefined = () => undefined,
): string[] {
  const lines: string[] = [];
  for (const finding of findings) {
    const place = placeOf(finding);
    lines.push(`  ${finding.code}${place === "" ? "" : `  at ${place}`}`, ...paragraph(finding.message, "    "));
    const said = acknowledged(finding);
    if (said !== undefined)
      lines.push(...paragraph(`acknowledged by ${said.by} at ${said.time}: ${said.reason}`, "    "));
  }
  for (const [code, more] of Object.entries(omitted)) lines.push(`  ${code}  ${more} more of these`);
  return lines.length === 0 ? [] : ["Findings", ...lines, ""];
}

function placeOf({ index, source, epoch, seq, where }: Finding): string {
  const parts: string[] = [];
  if (index !== undefined) parts.push(`entry ${index}`);
  if (source !== undefined) parts.push(`source ${printable(source)}`);
  if (epoch !== undefined) parts.push(`epoch ${epoch}`);
  if (seq !== undefined) parts.push(`sequence ${seq}`);
  if (where !== undefined) parts.push(printable(where));
  return parts.join(", ");
}

/** @returns the end of every report: the verdict, and what it means */
export function verdictLines(verdict: Verdict, conclusion: string): string[] {
  return [verdict, ...paragraph(conclusion)];
}

/** @returns sentences, broken between words on a terminal; a file gets them on one line, which a search finds whole */
function paragraph(text: string, indent = ""): string[] {
  const words = printable(text).split(" ");
  const width = process.stdout.isTTY ? Math.min(100, outputWidth()) : Number.POSITIVE_INFINITY;
  const lines: string[] = [];
  let line = indent + words[0]!;
  for (const word of words.slice(1)) {
    if (line.length + 1 + word.length <= width) line += ` ${word}`;
    else {
      lines.push(line);
      line = indent + word;
    }
  }
  return [...lines, line];
}

export function sourceLines(source: SourceReport): string[] {
  const key =
    source.key === "pinned"
      ? "pinned: one of its keys was given with --source"
      : source.key === "learned"
        ? "learned: it is named by the source's own entries"
        : "no acceptable key is known";
  const ended = source.cleanEnds + (source.stopped ? 1 : 0);
  const running = source.stopped ? "" : ", the last one goes on";
  const epochs = `${source.epochs}: ${ended} ended in order, ${source.uncleanEnds} did not${running}`;
  const pairs: [string, string][] = [
    [
      "  key",
      source.keyId === undefined ? key : `${source.keyId}, ${key}${source.keys > 1 ? ` (${source.keys} so far)` : ""}`,
    ],
    ["  epochs", source.epochs === 0 ? "none" : epochs],
    ["  entries", `${source.entries}${source.last === null ? "" : `, the last at ${source.last.time}`}`],
    ["  sealed", sealedText(source)],
  ];
  if (source.durability !== null) pairs.push(["  durability", durabilityText(source.durability)]);
  if (source.relaxed.epochs > 0) {
    const { epochs: ran, window_ms } = source.relaxed;
    pairs.push(["  relaxed", `${count(ran, "epoch", "epochs")}, where a crash may lose up to ${window_ms} ms`]);
  }
  if (source.openSessions > 0) pairs.push(["  open", count(source.openSessions, "session", "sessions")]);
  for (const { index, epoch } of source.gaps) {
    pairs.push(["  gap", `declared at entry ${index}, the start of epoch ${epoch}: the spool was lost`]);
  }
  return [`Source ${printable(source.name)}`, ...aligned(pairs), ""];
}

function sealedText({ lastSeal, unsealed }: SourceReport): string {
  const last = lastSeal === null ? "never" : `last at ${lastSeal.time} (entry ${lastSeal.index})`;
  if (unsealed === null) return last;
  return `${last}; ${count(unsealed.count, "entry", "entries")} from entry ${unsealed.index} on without a seal yet`;
}

function durabilityText({ reads, others }: NonNullable<SourceReport["durability"]>): string {
  return reads === others ? reads : `reads ${reads}, others ${others}`;
}

/** The members that the JSON of every command over a log has. */
export function headJson(report: HeadReport): Record<string, unknown> {
  return {
    verdict: report.verdict,
    findings: report.findings,
    omitted: report.omitted,
    checkpoint: checkpointJson(report.checkpoint),
    policy: report.witnessing ?? null,
    keptSize: report.keptSize ?? null,
    conclusion: report.conclusion,
  };
}

export function checkpointJson(checkpoint: Checkpoint | undefined): Record<string, unknown> | null {
  if (checkpoint === undefined) return null;
  const { origin, size, root, note } = checkpoint;
  return { origin, size, root: encodeBase64(root), note: new TextDecoder().decode(note) };
}
