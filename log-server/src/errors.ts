/**
 * Codes of answers over HTTP, with their status: spec/errors.md, "Log-server, over HTTP". A test holds the two
 * tables against each other.
 */
export const httpStatus = {
  bad_parameter: 400,
  bad_submission: 400,
  bad_entry: 400,
  bad_disclosure: 400,
  unauthorized: 401,
  forbidden: 403,
  unknown_source: 403,
  source_retired: 403,
  bad_signature: 403,
  not_found: 404,
  beyond_tree: 404,
  method_not_allowed: 405,
  sequence_gap: 409,
  sequence_conflict: 409,
  epoch_conflict: 409,
  source_conflict: 409,
  body_too_large: 413,
  unsupported_media_type: 415,
  too_busy: 429,
  too_many_requests: 429,
  internal: 500,
  stopping: 503,
  index_behind: 503,
} as const;

export type HttpCode = keyof typeof httpStatus;

/** Codes that end the process, or a tool, with the exit status: spec/errors.md, "Log-server, at start". */
export const exitStatus = {
  bad_config: 64,
  bad_key: 1,
  port_in_use: 1,
  store_missing: 1,
  store_locked: 1,
  store_version: 1,
  store_corrupt: 1,
  store_behind: 1,
  store_disagrees: 1,
  guard_missing: 1,
  write_failed: 1,
  export_exists: 1,
  export_disagrees: 1,
} as const;

export type StartCode = keyof typeof exitStatus;

/** What a source should have sent: the position at which the log stands with it. */
export interface Expected {
  readonly epoch: number;
  readonly seq: number;
  /** base64 of the chain value; with `epoch_conflict` only. */
  readonly chain?: string;
}

/** Further members of an error's JSON body. Which code has which is said in spec/errors.md. */
export interface ErrorDetails {
  /** `bad_parameter`: the parameter's name. */
  readonly parameter?: string;
  /** `bad_entry`, `bad_disclosure`: the entry's position in the submission, from 0. */
  readonly entry?: number;
  /** `beyond_tree`: the size of the latest checkpoint. */
  readonly size?: number;
  /** `body_too_large`: in bytes. */
  readonly limit?: number;
  /** `sequence_gap`, `sequence_conflict`, `epoch_conflict`. */
  readonly expected?: Expected;
  /** `store_corrupt`: the first entry or hash known to be affected. */
  readonly index?: number;
}

/** The one error class of this package: bad input or a bad state found outside it. A bug throws a plain Error. */
export class LogServerError extends Error {
  readonly code: HttpCode | StartCode;
  readonly details: ErrorDetails;

  constructor(code: HttpCode | StartCode, message: string, details: ErrorDetails = {}, options?: ErrorOptions) {
    super(message, options);
    this.name = "LogServerError";
    this.code = code;
    this.details = details;
  }
}

/** @returns the error's message, for use as the reason inside another message. */
export function reason(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  // LevelDB's own message is the cause of abstract-level's.
  return error.cause instanceof Error ? `${error.message}: ${error.cause.message}` : error.message;
}
