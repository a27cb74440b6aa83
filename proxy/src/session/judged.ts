/** What the access rules are asked about. */
import type { Facts } from "../statements/index.ts";

/** A statement, as far as rules are asked about it. */
export interface Judged {
  readonly facts: Facts;
}

/** What names without a schema mean to the server at some time. */
export interface Reading {
  /** Nothing that is unanswered may have changed it. */
  readonly known: boolean;
  /** The search_path as reported last. */
  readonly path: string | undefined;
}

/** What may be executed under a name: what was bound to it, as far as that was seen, and how its names were read. */
export interface Candidate {
  readonly judged: readonly Judged[] | undefined;
  readonly bound: Reading | undefined;
}
