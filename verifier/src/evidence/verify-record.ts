import { finishHead, type HeadOptions, openHead } from "../audit/head.ts";
import { joinKept } from "../audit/kept.ts";
import type { HeadReport } from "../audit/reports.ts";
import { readEntry } from "../entries/entry.ts";
import { Shapes } from "../entries/entry-shape.ts";
import { type FindingCode, findingVerdicts, isFindingCode, type Place, VerifierError } from "../errors.ts";
import { type Finding, Findings } from "../findings.ts";
import { encodeBase64 } from "../formats/base64.ts";
import type { Checkpoint } from "../formats/checkpoint.ts";
import { listKeys, parseVerifierKey, type VerifierKey } from "../formats/key.ts";
import { chainHash, equalBytes, hashLength } from "../formats/merkle.ts";
import { tileWidth } from "../formats/tile.ts";
import type { LogReader } from "../reading/log-reader.ts";
import { readAhead } from "../reading/read-ahead.ts";
import { type SignedBundle, SignedTree } from "../reading/signed-tree.ts";
import { parseRecord, type SubmittedRange, type SubmittedRecord } from "./record.ts";

export type RecordReport = HeadReport & {
  /** Undefined when R1 failed. */
  record: Pick<SubmittedRecord, "origin" | "source" | "vkey" | "torn"> | undefined;
  /** Ranges, and the entries in them; of those, the entries that were shown to be in the log as they were submitted. */
  ranges: number;
  entries: number;
  shown: number;
  /** The first range with a finding that contradicts. */
  firstBad: { line: number; epoch: number; seq: number; count: number; index: number } | undefined;
};

export type RecordOptions = HeadOptions & {
  /** Keys given for sources, by name. */
  pins?: ReadonlyMap<string, VerifierKey>;
  onProgress?: (done: number, entries: number) => void;
};

/** Bundles under way at once. */
const readAheadDepth = 4;

/**
 * Steps R1 to R10: whether the log holds what it acknowledged to a source.
 * @param bytes the record, as the source wrote it
 * @param reader the log
 * @throws VerifierError `log_unreachable`; `usage` for keys of several logs
 */
export async function verifyRecord(
  bytes: Uint8Array,
  reader: LogReader,
  options: RecordOptions,
): Promise<RecordReport> {
  const findings = new Findings();
  const check = new RecordCheck(findings, options);
  const record = check.open(bytes);
  const head = record === undefined ? { consistent: false } : await openHead(reader, options, findings);
  if (record !== undefined && head.checkpoint !== undefined && head.consistent) {
    await check.compare(reader, head.checkpoint, record.ranges);
  }
  const report: RecordReport = {
    ...finishHead(head, options, findings, joinKept(options.kept)?.audit ?? null),
    record: record && { origin: record.origin, source: record.source, vkey: record.vkey, torn: record.torn },
    ranges: record?.ranges.length ?? 0,
    entries: record?.ranges.reduce((sum, { count }) => sum + count, 0) ?? 0,
    shown: check.shown,
    firstBad: check.firstBad,
  };
  report.conclusion = conclude(report);
  return report;
}

class RecordCheck {
  readonly #findings: Findings;
  readonly #options: RecordOptions;
  #record: SubmittedRecord | undefined;
  #firstBad: SubmittedRange | undefined;
  shown = 0;

  constructor(findings: Findings, options: RecordOptions) {
    this.#findings = findings;
    this.#options = options;
  }

