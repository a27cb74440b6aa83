/** Which names stand for CTEs where. */
import type { Nodes } from "./tree.ts";

/** The CTEs that can be seen: innermost first. */
export interface Scope {
  readonly names: ReadonlySet<string>;
  readonly outer: Scope | undefined;
}

/** A name in a FROM clause, or wherever else a CTE may stand: only an unqualified one can be a CTE's. */
export function isCte(node: Nodes["RangeVar"], scope: Scope | undefined): boolean {
  if (node.schemaname !== undefined || node.catalogname !== undefined) return false;
  for (let s = scope; s !== undefined; s = s.outer) if (s.names.has(node.relname ?? "")) return true;
  return false;
}
