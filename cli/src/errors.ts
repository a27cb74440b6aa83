/**
 * The command's one list of error codes, with the exit status of each. The parts that it starts have lists of their
 * own (spec/errors.md); their codes are printed as they come. README.md describes each; a test holds the two together.
 */
export const EXIT_STATUS = {
  usage: 64,
  bad_config: 64,
  upstream_tls: 64,
  data_unwritable: 1,
  data_foreign: 1,
  data_version: 1,
  data_in_use: 1,
  key_exists: 1,
  key_unwritable: 1,
  port_in_use: 1,
  address_unusable: 1,
  upstream_unreachable: 69,
  postgres_missing: 1,
  postgres_account: 1,
  postgres_failed: 1,
  part_failed: 1,
  log_unreachable: 69,
  log_refused: 1,
  log_answer: 1,
  output_failed: 74,
} as const;

export type CliErrorCode = keyof typeof EXIT_STATUS;

/** Bad input or a bad environment, said in one line; never a bug of ours (those are plain Errors). */
export class CliError extends Error {
  readonly code: CliErrorCode;
  override readonly name = "CliError";

  constructor(code: CliErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** The code of any error that has one, ours, a part's or the system's. */
export function codeOf(error: unknown): string | undefined {
  if (typeof error !== "object" || error === null || !("code" in error)) return undefined;
  return typeof error.code === "string" ? error.code : undefined;
}

/** An error's message as one line: a person reads it in a terminal, behind the word `vitrine:`. */
export function oneLine(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return message.replace(/\s*\n\s*/g, " ").trim();
}
