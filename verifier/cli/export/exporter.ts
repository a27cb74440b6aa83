import { setTimeout as sleep } from "node:timers/promises";
import { checkHead, type HeadReport, isFindingCode, tileWidth, VerifierError } from "../../src/index.ts";
import { headOptions, type LogSession, type Saved, saveState } from "../log-session.ts";
import type { ExportHooks } from "./hooks.ts";
import type { Position } from "./position.ts";
import type { Row } from "./row.ts";
import { type Asking, disclose, signedRows } from "./rows.ts";
import type { Sink } from "./sink.ts";

export type ExporterOptions = {
  session: LogSession;
  sink: Sink;
  position: Position;
  /** Where to begin when there is no position. */
  from: number;
  /** Without a position, entries before the first one at or after this timestamp are passed over. */
  since: string | undefined;
  asking: Asking | undefined;
  hooks: ExportHooks;
  signal: AbortSignal;
};

/** How one round ended. `report` is of the head; the rows are of its tree. */
export type RoundEnd = { report: HeadReport; saved: Saved };

/** Rows that are written at once, and of how many bytes of entries. */
const maxRows = 4096;
const maxBytes = 8_388_608;
/** Rows that disclosures are held for at once. */
const maxAsked = 32;

/** Brings the entries of a signed tree to a sink, in order, and remembers how far it came. */
export class Exporter {
  readonly #options: ExporterOptions;
  #next: number;
  #since: string | undefined;
  /** Rows written by this run, and how many of them were rejected. */
  exported = 0;
  rejected = 0;

  constructor(options: ExporterOptions) {
    this.#options = options;
    this.#next = options.position.next ?? options.from;
    this.#since = options.position.next === undefined ? options.since : undefined;
  }

  /** The index of the first entry that is not exported. */
  get next(): number {
    return this.#next;
  }

  /**
   * Exports what the log has signed by now.
   * @returns undefined when it was stopped on the way
   * @throws VerifierError `log_unreachable`, those of {@link Sink} and {@link Position}, and findings over the tree
   */
  async round(): Promise<RoundEnd | undefined> {
    const { session } = this.#options;
    const report = await checkHead(session.reader, headOptions(session));
    const saved = await saveState(session, report);
    const { checkpoint } = report;
    if (report.verdict !== "PASS" || checkpoint === undefined) return { report, saved };
    if (checkpoint.size < this.#next) {
      const message = `the log shows a tree of ${checkpoint.size} entries, and ${this.#next} were exported`;
      throw new VerifierError("rolled_back", message, { where: "checkpoint" });
    }
    if (checkpoint.size > this.#next && !(await this.#export(checkpoint))) return undefined;
    return { report, saved };
  }

  /** @returns whether it came to the end of the tree */
  async #export(tree: { size: number; root: Uint8Array }): Promise<boolean> {
    const { session, asking, signal } = this.#options;
    const origin = session.keys[0].name;
    // What was asked for is written at once: asked for again, it would be one more act in the log.
    const enough = asking === undefined ? maxRows - tileWidth : 1;
    let waiting: Row[] = [];
    let bytes = 0;
    // One write is under way while the next rows are read: most of its time it waits for the disk or the collector.
    let writing: Promise<void> = Promise.resolve();
    try {
      for await (const rows of signedRows(tree, this.#next, { reader: session.reader, origin })) {
        if (signal.aborted) return false;
        for (const row of rows) {
          if (this.#isBefore(row)) continue;
          waiting.push(row);
          bytes += row.bytes.length;
        }
        if (waiting.length < enough && bytes < maxBytes) continue;
        await writing;
        writing = this.#writeAll(waiting);
        writing.catch(() => undefined); // thrown where it is awaited
        waiting = [];
        bytes = 0;
      }
      await writing;
      await this.#writeAll(waiting);
      // Of what was passed over nothing is remembered, but by this run: it would read all of it again and again.
      if (this.#since !== undefined) this.#next = tree.size;
      return true;
    } finally {
      // Whatever ended it, nothing is under way afterwards.
      await writing;
    }
  }

  /** Disclosures may be large, so few rows are asked for at once. */
  async #writeAll(rows: readonly Row[]): Promise<void> {
    const most = this.#options.asking === undefined ? rows.length : maxAsked;
    for (let at = 0; at < rows.length; at += most) await this.#write(rows.slice(at, at + most));
  }

  #isBefore({ entry }: Row): boolean {
    if (this.#since === undefined) return false;
    if (entry === undefined || entry.time < this.#since) return true;
    // Of several sources one may be late: what is behind the first entry is never passed over.
    this.#since = undefined;
    return false;
  }

  async #write(rows: readonly Row[]): Promise<void> {
    const { sink, position, asking, hooks } = this.#options;
    if (asking !== undefined) await disclose(rows, asking, (message) => hooks.log(message));
    const next = rows.at(-1)!.index + 1;
    this.rejected += await sink.write(rows, next);
    await position.save(next);
    this.#next = next;
    this.exported += rows.length;
  }
}

/** A log that fails is asked more and more seldom, down to once in so many milliseconds. */
const longestPauseMs = 60_000;

/**
 * Exports until it is stopped, or until something contradicts.
 * @returns the round that failed; undefined when it was stopped
 * @throws VerifierError that no waiting mends: a finding that contradicts, a sink that fails
 */
export async function follow(
  exporter: Exporter,
  { intervalMs, signal, hooks }: { intervalMs: number; signal: AbortSignal; hooks: ExportHooks },
): Promise<RoundEnd | undefined> {
  for (let failures = 0; !signal.aborted; ) {
    const problem = await attempt(exporter);
    if (typeof problem === "object" && problem.report.verdict === "FAIL") return problem;
    const why = typeof problem === "object" ? problem.report.findings[0]?.message : problem;
    if (why === undefined) {
      if (failures > 0) hooks.log("the export goes on");
      failures = 0;
    } else {
      if (failures === 0) hooks.log(`nothing can be exported for now: ${why}`);
      failures = Math.min(failures + 1, 20);
    }
    const pause = Math.max(intervalMs, Math.min(longestPauseMs, intervalMs * 2 ** failures));
    await sleep(failures === 0 ? intervalMs : pause, undefined, { signal }).catch(() => undefined); // seen above
  }
  return undefined;
}

/** @returns a round that found something, or why nothing could be read; undefined when all is well */
async function attempt(exporter: Exporter): Promise<RoundEnd | string | undefined> {
  try {
    const end = await exporter.round();
    return end === undefined || end.report.verdict === "PASS" ? undefined : end;
  } catch (error) {
    // What is missing may come: the checkpoint can be ahead of the tiles of a mirror.
    if (error instanceof VerifierError && (error.code === "log_unreachable" || error.code === "data_missing")) {
      return error.message;
    }
    throw error;
  }
}

/** @returns whether the error says that the log contradicts what it has signed */
export function contradicts(error: unknown): error is VerifierError {
  return error instanceof VerifierError && isFindingCode(error.code);
}