  get firstBad(): RecordReport["firstBad"] {
    if (this.#firstBad === undefined) return undefined;
    const { line, epoch, seq, count, index } = this.#firstBad;
    return { line, epoch, seq, count, index };
  }

  /** Steps R1 to R3. */
  open(bytes: Uint8Array): SubmittedRecord | undefined {
    let record: SubmittedRecord;
    try {
      record = parseRecord(bytes);
    } catch (error) {
      this.#findings.addError(error);
      return undefined;
    }
    this.#record = record;
    // R2
    for (const message of this.#mismatches(record)) this.#findings.add("record_mismatch", message, { where: "line 1" });
    for (const [i, range] of record.ranges.entries()) {
      // R3
      const wrong = follows(record.ranges[i - 1], range);
      if (wrong !== undefined) this.#add(range, "record_broken", wrong);
    }
    return record;
  }

  *#mismatches({ origin, source, vkey }: SubmittedRecord): Generator<string> {
    const [log] = listKeys(this.#options.key);
    if (origin !== log.name) yield `the record is of the log ${origin}, the key of ${log.name}`;
    let key: VerifierKey;
    try {
      key = parseVerifierKey(vkey);
    } catch (error) {
      if (!(error instanceof VerifierError)) throw error;
      yield `its vkey is malformed: ${error.message}`;
      return;
    }
    if (key.name !== source) yield `its vkey is of ${key.name}, and its source is ${source}`;
    const pin = this.#options.pins?.get(source);
    if (pin !== undefined && pin.text !== vkey) {
      yield `the key of its source (${key.id}) is not the one that was given for it (${pin.id})`;
    }
  }

  #add(range: SubmittedRange, code: FindingCode, message: string, place: Place = {}): void {
    const { source } = this.#record!;
    const { epoch, seq, index, line } = range;
    const where = `line ${line}`;
    this.#findings.add(code, `${where}: ${message}`, { index, source, epoch, seq, where, ...place });
    if (findingVerdicts[code] === "FAIL" && (this.#firstBad === undefined || line < this.#firstBad.line)) {
      this.#firstBad = range;
    }
  }

  /** Steps R5 to R10. */
  async compare(reader: LogReader, { size, root }: Checkpoint, all: readonly SubmittedRange[]): Promise<void> {
    const ranges: SubmittedRange[] = [];
    for (const range of all) {
      // R5
      if (range.index + range.count <= size) ranges.push(range);
      else {
        const message = `the log acknowledged the entries ${range.index} to ${range.index + range.count - 1}, and its tree has ${size} entries`;
        this.#add(range, "unpublished", message);
      }
    }
    const tree = new SignedTree(reader, size, root);
    const bundles = readAhead(bundlesOf(ranges), readAheadDepth, (n) => settle(tree.bundle(n)));
    const total = ranges.reduce((sum, { count }) => sum + count, 0);
    const shapes = new Shapes();
    let bundle: SignedBundle | VerifierError | undefined;
    let at = -1;
    let done = 0;
    for (const [i, range] of ranges.entries()) {
      const checked = new RangeCheck(range, ranges[i - 1], this.#record!, shapes);
      for (let k = 0; k < range.count; k++) {
        const n = Math.floor((range.index + k) / tileWidth);
        if (n !== at) {
          // In the order in which they are asked for.
          bundle = (await bundles.next()).value as SignedBundle | VerifierError;
          at = n;
          // R6, R7: once for a bundle.
          if (bundle instanceof VerifierError) this.#addBundle(range, bundle);
        }
        if (bundle instanceof VerifierError) checked.giveUp();
        else checked.add(bundle!, (range.index + k) % tileWidth, k);
      }
      for (const { code, message, ...place } of checked.end()) this.#add(range, code, message, place);
      if (checked.isGood) this.shown += range.count;
      done += range.count;
      this.#options.onProgress?.(done, total);
    }
  }

  #addBundle(range: SubmittedRange, error: VerifierError): void {
    if (!isFindingCode(error.code)) throw error;
    this.#add(range, error.code, error.message, error.place);
  }
}

/** Steps R8 to R10 over the entries of one range. */
class RangeCheck {
  readonly #range: SubmittedRange;
  readonly #last: SubmittedRange | undefined;
  readonly #record: SubmittedRecord;
  #chain: Uint8Array;
  readonly #shapes: Shapes;
  #known = true;
  #found: Finding[] = [];

  constructor(range: SubmittedRange, last: SubmittedRange | undefined, record: SubmittedRecord, shapes: Shapes) {
    this.#shapes = shapes;
    this.#range = range;
    this.#last = last;
    this.#record = record;
    this.#chain = range.before;
  }

  /** The entries cannot be had, or are not those that were signed. */
  giveUp(): void {
    this.#known = false;
  }

  add({ entries, leaves }: SignedBundle, at: number, k: number): void {
    const { source } = this.#record;
    const { epoch, seq, index } = this.#range;
    this.#chain = chainHash(this.#chain, leaves.subarray(at * hashLength, (at + 1) * hashLength));
    const place = { index: index + k, seq: seq + k };
    const wrong = (message: string): void => {
      // One entry that is not there says that all behind it may be moved: the first is enough.
      if (this.#found.length === 0) this.#found.push({ code: "submitted_missing", message, ...place });
    };
    // R8
    try {
      const { entry } = readEntry(entries[at]!, this.#shapes);
      if (entry.source !== source || entry.epoch !== epoch || entry.seq !== seq + k) {
        const there = `an entry of source ${entry.source}, epoch ${entry.epoch}, sequence ${entry.seq}`;
        wrong(`the log has ${there} at index ${index + k}, where it acknowledged sequence ${seq + k}`);
      } else if (entry.kind === "source.start") this.#start(entry, place);
    } catch (error) {
      if (!(error instanceof VerifierError)) throw error;
      wrong(
        `the log has something else at index ${index + k}, where it acknowledged sequence ${seq + k}: ${error.message}`,
      );
    }
  }

  /** Step R10. */
  #start(entry: Readonly<Record<string, unknown>>, place: Place): void {
    const message = this.#wrongStart(entry);
    if (message !== undefined) this.#found.push({ code: "submitted_changed", message, ...place });
  }

  #wrongStart({ previous }: Readonly<Record<string, unknown>>): string | undefined {
    const last = this.#last;
    if (last === undefined || last.epoch + 1 !== this.#range.epoch) return undefined;
    if (previous === null) return `source.start has no previous, and there was an epoch ${last.epoch}`;
    const { epoch, next, chain, spool } = previous as { epoch: number; next: number; chain: string; spool: string };
    if (spool === "lost") return undefined;
    const end = last.seq + last.count;
    if (epoch === last.epoch && next === end && chain === encodeBase64(last.after)) return undefined;
    return `source.start says that epoch ${epoch} ended with ${next} entries, and the record has ${end} of epoch ${last.epoch}, or other ones`;
  }

  end(): Finding[] {
    // R9
    if (this.#known && this.#found.length === 0 && !equalBytes(this.#chain, this.#range.after)) {
      const message = `the log has other entries than those it acknowledged: their chain does not lead from before to after`;
      this.#found.push({ code: "submitted_changed", message });
    }
    return this.#known ? this.#found : [];
  }

  get isGood(): boolean {
    return this.#known && this.#found.length === 0;
  }
}

/** @returns what is wrong with where a range stands */
function follows(last: SubmittedRange | undefined, range: SubmittedRange): string | undefined {
  if (range.seq === 0 && !equalBytes(range.before, new Uint8Array(hashLength)))
    return "before is not c(0) at sequence 0";
  if (last === undefined) return undefined;
  if (range.index < last.index + last.count) return "it stands in the log before the end of the range before it";
  if (range.epoch < last.epoch) return `epoch ${range.epoch} stands behind epoch ${last.epoch}`;
  if (range.epoch > last.epoch) {
    return range.seq === 0 ? undefined : `epoch ${range.epoch} begins with sequence ${range.seq}`;
  }
  const next = last.seq + last.count;
  if (range.seq !== next) return `sequence ${range.seq} follows ${next - 1}`;
  return equalBytes(range.before, last.after) ? undefined : "before is not the after of the range before it";
}

/** The bundles that the ranges lie in, each once for as long as it is needed. */
function* bundlesOf(ranges: readonly SubmittedRange[]): Generator<number> {
  let last = -1;
  for (const { index, count } of ranges) {
    for (let n = Math.floor(index / tileWidth); n * tileWidth < index + count; n++) {
      if (n !== last) yield n;
      last = n;
    }
  }
}

async function settle(bundle: Promise<SignedBundle>): Promise<SignedBundle | VerifierError> {
  try {
    return await bundle;
  } catch (error) {
    if (error instanceof VerifierError && isFindingCode(error.code)) return error;
    throw error;
  }
}

function conclude({ verdict, record, checkpoint, entries, ranges, shown, firstBad }: RecordReport): string {
  if (record === undefined) return "The file is no record of what was submitted, so nothing is established.";
  if (firstBad !== undefined) {
    const { line, epoch, seq, count, index } = firstBad;
    return `What the log holds and what the record says contradict: the first bad range is that of line ${line}, epoch ${epoch}, sequences ${seq} to ${seq + count - 1}, acknowledged at index ${index}.`;
  }
  if (checkpoint === undefined) return "No checkpoint of this log could be verified, so nothing is established.";
  if (verdict === "FAIL") return "Something contradicts: the findings say what.";
  if (verdict === "NOT PROVEN") {
    return `Nothing contradicts: ${shown} of ${entries} entries of the record are in the log as they were submitted, and the findings say what is not proven.`;
  }
  const torn = record.torn ? "; its last line is torn and was left out" : "";
  return `Established: all ${entries} entries that the record names (${ranges} ranges) are in the tree of ${checkpoint.size} entries, where the log acknowledged them and as ${record.source} submitted them. Not established: that the record names all entries of the source, which is for the audit${torn}.`;
}
