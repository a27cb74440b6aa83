import { Counter, collectDefaultMetrics, Gauge, Registry } from "prom-client";
import type { Recorder } from "../audit/index.ts";
import { Histogram, SECONDS } from "./histogram.ts";
import { Tally } from "./tally.ts";

/** Records of one group commit. */
const COMMIT_SIZES: readonly number[] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096];

/** What connections are counted by, at the moment when somebody asks. */
export interface Clients {
  /** How many connections are at what. */
  states(): Readonly<Record<string, number>>;
}

/** What a Prometheus server reads from the proxy's status address. The manual's table is held against it. */
export class Metrics {
  readonly registry: Registry = new Registry();
  readonly connections: Counter = this.#counter("vitrine_proxy_connections_total", "Client connections accepted");
  readonly sessions: Counter = this.#counter("vitrine_proxy_sessions_total", "Clients that logged in");
  readonly bytesIn: Tally = this.#tally("vitrine_proxy_client_bytes_total", "Bytes received from clients");
  readonly bytesOut: Tally = this.#tally("vitrine_proxy_server_bytes_total", "Bytes received from the server");
  readonly acceptErrors: Counter<"reason"> = this.#counter(
    "vitrine_proxy_accept_errors_total",
    "Client connections that could not be accepted, by reason",
    "reason",
  );
  readonly handshakeErrors: Counter = this.#counter(
    "vitrine_proxy_tls_handshake_errors_total",
    "TLS handshakes with clients that failed",
  );
  readonly errors: Counter<"code"> = this.#counter(
    "vitrine_proxy_errors_total",
    "Errors the proxy itself reported to clients, by code",
    "code",
  );
  readonly refusals: Counter<"by"> = this.#counter(
    "vitrine_proxy_refusals_total",
    "Logins that were refused, by the server or the proxy",
    "by",
  );
  readonly denials: Counter<"rule"> = this.#counter(
    "vitrine_proxy_denials_total",
    "Statements that the access rules denied, by rule",
    "rule",
  );
  readonly timeouts: Counter = this.#counter(
    "vitrine_proxy_statement_timeouts_total",
    "Statements cancelled for limits.statement_timeout_ms",
  );
  readonly statements: Histogram = this.#seconds(
    "vitrine_proxy_statement_seconds",
    "From a statement's arrival to its outcome, by outcome",
    "outcome",
  );
  readonly connects: Histogram = this.#seconds(
    "vitrine_proxy_connect_seconds",
    "From a client's startup packet to a server that takes its messages",
  );
  readonly commits: Histogram = this.#seconds(
    "vitrine_proxy_commit_seconds",
    "One group commit of the spool: write and fsync",
  );
  readonly commitRecords: Histogram = new Histogram(
    this.registry,
    "vitrine_proxy_commit_records",
    "Records of one group commit",
    COMMIT_SIZES,
  );

  constructor() {
    collectDefaultMetrics({ register: this.registry });
  }

  /** Gauges that are read when they are asked for. */
  watch(clients: Clients, recorder: Recorder): void {
    new Gauge({
      name: "vitrine_proxy_clients",
      help: "Client connections open, by what they are at",
      labelNames: ["state"],
      registers: [this.registry],
      collect() {
        for (const [state, count] of Object.entries(clients.states())) this.set({ state }, count);
      },
    });
    const stats = recorder.stats.bind(recorder);
    this.gauge(
      "vitrine_proxy_spool_bytes",
      "Bytes in the spool that the log has not acknowledged",
      () => stats().bytes,
    );
    this.gauge(
      "vitrine_proxy_spool_age_seconds",
      "Age of the oldest entry that the log has not acknowledged",
      () => stats().oldestAgeMs / 1000,
      "max",
    );
    this.gauge(
      "vitrine_proxy_unsubmitted_entries",
      "Entries that the log has not acknowledged",
      () => stats().unsubmitted,
    );
    this.gauge("vitrine_proxy_entries", "Entries written in this epoch", () => stats().entries);
    this.gauge("vitrine_proxy_open_intents", "Statements under way", () => stats().openIntents);
    this.gauge(
      "vitrine_proxy_submission_retries",
      "Submissions that had to be repeated in this epoch",
      () => stats().submitter.retries,
    );
    const states = ["open", "restricted", "closed", "failed"];
    this.gauge(
      "vitrine_proxy_spool_state",
      "0 open, 1 restricted, 2 closed, 3 failed",
      () => states.indexOf(recorder.state),
      "max",
    );
  }

  /**
   * A gauge that is read when it is asked for.
   * @param aggregator what several workers' values become
   */
  gauge(name: string, help: string, read: () => number, aggregator: "sum" | "max" = "sum"): void {
    new Gauge({
      name,
      help,
      aggregator,
      registers: [this.registry],
      collect() {
        this.set(read());
      },
    });
  }

  #counter<T extends string = string>(name: string, help: string, ...labelNames: T[]): Counter<T> {
    return new Counter({ name, help, labelNames, registers: [this.registry] });
  }

  #tally(name: string, help: string): Tally {
    return new Tally(this.registry, name, help);
  }

  #seconds(name: string, help: string, label?: string): Histogram {
    return new Histogram(this.registry, name, help, SECONDS, label);
  }
}
