import type { ProxyError } from "../errors.ts";
import type { Execution, Outcome } from "./execution.ts";
import type { EndReason, Session } from "./session.ts";

/** Told what becomes of sessions, for figures and lines. Nothing depends on it, and it must not throw. */
export interface Watch {
  /** A connection was accepted. @param address `host:port`, or `[local]` */
  connected(address: string): void;
  started(session: Session): void;
  /** @param ms how long it lasted */
  ended(session: Session, reason: EndReason, ms: number): void;
  /** It did not become a session. @param code the proxy's, where it refused */
  refused(session: Session, by: "server" | "proxy", sqlstate: string, code: string | undefined): void;
  /** The proxy ends a connection that has a session, or not even asked for one. */
  failed(session: Session | undefined, error: ProxyError): void;
  /** A statement is cancelled for having run so long. */
  timedOut(session: Session, ms: number): void;
  /** An execution's outcome is known. @param ms how long it took */
  finished(session: Session, outcome: Outcome, ms: number, execution: Execution): void;
  /** @param rule the one that decided; undefined where none matched */
  denied(session: Session, rule: string | undefined): void;
}
