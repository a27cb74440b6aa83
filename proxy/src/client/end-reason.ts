import { type ProxyError, toldAs } from "../errors.ts";
import type { EndReason } from "../session/session.ts";

/** What the entry of a session says that an error of the proxy's ended. */
export function reasonOf(error: ProxyError): EndReason {
  switch (error.code) {
    case "shutting_down":
      return "shutdown";
    case "killed":
      return "killed";
    case "idle_timeout":
      return "idle-timeout";
    case "idle_in_transaction_timeout":
      return "transaction-timeout";
    case "statement_timeout":
      return "statement-timeout";
    case "spool_full":
    case "spool_failed":
    case "disk_full":
      return "spool-full";
    case "upstream_lost":
    case "upstream_unfit":
      return "server-closed";
    default:
      // The log's refusals: nothing can be recorded there any more.
      return toldAs(error) === error.code ? "protocol-error" : "spool-full";
  }
}
