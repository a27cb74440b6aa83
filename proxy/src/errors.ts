/**
 * The proxy's one list of error codes. spec/errors.md describes each; a test holds the two against each other.
 * Codes with a SQLSTATE can reach a client as an ErrorResponse; the others stop the proxy from starting.
 */
export const SQLSTATE = {
  protocol_violation: "08P01",
  statement_too_large: "54000",
  not_supported: "0A000",
  access_denied: "42501",
  tls_required: "28000",
  certificate_refused: "28000",
  channel_binding: "28000",
  authentication_failed: "28P01",
  not_authorized: "28000",
  too_many_failures: "53400",
  too_many_connections: "53300",
  upstream_unreachable: "08001",
  upstream_lost: "08006",
  upstream_unfit: "57P03",
  pool_timeout: "53300",
  pool_settings: "55000",
  upstream_refused: "08004",
  upstream_untrusted: "08001",
  statement_cancelled: "57014",
  spool_full: "57P03",
  spool_failed: "58030",
  disk_full: "53100",
  shutting_down: "57P01",
  killed: "57P01",
  idle_timeout: "57P05",
  idle_in_transaction_timeout: "25P03",
  statement_timeout: "57014",
  console_syntax: "42601",
  console_denied: "42501",
  console_state: "55000",
  console_cancelled: "57014",
} as const;

export const STARTUP_CODES = [
  "bad_config",
  "bad_key",
  "bad_certificate",
  "port_in_use",
  "spool_locked",
  "spool_version",
  "spool_corrupt",
  "spool_behind",
  "log_rolled_back",
  "log_refused",
  "log_unreachable",
  "worker_failed",
] as const;

export type ClientErrorCode = keyof typeof SQLSTATE;
export type ProxyErrorCode = ClientErrorCode | (typeof STARTUP_CODES)[number];

/** Bad input or a bad environment, said in one sentence; never a bug of ours (those are plain Errors). */
export class ProxyError extends Error {
  readonly code: ProxyErrorCode;
  /** What a client is told in place of the code's own: where the server refused, its SQLSTATE. */
  readonly sqlstate: string | undefined;
  override readonly name = "ProxyError";

  constructor(code: ProxyErrorCode, message: string, options?: ErrorOptions & { readonly sqlstate?: string }) {
    super(message, options);
    this.code = code;
    this.sqlstate = options?.sqlstate;
  }
}

/** What a client is told of an error. */
export function sqlstateOf(error: ProxyError): string {
  return error.sqlstate ?? SQLSTATE[toldAs(error)];
}

/** The code under which a client is told of an error: one that only a start knows means that nothing can be recorded. */
export function toldAs({ code }: ProxyError): ClientErrorCode {
  return code in SQLSTATE ? (code as ClientErrorCode) : "spool_failed";
}
