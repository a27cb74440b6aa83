/** What a witness refuses a request with, in the order in which it looks (spec/witness.md); status of HTTP. */
export const refusals = {
  not_found: 404,
  method_not_allowed: 405,
  stopping: 503,
  too_busy: 429,
  unsupported_encoding: 415,
  body_too_large: 413,
  malformed: 400,
  unknown_log: 404,
  signature_missing: 403,
  signature_invalid: 403,
  old_beyond_size: 400,
  size_conflict: 409,
  empty_root: 422,
  split_view: 422,
  inconsistent: 422,
  too_many_requests: 429,
  never_cosigned: 404,
} as const;

/** The code of a refusal. Closed: spec/errors.md lists each. */
export type RefusalCode = keyof typeof refusals;

/** What is answered. */
export type Answer =
  /** The lines of the cosignatures, each with its newline. */
  | { code: "cosigned"; lines: string }
  /** The size of the latest checkpoint that was cosigned, and persisted. */
  | { code: "size_conflict"; size: number }
  /** `retryAfter` is in seconds. */
  | { code: Exclude<RefusalCode, "size_conflict">; message: string; retryAfter?: number };
