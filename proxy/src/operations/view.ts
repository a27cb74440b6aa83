import type { RecorderStats } from "../audit/index.ts";
import type { ConnectionInfo } from "../client/connection-info.ts";
import type { Pauses } from "../client/pauses.ts";
import type { ProxyConfig } from "../config/config.ts";
import type { Statistics } from "../metrics/statistics.ts";
import type { Pools } from "../pool/index.ts";

/** What there is to be seen of a running proxy. */
export interface View {
  /** All connections that say who they are. */
  connections(): readonly ConnectionInfo[];
  /** How many there are that have not said it yet. */
  nameless(): number;
  readonly pools: Pick<Pools, "stats" | "serverStats" | "clientStats" | "totals"> | undefined;
  readonly pauses: Pauses;
  readonly statistics: Statistics;
  recorder(): RecorderStats;
  config(): ProxyConfig;
  readonly version: string;
}

/** Those that use a database: not the console's. */
export function clientsOf(view: View): ConnectionInfo[] {
  return view.connections().filter(({ kind }) => kind !== "console");
}

/** Each of them has a server connection of its own. */
export function relayed(view: View): ConnectionInfo[] {
  return clientsOf(view).filter(({ kind, pid }) => kind === "relay" && pid !== undefined);
}
