/** What a name behind a dot may be: `x.f` is a column of `x`, or the function `f` called with it (ParseFuncOrColumn). */
import { TYPES } from "./builtins.ts";
import { type Nodes, strings } from "./tree.ts";

/**
 * `column`: `x` is a relation's name or alias, so nearly always a column. `either`: a value that may be a row. `function`:
 * a value that has no columns.
 */
export type Attribute = "column" | "either" | "function";

/** @param value what stands before the dot, in parentheses */
export function attributeOf(value: unknown): Attribute {
  const { A_Const, A_Expr, A_ArrayExpr, ParamRef, SQLValueFunction, TypeCast } = (value ?? {}) as Partial<Nodes>;
  if (A_Const ?? A_Expr ?? A_ArrayExpr ?? ParamRef ?? SQLValueFunction) return "function";
  if (TypeCast === undefined) return "either";
  const names = strings(TypeCast.typeName?.names);
  const own = names.length === 1 || names[0] === "pg_catalog";
  // A type of somebody's may be a row's.
  return own && names.at(-1) !== "record" && TYPES.has(names.at(-1) ?? "") ? "function" : "either";
}
