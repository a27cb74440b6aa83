/** A statement, with what stands before it in the same transaction where it needs that. */
export interface Run {
  readonly sql: string;
  readonly before: readonly string[];
  /** The search_path then, without pg_catalog and pg_temp. */
  readonly path: readonly string[];
}

const PATH = ["public"];

/** @returns runs of statements that need nothing before them */
export const alone = (statements: readonly string[]): Run[] =>
  statements.map((sql) => ({ sql, before: [], path: PATH }));

/** @returns runs of statements, each behind the same others */
export const behind = (
  before: readonly string[],
  statements: readonly string[],
  path: readonly string[] = PATH,
): Run[] => statements.map((sql) => ({ sql, before, path }));
