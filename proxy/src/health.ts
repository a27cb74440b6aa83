import type { Recorder } from "./audit/index.ts";
import type { Reach } from "./reach.ts";

/** Entries wait for the log this long only when it is slow or gone. */
const LOG_BEHIND_MS = 30_000;

export interface Health {
  /** `ok`; `degraded`: clients are served, but something is wrong; `failing`: new ones are not. */
  readonly status: "ok" | "degraded" | "failing";
  readonly source: string;
  readonly epoch: number;
  readonly checks: {
    readonly listener: "ok" | "closed" | "paused";
    readonly upstream: "ok" | "unreachable";
    /** The spool's state: `open` is well, the others take no new sessions. */
    readonly spool: string;
    /** `behind`: an entry has waited for the log for over half a minute. */
    readonly log: "ok" | "behind";
  };
}

/** What is checked. */
export interface Checked {
  readonly recorder: Pick<Recorder, "source" | "epoch" | "state" | "stats">;
  readonly listener: () => Health["checks"]["listener"];
  readonly reach: Reach;
}

export async function healthOf({ recorder, listener, reach }: Checked): Promise<Health> {
  const upstream = (await reach.isReachable()) ? "ok" : "unreachable";
  const { source, epoch, state } = recorder;
  const log = recorder.stats().oldestAgeMs > LOG_BEHIND_MS ? "behind" : "ok";
  const checks = { listener: listener(), upstream, spool: state, log } as const;
  const serves = checks.listener === "ok" && upstream === "ok" && state === "open";
  return { status: serves ? (log === "ok" ? "ok" : "degraded") : "failing", source, epoch, checks };
}
