import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import type { TurnReport } from "./intake/sequencer.ts";
import type { PublicationStage } from "./publish/publisher.ts";
import type { WitnessFailure } from "./witnesses/protocol.ts";
import type { WitnessReport } from "./witnesses/witnesses.ts";

/** What the gauges show; read when the metrics are. */
export interface Gauges {
  readonly treeSize: () => number;
  readonly publishedSize: () => number;
  readonly indexLag: () => number;
  readonly searchLag: () => number;
  readonly waitingSubmissions: () => number;
  readonly waitingBytes: () => number;
  readonly waitingAdds: () => number;
  readonly witnesses: () => WitnessReport;
}

/** From the arrival of a submission to the checkpoint that has its entries; `publish` is the last four together. */
type Stage = "queue" | "write" | PublicationStage;

const SECONDS = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10];

/** The log's metrics, in a registry of their own. */
export class Metrics {
  readonly registry: Registry = new Registry();
  readonly #entries: Counter;
  readonly #batches: Counter;
  readonly #batchEntries: Histogram;
  readonly #syncSeconds: Histogram;
  readonly #submissions: Counter<"code">;
  readonly #added: Counter<"code">;
  readonly #checkpoints: Counter;
  readonly #searchSeconds: Histogram;
  readonly #stageSeconds: Histogram<"stage">;
  readonly #unread: Gauge;
  readonly #witnessAnswers: Counter<"witness" | "result">;
  readonly #witnessSeconds: Histogram<"witness">;

  constructor() {
    const registers = [this.registry];
    this.#entries = new Counter({ name: "vitrine_log_entries_total", help: "Entries made durable", registers });
    this.#batches = new Counter({ name: "vitrine_log_batches_total", help: "Synced writes", registers });
    this.#batchEntries = new Histogram({
      name: "vitrine_log_batch_entries",
      help: "Entries in one synced write",
      buckets: [1, 4, 16, 64, 256, 1024, 4096, 16_384],
      registers,
    });
    this.#syncSeconds = new Histogram({
      name: "vitrine_log_sync_seconds",
      help: "Duration of a synced write",
      buckets: [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 5],
      registers,
    });
    this.#submissions = new Counter({
      name: "vitrine_log_submissions_total",
      help: "Submissions answered, by result: accepted, or the error's code",
      labelNames: ["code"],
      registers,
    });
    this.#added = new Counter({
      name: "vitrine_log_added_total",
      help: "Entries without a source, answered by POST /add, by result: accepted, or the error's code",
      labelNames: ["code"],
      registers,
    });
    this.#checkpoints = new Counter({ name: "vitrine_log_checkpoints_total", help: "Checkpoints signed", registers });
    this.#searchSeconds = new Histogram({
      name: "vitrine_log_search_seconds",
      help: "Duration of a page of a search",
      buckets: [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1],
      registers,
    });
    this.#stageSeconds = new Histogram({
      name: "vitrine_log_stage_seconds",
      help: "Duration of each stage: queue and write of a submission; sign, guard, witness of a checkpoint, and publish for the whole of it",
      labelNames: ["stage"],
      buckets: SECONDS,
      registers,
    });
    this.#unread = new Gauge({
      name: "vitrine_log_unread_bytes",
      help: "Bytes of answers that clients have not read",
      registers,
    });
    this.#witnessAnswers = new Counter({
      name: "vitrine_log_witness_answers_total",
      help: "Exchanges with a witness, by result: cosigned, or why not",
      labelNames: ["witness", "result"],
      registers,
    });
    this.#witnessSeconds = new Histogram({
      name: "vitrine_log_witness_seconds",
      help: "Duration of an exchange with a witness, whatever came of it",
      labelNames: ["witness"],
      buckets: SECONDS,
      registers,
    });
  }

  /** Adds the process's own metrics and the gauges. */
  observe(gauges: Gauges): void {
    collectDefaultMetrics({ register: this.registry });
    this.#gauge("vitrine_log_tree_size", "Entries that are durable", gauges.treeSize);
    this.#gauge("vitrine_log_published_size", "Size of the latest checkpoint", gauges.publishedSize);
    this.#gauge("vitrine_log_index_lag", "Published entries that the hash index has not reached", gauges.indexLag);
    this.#gauge("vitrine_log_search_lag", "Published entries that the search index has not reached", gauges.searchLag);
    this.#gauge("vitrine_log_waiting_submissions", "Submissions being checked or written", gauges.waitingSubmissions);
    this.#gauge(
      "vitrine_log_waiting_bytes",
      "Bytes of submissions received, and not yet answered",
      gauges.waitingBytes,
    );
    this.#gauge("vitrine_log_waiting_adds", "Entries of POST /add being written", gauges.waitingAdds);
    const { witnesses } = gauges;
    this.#gauge("vitrine_log_witness_quorum", "1 while the checkpoint served has the policy's quorum", () =>
      witnesses().quorum ? 1 : 0,
    );
    this.#gauge("vitrine_log_cosignatures", "Cosignatures on the checkpoint served", () => witnesses().cosigned.length);
    this.#gauge(
      "vitrine_log_witness_alarms",
      "Witnesses that have seen more of this log, or another history of it",
      () => witnesses().alarms.length,
    );
  }

  #gauge(name: string, help: string, read: () => number): void {
    new Gauge({
      name,
      help,
      registers: [this.registry],
      collect() {
        this.set(read());
      },
    });
  }

  unread(bytes: number): void {
    this.#unread.set(bytes);
  }

  turn({ entries, seconds, queued }: TurnReport): void {
    for (const each of queued) this.stage("queue", each);
    this.stage("write", seconds);
    this.#entries.inc(entries);
    this.#batches.inc();
    this.#batchEntries.observe(entries);
    this.#syncSeconds.observe(seconds);
  }

  submission(code: string): void {
    this.#submissions.inc({ code });
  }

  added(code: string): void {
    this.#added.inc({ code });
  }

  search(seconds: number): void {
    this.#searchSeconds.observe(seconds);
  }

  stage(stage: Stage, seconds: number): void {
    this.#stageSeconds.observe({ stage }, seconds);
  }

  /** @param witness the name that the policy has for it */
  witness(witness: string, result: "cosigned" | WitnessFailure, seconds: number): void {
    this.#witnessAnswers.inc({ witness, result });
    this.#witnessSeconds.observe({ witness }, seconds);
  }

  checkpoint(): void {
    this.#checkpoints.inc();
  }
}
