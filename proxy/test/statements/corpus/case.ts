/**
 * One statement and what must be said of it: text, operation, class, relations, and what else.
 * Relations are names with a blank between them, `+` before one that is written. The rest is `proven` for a proven
 * read, or the reason why it is incomplete.
 */
export type Case = readonly [
  sql: string,
  operation: string,
  effect: string,
  relations: string,
  rest?: "proven" | "opaque" | "syntax" | "analysis",
];
