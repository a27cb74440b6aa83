import { Counter, collectDefaultMetrics, Gauge, Registry } from "prom-client";
import type { Recorder } from "./audit/index.ts";

/** What a Prometheus server reads from the proxy's status address. */
export class Metrics {
  readonly registry: Registry = new Registry();
  readonly connections: Counter = this.#counter("vitrine_proxy_connections_total", "Client connections accepted");
  readonly bytesIn: Counter = this.#counter("vitrine_proxy_client_bytes_total", "Bytes received from clients");
  readonly bytesOut: Counter = this.#counter("vitrine_proxy_server_bytes_total", "Bytes received from the server");
  readonly acceptErrors: Counter = this.#counter(
    "vitrine_proxy_accept_errors_total",
    "Client connections that could not be accepted",
  );
  readonly errors: Counter<"code"> = new Counter({
    name: "vitrine_proxy_errors_total",
    help: "Errors the proxy itself reported to clients, by code",
    labelNames: ["code"],
    registers: [this.registry],
  });

  constructor() {
    collectDefaultMetrics({ register: this.registry });
  }

  /** Gauges that are read when they are asked for. */
  watch(clients: () => number, recorder: Recorder): void {
    this.#gauge("vitrine_proxy_clients", "Client connections open", clients);
    const stats = recorder.stats.bind(recorder);
    this.#gauge(
      "vitrine_proxy_spool_bytes",
      "Bytes in the spool that the log has not acknowledged",
      () => stats().bytes,
    );
    this.#gauge(
      "vitrine_proxy_spool_age_seconds",
      "Age of the oldest entry that the log has not acknowledged",
      () => stats().oldestAgeMs / 1000,
    );
    this.#gauge("vitrine_proxy_entries", "Entries written in this epoch", () => stats().entries);
    this.#gauge("vitrine_proxy_open_intents", "Statements under way", () => stats().openIntents);
    const states = ["open", "restricted", "closed", "failed"];
    this.#gauge("vitrine_proxy_spool_state", "0 open, 1 restricted, 2 closed, 3 failed", () =>
      states.indexOf(recorder.state),
    );
  }

  #counter(name: string, help: string): Counter {
    return new Counter({ name, help, registers: [this.registry] });
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
}
