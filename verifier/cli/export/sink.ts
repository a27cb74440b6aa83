import type { Row } from "./row.ts";

/**
 * Where rows go. What an implementation must keep:
 *
 * - When `write` has resolved, the rows are as durable as they can be made there; only then does the position move on.
 * - Rows are written in order. `write` is not called again before it has resolved.
 * - A row is never left out: what is too large is written without its disclosures.
 */
export interface Sink {
  /**
   * @param next the index behind the last of the rows
   * @returns how many of the rows the other side says that it did not keep
   * @throws VerifierError `write_failed`, `collector_refused`, `collector_unreachable`
   */
  write(rows: readonly Row[], next: number): Promise<number>;
  close(): Promise<void>;
}
