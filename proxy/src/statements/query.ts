/** SELECT, INSERT, UPDATE, DELETE and MERGE: which names are tables, and which of them are written. */
import { isCte, type Scope } from "./scope.ts";
import type { Nodes } from "./tree.ts";
import type { Walk } from "./walk.ts";

type With = Nodes["WithClause"];
type Cte = { readonly CommonTableExpr?: Nodes["CommonTableExpr"] };

/**
 * What the rest of the statement sees. Without RECURSIVE a CTE sees those before it; with it, all of them (PostgreSQL's
 * parse_cte.c: a name that is not yet there is an outer CTE or a table).
 */
function withClause(walk: Walk, clause: With | undefined, outer: Scope | undefined, visit = true): Scope | undefined {
  const ctes = (clause?.ctes ?? []) as readonly Cte[];
  if (ctes.length === 0) return outer;
  const names = ctes.map(({ CommonTableExpr: cte }) => cte?.ctename ?? "");
  const all: Scope = { names: new Set(names), outer };
  if (!visit) return all;
  let before = outer;
  for (const [i, { CommonTableExpr: cte }] of ctes.entries()) {
    const scope = clause?.recursive ? all : before;
    walk.visit(cte?.ctequery, scope);
    walk.visit(cte?.cycle_clause, scope);
    before = { names: new Set([names[i]!]), outer: before };
  }
  return all;
}

/** All fields but the named ones. */
function rest(walk: Walk, node: object, scope: Scope | undefined, but: readonly string[]): void {
  for (const [key, value] of Object.entries(node)) {
    if (typeof value === "object" && !but.includes(key)) walk.visit({ [key]: value }, scope);
  }
}

export function select(walk: Walk, node: Nodes["SelectStmt"], outer: Scope | undefined): void {
  const scope = withClause(walk, node.withClause, outer);
  if (node.intoClause !== undefined && walk.mode !== "plan") {
    walk.raise("ddl");
    walk.relation(node.intoClause.rel, "write");
  }
  rest(walk, node, scope, ["withClause", "intoClause", "lockingClause"]);
  for (const clause of (node.lockingClause ?? []) as readonly { LockingClause?: Nodes["LockingClause"] }[]) {
    if (walk.mode !== "plan") walk.raise("write");
    // The names after OF are those of the FROM clause: an alias hides the table's own.
    const of = clause.LockingClause?.lockedRels as readonly { RangeVar?: Nodes["RangeVar"] }[] | undefined;
    const names = of === undefined ? undefined : new Set(of.map((item) => item.RangeVar?.relname));
    for (const item of node.fromClause ?? []) lock(walk, item, names, scope);
  }
}

/** Row locks need the right to update: the locked relations count as written. Without names, all are locked. */
function lock(walk: Walk, item: unknown, names: ReadonlySet<string | undefined> | undefined, scope: Scope | undefined) {
  const from = item as Partial<Nodes>;
  if (from.RangeVar !== undefined) {
    const { alias, relname } = from.RangeVar;
    const chosen = names === undefined || names.has(alias?.aliasname ?? relname);
    if (chosen && !isCte(from.RangeVar, scope)) walk.relation(from.RangeVar, "write");
  } else if (from.JoinExpr !== undefined) {
    lock(walk, from.JoinExpr.larg, names, scope);
    lock(walk, from.JoinExpr.rarg, names, scope);
  } else if (from.RangeTableSample !== undefined) {
    lock(walk, from.RangeTableSample.relation, names, scope);
  } else if (from.RangeSubselect !== undefined) {
    const { alias, subquery } = from.RangeSubselect;
    if (names !== undefined && !names.has(alias?.aliasname)) return;
    lockAll(walk, (subquery as Partial<Nodes> | undefined)?.SelectStmt, scope);
  }
}

function lockAll(walk: Walk, query: Nodes["SelectStmt"] | undefined, outer: Scope | undefined): void {
  if (query === undefined) return;
  const scope = withClause(walk, query.withClause, outer, false);
  for (const inner of query.fromClause ?? []) lock(walk, inner, undefined, scope);
  lockAll(walk, query.larg, scope);
  lockAll(walk, query.rarg, scope);
}

type Dml = Nodes["InsertStmt"] | Nodes["UpdateStmt"] | Nodes["DeleteStmt"] | Nodes["MergeStmt"];

/** The target is a table even when a CTE has its name (PostgreSQL's setTargetTable looks at relations only). */
export function modify(walk: Walk, node: Dml, outer: Scope | undefined): void {
  const scope = withClause(walk, node.withClause, outer);
  walk.relation(node.relation, "write");
  if (node.returningClause !== undefined) walk.relation(node.relation, "read");
  rest(walk, node, scope, ["withClause", "relation"]);
}

/** UPDATE and DELETE: without WHERE they change every row. */
export function modifyWhere(
  walk: Walk,
  node: Nodes["UpdateStmt"] | Nodes["DeleteStmt"],
  outer: Scope | undefined,
): void {
  if (node.whereClause === undefined) walk.unfiltered();
  modify(walk, node, outer);
}
