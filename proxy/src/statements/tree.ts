/** The nodes of a raw parse tree, as libpg_query writes them in JSON, and what is read off single nodes. */
import type { Node } from "libpg-query";

type Intersection<U> = (U extends unknown ? (x: U) => void : never) extends (x: infer I) => void ? I : never;

/** Node type by name. A node of unknown type stands as `{ [name]: node }`, one of known type as itself. */
export type Nodes = Intersection<Node>;

/** The contents of a list of String nodes: a qualified name. */
export function strings(list: readonly unknown[] | undefined): string[] {
  const result: string[] = [];
  for (const item of list ?? []) {
    const text = (item as { String?: { sval?: string } }).String;
    if (text !== undefined) result.push(text.sval ?? "");
  }
  return result;
}

/** The items of a wrapped List node. */
export function items(node: unknown): readonly unknown[] {
  return (node as { List?: { items?: readonly unknown[] } } | undefined)?.List?.items ?? [];
}

/** A qualified name as it could be written: parts that are not plain lower-case identifiers stand in double quotes. */
export function written(name: readonly string[]): string {
  if (name.length === 1 && /^[a-z_][a-z0-9_$]*$/.test(name[0]!)) return name[0]!;
  return name.map((part) => (/^[a-z_][a-z0-9_$]*$/.test(part) ? part : `"${part.replaceAll('"', '""')}"`)).join(".");
}

/** A constant's value as text; undefined for anything but a constant. */
export function constant(node: unknown): string | undefined {
  const { A_Const: c, String: s } = node as { A_Const?: Nodes["A_Const"]; String?: Nodes["String"] };
  if (s !== undefined) return s.sval ?? "";
  if (c?.sval !== undefined) return c.sval.sval ?? "";
  if (c?.ival !== undefined) return String(c.ival.ival ?? 0);
  if (c?.fval !== undefined) return c.fval.fval ?? "";
  if (c?.boolval !== undefined) return c.boolval.boolval === true ? "true" : "false";
  return undefined;
}

/**
 * Nodes without an effect of their own: expressions, clauses, and the parts of definitions. Whatever is in neither this
 * list nor the commands is not understood, and neither is a statement that has it.
 */
export const PLAIN_NODES: ReadonlySet<string> = new Set(
  `A_ArrayExpr A_Indices A_Indirection A_Star AccessPriv Alias AlterTableCmd ATAlterConstraint BitString BoolExpr Boolean
  BooleanTest CaseWhen CoalesceExpr CollateClause ColumnDef CreateOpClassItem CurrentOfExpr DefElem
  Float FunctionParameter GroupingFunc GroupingSet IndexElem InferClause IntList Integer JsonAggConstructor
  JsonArgument JsonArrayAgg JsonArrayConstructor JsonArrayQueryConstructor JsonBehavior JsonExpr JsonFormat JsonFuncExpr
  JsonIsPredicate JsonKeyValue JsonObjectAgg JsonObjectConstructor JsonOutput JsonParseExpr JsonReturning JsonScalarExpr
  JsonSerializeExpr JsonTable JsonTableColumn JsonTablePathSpec JsonValueExpr List MergeSupportFunc MergeWhenClause
  MinMaxExpr MultiAssignRef NamedArgExpr NullTest ObjectWithArgs OidList OnConflictClause PartitionCmd
  PartitionElem PartitionRangeDatum PublicationObjSpec RangeFunction RangeSubselect RangeTableFunc
  RangeTableFuncCol ReplicaIdentityStmt ResTarget ReturningClause ReturningOption ReturnStmt RoleSpec RowExpr
  SQLValueFunction SetToDefault StatsElem String TriggerTransition VacuumRelation WindowDef XmlExpr XmlSerialize
  CTESearchClause CTECycleClause`.split(/\s+/),
);
