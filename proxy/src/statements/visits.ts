/** Where definitions and maintenance name relations, and where they reach more than they name. */
import type { Scope } from "./scope.ts";
import { PART_TYPES, RELATION_TYPES } from "./tags.ts";
import { items, type Nodes, strings } from "./tree.ts";
import type { Walk } from "./walk.ts";

/** It becomes a definition; its expressions and queries run later, or never. */
export const defined = (walk: Walk, node: object, scope: Scope | undefined): void =>
  walk.within("define", () => walk.visit(node, scope));

export const nothing = (): void => {};

/** A list in which each RangeVar is a target. */
export function targets(walk: Walk, list: readonly unknown[] | undefined): void {
  for (const item of list ?? []) walk.relation((item as Partial<Nodes>).RangeVar, "write");
}

/** The relation that the object is, or is a part of. */
export function objectRelation(walk: Walk, type: string | undefined, object: unknown): void {
  const name = strings(items(object));
  if (RELATION_TYPES.has(type ?? "")) walk.qualified(name, "write");
  else if (PART_TYPES.has(type ?? "")) walk.qualified(name.slice(0, -1), "write");
}

/** What else goes with it is not in the text. */
export function cascading(walk: Walk, behavior: string | undefined): void {
  if (behavior === "DROP_CASCADE") walk.partial("write");
}

/** It reaches what it does not name. */
export const unnamed = (walk: Walk, node: object, scope: Scope | undefined): void => {
  walk.partial();
  walk.visit(node, scope);
};

/** It changes relations that it does not name. */
export const others = (walk: Walk, node: object, scope: Scope | undefined): void => {
  walk.partial("write");
  walk.visit(node, scope);
};

export function option(list: readonly unknown[] | undefined, name: string): Nodes["DefElem"][] {
  return (list ?? []).flatMap((item) => {
    const { DefElem: element } = item as Partial<Nodes>;
    return element?.defname === name ? [element] : [];
  });
}

/** OWNED BY is an option whose value is the list of the column's names. */
export function sequence(walk: Walk, node: Nodes["CreateSeqStmt"] | Nodes["AlterSeqStmt"]): void {
  walk.relation(node.sequence, "write");
  for (const { arg } of option(node.options, "owned_by")) {
    const column = strings(items(arg));
    if (column.length > 1) walk.qualified(column.slice(0, -1), "read");
  }
}

/** LIMIT TO names the tables that it creates; otherwise what is created is the other server's to say. */
export function importSchema(walk: Walk, node: Nodes["ImportForeignSchemaStmt"]): void {
  const limited = node.list_type === "FDW_IMPORT_SCHEMA_LIMIT_TO";
  if (!limited) walk.partial();
  for (const item of limited ? (node.table_list ?? []) : []) {
    const name = (item as Partial<Nodes>).RangeVar?.relname;
    if (name !== undefined) walk.named(node.local_schema, name, "write");
  }
}

export function truncate(walk: Walk, node: Nodes["TruncateStmt"]): void {
  cascading(walk, node.behavior);
  targets(walk, node.relations);
}

/** All tables, or those of a schema; and SET takes out those that it does not name. */
export function publication(
  walk: Walk,
  node: Nodes["CreatePublicationStmt"] | Nodes["AlterPublicationStmt"],
  scope: Scope | undefined,
): void {
  const { action, pubobjects, for_all_tables } = node as Nodes["AlterPublicationStmt"];
  const schemas = (pubobjects ?? []).some((item) => {
    const { PublicationObjSpec: object } = item as Partial<Nodes>;
    return object?.pubobjtype !== undefined && object.pubobjtype !== "PUBLICATIONOBJ_TABLE";
  });
  if (for_all_tables === true || schemas || (action === "AP_SetObjects" && pubobjects !== undefined))
    walk.partial("read");
  walk.visit(node, scope);
}

/** The server makes them in this order, whatever stands first (transformCreateSchemaStmtElements in its parse_utilcmd.c). */
const MADE_IN_ORDER = ["CreateSeqStmt", "CreateStmt", "ViewStmt", "IndexStmt", "CreateTrigStmt", "GrantStmt"];

/**
 * What it holds is made in the new schema, and looked for there first: what is made by then. Until then a name is that of
 * another schema's, also in what will have that name.
 */
export function schema(walk: Walk, node: Nodes["CreateSchemaStmt"], scope: Scope | undefined): void {
  if (node.schemaElts === undefined) return;
  // Without a name it has that of its owner, who may be CURRENT_USER.
  const name = node.schemaname ?? node.authrole?.rolename;
  if (name === undefined) {
    unnamed(walk, node, scope);
    return;
  }
  const made = new Set<string>();
  const behind = (item: unknown): number => MADE_IN_ORDER.indexOf(Object.keys(item as object)[0] ?? "");
  for (const item of [...node.schemaElts].sort((a, b) => behind(a) - behind(b))) {
    const { CreateSeqStmt, CreateStmt, ViewStmt } = item as Partial<Nodes>;
    const own = CreateSeqStmt?.sequence ?? CreateStmt?.relation ?? ViewStmt?.view;
    walk.named(own?.schemaname ?? name, own?.relname, "write");
    const inside = (element: object): void => walk.making(name, made, () => walk.visit([element], scope));
    if (CreateStmt !== undefined) {
      const { relation, inhRelations, tableElts = [], ...more } = CreateStmt;
      const likes = tableElts.filter((one) => (one as Partial<Nodes>).TableLikeClause !== undefined);
      inside({ CreateStmt: { inhRelations, tableElts: likes } });
      // Its foreign keys may be to itself.
      if (relation?.relname !== undefined) made.add(relation.relname);
      inside({ CreateStmt: { ...more, tableElts: tableElts.filter((one) => !likes.includes(one)) } });
    } else if (ViewStmt !== undefined) inside({ ViewStmt: { ...ViewStmt, view: undefined } });
    else if (CreateSeqStmt !== undefined) inside({ CreateSeqStmt: { ...CreateSeqStmt, sequence: undefined } });
    else inside(item as object);
    if (own?.relname !== undefined) made.add(own.relname);
  }
}
