import type { OpenBackend } from "../backend.ts";
import type { ProxyError } from "../errors.ts";
import type { Cause } from "../listen/refusals.ts";
import type { Metrics } from "../metrics/metrics.ts";
import type { Shared } from "../session/session.ts";
import type { ClientTls } from "../tls/index.ts";
import type { Startup } from "../wire/startup.ts";
import type { CancelKeys } from "./cancel.ts";
import type { Pauses } from "./pauses.ts";
import type { TimeoutLimits } from "./timeouts.ts";

export interface ConnectionSettings extends TimeoutLimits {
  readonly loginTimeoutMs: number;
  readonly statementBytes: number;
  /** How many clients may have sessions; the admission sees to it. */
  readonly clients: number;
  /** How many connections there may be that have none yet. */
  readonly logins: number;
}

export interface ConnectionContext {
  readonly shared: Shared;
  /** Read each time it is needed: it may be another while a session lives. */
  readonly settings: ConnectionSettings;
  readonly open: OpenBackend;
  readonly keys: CancelKeys;
  readonly metrics: Metrics;
  /** What is paused; left out: nothing ever is. */
  readonly pauses?: Pick<Pauses, "holds">;
  /** Resolves when a client may go on to a server, or has left; left out: at once. */
  readonly resumed?: (startup: Startup, left: AbortSignal) => Promise<void>;
  /** The TLS that clients may have; undefined: none. */
  readonly tls?: ClientTls | undefined;
  /**
   * A client is logged in.
   * @returns its session's name
   * @throws ProxyError `too_many_connections`
   */
  readonly nextSessionId: (startup: Startup) => string;
  /** Clients could not be accepted: so many since this cause was told of last. */
  readonly notAccepted?: (cause: Cause, count: number) => void;
  /** Why no new session is taken in now; undefined when one is. */
  readonly admission: (startup: Startup) => ProxyError | undefined;
}

/** Told to who keeps the connections. */
export interface ConnectionEvents {
  loggedIn(): void;
  /** Its record is closed; its socket may be open for a while. */
  over(): void;
}
