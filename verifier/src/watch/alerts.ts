import { type FindingCode, findingVerdicts, isFindingCode, type Place } from "../errors.ts";
import type { Finding, Verdict } from "../findings.ts";

/** What a monitor says besides the findings of proof.md, in the order of spec/monitor.md; none of it contradicts. */
export const monitorCodes = [
  "unreachable",
  "stale",
  "seal_overdue",
  "view_missing",
  "view_behind",
  "behind_view",
  "not_kept",
  "webhook_failed",
] as const;

export type AlertCode = FindingCode | (typeof monitorCodes)[number];

/** Which part of a round looks for it: where that part was not reached, nothing is known, and nothing resolved. */
export type AlertScope = "reach" | "head" | "audit" | "witnesses" | "stale" | "seals" | "views" | "keep";

/** Something that is wrong, from when it was first seen until it is not any more. */
export type Alert = {
  code: AlertCode;
  verdict: Exclude<Verdict, "PASS">;
  scope: AlertScope;
  /** What was found first, and where. */
  message: string;
  /** Milliseconds since 1970, by the monitor's clock. */
  since: number;
} & Place;

export type AlertEvent = {
  event: "raised" | "resolved";
  at: number;
  alert: Alert;
  /** The file with the two notes of a fork, once somebody has kept them. */
  evidence?: string;
};

/** Something that is wrong now. */
export type Observed = Omit<Finding, "code"> & { code: AlertCode };

/**
 * What stands in the signed tree, or was signed twice: it does not go away because the log is read again, and is seen
 * only once, when the entries are read. Such an alert is never resolved.
 */
const lasting: ReadonlySet<AlertCode> = new Set<AlertCode>([
  "split_view",
  "inconsistent",
  "entry_malformed",
  "epoch_break",
  "sequence_gap",
  "sequence_repeat",
  "source_key_mismatch",
  "declared_gap",
  "seal_invalid",
  "seal_mismatch",
  "session_break",
  "session_totals",
]);

/** So many findings of a code in an epoch of a source are told one by one. */
const mostOfOne = 10;

/** The alerts of one log: each is raised once and resolved once, however many rounds see it. */
export class Alerts {
  readonly #open: Map<string, Alert>;

  /** @param open those of an earlier run */
  constructor(open: readonly Alert[]) {
    this.#open = new Map(open.map((alert) => [keyOf(alert.scope, alert), alert]));
  }

  get open(): Alert[] {
    return [...this.#open.values()];
  }

  get verdict(): Verdict {
    if (this.open.some(({ verdict }) => verdict === "FAIL")) return "FAIL";
    return this.#open.size > 0 ? "NOT PROVEN" : "PASS";
  }

  /**
   * @param found all that is wrong now in this scope
   * @returns what changed, the raised before the resolved
   */
  observe(scope: AlertScope, found: readonly Observed[], now: number): AlertEvent[] {
    const events: AlertEvent[] = [];
    const seen = new Set<string>();
    for (const given of found) {
      const [key, one] = this.#place(scope, given);
      seen.add(key);
      if (this.#open.has(key)) continue;
      const alert: Alert = { ...one, verdict: verdictOf(one.code), scope, since: now };
      this.#open.set(key, alert);
      events.push({ event: "raised", at: now, alert });
    }
    for (const [key, alert] of this.#open) {
      if (alert.scope !== scope || seen.has(key) || lasting.has(alert.code)) continue;
      this.#open.delete(key);
      events.push({ event: "resolved", at: now, alert });
    }
    return events;
  }

  /**
   * What stays has a place that stays, and is an alert of its own: somebody who has looked into one has not looked into
   * the next. A ruined epoch has more of them than anybody reads: behind the first few they are one, without a place.
   */
  #place(scope: AlertScope, one: Observed): [key: string, one: Observed] {
    const key = keyOf(scope, one);
    if (one.index === undefined || !lasting.has(one.code) || this.#open.has(key)) return [key, one];
    const { code, source, epoch } = one;
    const same = this.open.filter((alert) => alert.scope === scope && alert.code === code);
    const told = same.filter((alert) => alert.source === source && alert.epoch === epoch).length;
    if (told < mostOfOne) return [key, one];
    const of = { ...(source === undefined ? {} : { source }), ...(epoch === undefined ? {} : { epoch }) };
    const more = { code, message: `more of these than the ${mostOfOne} that were told one by one`, ...of };
    return [keyOf(scope, more), more];
  }
}

function verdictOf(code: AlertCode): Alert["verdict"] {
  return isFindingCode(code) ? findingVerdicts[code] : "NOT PROVEN";
}

/**
 * Of what passes, one alert stands for all findings of a code in an epoch of a source. The tile or file is not part of
 * it, for its name changes as the tree grows; of views it is the name.
 */
function keyOf(scope: AlertScope, { code, index, source, epoch, where }: Pick<Alert, "code"> & Place): string {
  const view = scope === "views" ? (where ?? null) : null;
  const at = lasting.has(code) ? (index ?? null) : null;
  return JSON.stringify([scope, code, source ?? null, epoch ?? null, view, at]);
}
