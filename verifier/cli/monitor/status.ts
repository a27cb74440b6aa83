import type { Verdict } from "../../src/index.ts";
import { acknowledgedStatus, faultStatus, verdictStatus } from "../exit-status.ts";
import { pathError, writeDurably } from "../files.ts";
import { printable, printableJson } from "../printable.ts";
import { checkpointJson } from "../report.ts";
import type { Followed } from "./followed.ts";
import { eventJson, timestamp } from "./lines.ts";

/** @returns the worst verdict among the logs */
function worst(logs: readonly Followed[]): Verdict {
  if (logs.some(({ verdict }) => verdict === "FAIL")) return "FAIL";
  return logs.every(({ verdict }) => verdict === "PASS") ? "PASS" : "NOT PROVEN";
}

/** @returns whether something is open in one of the logs, and somebody has looked into all of it */
function allAcknowledged(logs: readonly Followed[]): boolean {
  const open = logs.flatMap(({ watch, acknowledged }) => watch.memory.alerts.map((alert) => acknowledged.of(alert)));
  return open.length > 0 && open.every((said) => said !== undefined);
}

/** @returns the exit status for how the logs stand now */
export function statusOfLogs(logs: readonly Followed[]): number {
  if (allAcknowledged(logs)) {
    return logs.some(({ reached }) => reached === false) ? faultStatus.log_unreachable : acknowledgedStatus;
  }
  const verdict = worst(logs);
  const unreached = verdict !== "FAIL" && logs.some(({ reached }) => reached === false);
  return unreached ? faultStatus.log_unreachable : verdictStatus[verdict];
}

/** How all logs stand (spec/monitor.md, status). */
export function statusJson(logs: readonly Followed[], now: number): Record<string, unknown> {
  return {
    format: "vitrine/monitor-status/v1",
    time: timestamp(now),
    verdict: worst(logs),
    logs: logs.map((one) => {
      const { watch, key, base, reached, lastRound, verdict, forks, unsent, acknowledged } = one;
      const { head, alerts } = watch.memory;
      return {
        log: base,
        origin: key.name,
        vkey: key.text,
        verdict,
        reached: reached ?? null,
        round: lastRound === undefined ? null : timestamp(lastRound),
        checkpoint: checkpointJson(watch.checkpoint),
        grew: head === null ? null : timestamp(head.since),
        audited: watch.audited,
        sources: watch.sources.map(({ name, epoch, next, stopped, last, lastSeal, unsealed }) => {
          return { name, epoch, next, stopped, last, lastSeal, unsealed };
        }),
        alerts: alerts.map((alert) => {
          const { format: _, event: __, time: ___, ...members } = eventJson({ event: "raised", at: 0, alert });
          const said = acknowledged.of(alert);
          return said === undefined ? members : { ...members, acknowledged: said };
        }),
        evidence: forks,
        unsent: unsent.length,
      };
    }),
  };
}

/** @throws VerifierError `usage` when it cannot be written */
export async function writeStatus(path: string, logs: readonly Followed[], now: number): Promise<void> {
  try {
    await writeDurably(path, `${printableJson(statusJson(logs, now), 2)}\n`);
  } catch (error) {
    throw pathError(error, `--status ${printable(path)} cannot be written`);
  }
}
