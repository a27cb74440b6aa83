import { Counter, Gauge } from "prom-client";
import type { ConnectionInfo } from "./client/connection-info.ts";
import { Histogram, SECONDS } from "./metrics/histogram.ts";
import type { Metrics } from "./metrics/metrics.ts";
import type { Pools } from "./pool/index.ts";

/** Figures of server connections, read when they are asked for: those of the pools, and those that relayed clients have. */
export function watchServers(
  metrics: Metrics,
  pools: Pick<Pools, "stats" | "totals" | "onWaited">,
  connections: () => readonly ConnectionInfo[],
): void {
  const { registry } = metrics;
  new Gauge({
    name: "vitrine_proxy_servers",
    help: "Server connections open, by what they are at; relay: one client's own",
    labelNames: ["state"],
    registers: [registry],
    collect() {
      const counts: Record<string, number> = { idle: 0, active: 0, testing: 0, cancelling: 0, opening: 0 };
      for (const { servers } of pools.stats()) {
        for (const [state, count] of Object.entries(servers)) counts[state] = (counts[state] ?? 0) + count;
      }
      const relayed = connections().filter(({ kind, pid }) => kind === "relay" && pid !== undefined).length;
      for (const [state, count] of Object.entries({ ...counts, relay: relayed })) this.set({ state }, count);
    },
  });
  metrics.gauge("vitrine_proxy_waiting_clients", "Clients that wait for a server connection", () =>
    pools.stats().reduce((sum, { clients }) => sum + clients.waiting, 0),
  );
  metrics.gauge("vitrine_proxy_longest_wait_seconds", "How long the one has waited that waits longest", () =>
    pools.stats().reduce((most, { longestWaitMs }) => Math.max(most, longestWaitMs / 1000), 0),
  );
  const waits = new Histogram(
    registry,
    "vitrine_proxy_server_wait_seconds",
    "From a client's need of a pooled server connection to having one",
    SECONDS,
  );
  pools.onWaited = (ms) => waits.observe(ms / 1000);
  new Counter({
    name: "vitrine_proxy_pool_events_total",
    help: "What the pools did",
    labelNames: ["what"],
    registers: [registry],
    collect() {
      const { leases, opened, closed, replaced, timeouts, cancels } = pools.totals;
      this.reset();
      for (const [what, count] of Object.entries({ leases, opened, closed, replaced, timeouts, cancels })) {
        this.inc({ what }, count);
      }
    },
  });
  new Counter({
    name: "vitrine_proxy_pins_total",
    help: "Sessions that kept a server connection to themselves, by reason",
    labelNames: ["reason"],
    registers: [registry],
    collect() {
      this.reset();
      for (const [reason, count] of pools.totals.pins) this.inc({ reason }, count);
    },
  });
}
