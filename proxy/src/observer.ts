import type { ProxyError } from "./errors.ts";
import type { Fields, Lines } from "./lines/index.ts";
import type { Metrics } from "./metrics/metrics.ts";
import type { Statistics } from "./metrics/statistics.ts";
import type { Execution, Outcome } from "./session/execution.ts";
import type { EndReason, Session } from "./session/session.ts";
import type { Watch } from "./session/watch.ts";

/** The name that stands for no rule at all: spec/access.md. */
const DEFAULT_RULE = "default";

/** Counts what becomes of sessions, and tells what an operator should know of it. */
export class Observer implements Watch {
  readonly #metrics: Metrics;
  readonly #lines: Lines;
  readonly #statistics: Statistics;

  constructor(metrics: Metrics, lines: Lines, statistics: Statistics) {
    this.#statistics = statistics;
    this.#metrics = metrics;
    this.#lines = lines;
  }

  connected(client: string): void {
    if (this.#lines.tells("client.connected")) this.#lines.say("client.connected", "a connection", { client });
  }

  started(session: Session): void {
    this.#metrics.sessions.inc();
    this.#statistics.session(session.startup.database);
    if (this.#lines.tells("session.start")) this.#lines.say("session.start", "a client logged in", who(session));
  }

  ended(session: Session, reason: EndReason, ms: number): void {
    if (!this.#lines.tells("session.end")) return;
    const { statements, failed } = session.tracker.ledger.totals;
    const fields = { ...who(session), reason, ms: Math.round(ms), statements, failed };
    this.#lines.say("session.end", "a session ended", fields);
  }

  refused(session: Session, by: "server" | "proxy", sqlstate: string, code: string | undefined): void {
    this.#metrics.refusals.inc({ by });
    this.#lines.say("login.refused", `refused by the ${by}`, { code: code ?? sqlstate, sqlstate, ...who(session) });
  }

  failed(session: Session | undefined, error: ProxyError): void {
    // Those that somebody wanted are no failures; who did it was told.
    if (error.code === "shutting_down" || error.code === "killed") return;
    const { code } = error;
    if (session === undefined) this.#lines.say("login.refused", error.message, { code });
    else this.#lines.say("session.failed", error.message, { code, ...who(session) });
  }

  timedOut(session: Session, ms: number): void {
    this.#metrics.timeouts.inc();
    this.#lines.say("statement.timeout", `a statement is cancelled after ${ms} ms`, who(session));
  }

  finished({ startup }: Session, outcome: Outcome, ms: number, { bytesIn, bytesOut }: Execution): void {
    this.#metrics.statements.observe(ms / 1000, outcome);
    this.#statistics.statement(startup.database, outcome !== "completed", ms, bytesIn, bytesOut);
  }

  denied(session: Session, rule: string = DEFAULT_RULE): void {
    this.#metrics.denials.inc({ rule });
    this.#lines.say("statement.denied", "denied by the access rules", { code: rule, ...who(session) });
  }
}

function who({ id, startup, address }: Session): Fields {
  return { session: id, user: startup.user, database: startup.database, client: address };
}
