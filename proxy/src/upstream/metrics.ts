import { Counter, Gauge, type Registry } from "prom-client";
import type { Host } from "./host.ts";
import type { Retries } from "./retries.ts";

/** `skipped`: its breaker was open. */
export type ConnectionResult = "connected" | "failed" | "unready" | "unfit" | "skipped";

const STATES = ["closed", "half-open", "open"];

/** What is counted of going to the database servers. */
export class UpstreamMetrics {
  readonly #registry: Registry;
  readonly #connections: Counter<"host" | "result">;
  readonly #retries: Counter<"what">;

  constructor(registry: Registry) {
    this.#registry = registry;
    this.#connections = new Counter({
      name: "vitrine_proxy_upstream_connections_total",
      help: "Attempts to connect to a database server, by what came of them",
      labelNames: ["host", "result"],
      registers: [registry],
    });
    this.#retries = new Counter({
      name: "vitrine_proxy_retries_total",
      help: "What was tried again: connecting, or a read",
      labelNames: ["what"],
      registers: [registry],
    });
  }

  connection(host: string, result: ConnectionResult): void {
    this.#connections.inc({ host, result });
  }

  retried(what: "connect" | "read"): void {
    this.#retries.inc({ what });
  }

  /** Gauges that are read when they are asked for. */
  watch(hosts: readonly Host[], retries: Retries): void {
    new Gauge({
      name: "vitrine_proxy_breaker_state",
      help: "0 closed, 1 half open, 2 open: nothing is tried",
      labelNames: ["host"],
      aggregator: "max",
      registers: [this.#registry],
      collect() {
        for (const { name, breaker } of hosts) this.set({ host: name }, STATES.indexOf(breaker.state));
      },
    });
    new Gauge({
      name: "vitrine_proxy_retry_budget",
      help: "Retries that could be made now",
      registers: [this.#registry],
      collect() {
        this.set(retries.budget);
      },
    });
  }
}
