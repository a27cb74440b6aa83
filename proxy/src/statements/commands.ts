/** Every command of PostgreSQL's grammar: its tag, its class, and where in its tree relations and functions stand. */
import { modify, modifyWhere, select } from "./query.ts";
import { type StatementClass, strongest } from "./statement.ts";
import { ADMIN_TYPES, objectTag } from "./tags.ts";
import { constant, type Nodes, strings } from "./tree.ts";
import {
  cascading,
  defined,
  importSchema,
  nothing,
  objectRelation,
  option,
  others,
  publication,
  schema,
  sequence,
  targets,
  truncate,
  unnamed,
} from "./visits.ts";
import type { Command } from "./walk.ts";

type Commands = { readonly [K in keyof Nodes as K extends `${string}Stmt` ? K : never]?: Command<Nodes[K]> };

const ddl = (tag: string): { tag: string; class: "ddl" } => ({ tag, class: "ddl" });
const role = (tag: string): { tag: string; class: "role" } => ({ tag, class: "role" });
const admin = (tag: string): { tag: string; class: "admin" } => ({ tag, class: "admin" });
const session = (tag: string): { tag: string; class: "session" } => ({ tag, class: "session" });

const objectClass = (type: string | undefined): StatementClass => {
  if (type === "OBJECT_ROLE") return "role";
  return ADMIN_TYPES.has(type ?? "") ? "admin" : "ddl";
};

/** Settings that make the session another user. Names of settings are compared without regard to case. */
const isRoleSetting = (name: string | undefined): boolean =>
  ["role", "session_authorization"].includes((name ?? "").toLowerCase());

/** With a schema before pg_catalog, PostgreSQL's own names may be somebody's: the text no longer says what is called. */
const shadows = ({ name, args = [] }: Nodes["VariableSetStmt"]): boolean =>
  (name ?? "").toLowerCase() === "search_path" && args.map(constant).indexOf("pg_catalog") > 0;

function settingClass(node: Nodes["VariableSetStmt"]): StatementClass {
  if (isRoleSetting(node.name)) return "role";
  return shadows(node) ? "admin" : "session";
}

/** Whatever is not surely off counts as on; the server takes the last of several. */
function isAnalyze(options: readonly unknown[] | undefined): boolean {
  return option(options, "analyze").some(({ arg }) => {
    const value = arg === undefined ? "true" : (constant(arg) ?? integer(arg) ?? boolean(arg) ?? "true");
    return !["0", "false", "off"].includes(value.toLowerCase());
  });
}

const integer = (arg: unknown): string | undefined => {
  const { Integer: value } = arg as Partial<Nodes>;
  return value === undefined ? undefined : String(value.ival ?? 0);
};
const boolean = (arg: unknown): string | undefined => {
  const { Boolean: value } = arg as Partial<Nodes>;
  return value === undefined ? undefined : String(value.boolval ?? false);
};

/** A library is loaded into the server, or an untrusted language (plpythonu, plperlu…) can do what the server can. */
function functionClass(node: Nodes["CreateFunctionStmt"]): StatementClass {
  const language = option(node.options, "language").map(({ arg }) => (constant(arg) ?? "").toLowerCase());
  return language.some((name) => name === "c" || name === "internal" || /^pl.*u$/.test(name)) ? "admin" : "ddl";
}

function alterTableClass(node: Nodes["AlterTableStmt"]): StatementClass {
  return (node.cmds ?? []).some((item) => (item as Partial<Nodes>).AlterTableCmd?.subtype === "AT_ChangeOwner")
    ? "role"
    : "ddl";
}

const COMMANDS: Commands = {
  SelectStmt: { tag: "SELECT", class: "read", visit: select },
  InsertStmt: { tag: "INSERT", class: "write", visit: modify },
  UpdateStmt: { tag: "UPDATE", class: "write", visit: modifyWhere },
  DeleteStmt: { tag: "DELETE", class: "write", visit: modifyWhere },
  MergeStmt: { tag: "MERGE", class: "write", visit: modify },
  TruncateStmt: { tag: "TRUNCATE TABLE", class: "write", visit: truncate },
  LockStmt: { tag: "LOCK TABLE", class: "write", visit: (walk, node) => targets(walk, node.relations) },
  // It runs the view's query, which was said when it was defined.
  RefreshMatViewStmt: { tag: "REFRESH MATERIALIZED VIEW", class: "write", visit: unnamed },
  NotifyStmt: { tag: "NOTIFY", class: "write" },

  CopyStmt: {
    tag: "COPY",
    class: (node) => (node.is_program === true || node.filename !== undefined ? "admin" : "copy"),
    visit: (walk, node, scope) => {
      walk.relation(node.relation, node.is_from ? "write" : "read");
      walk.visit(node.query, scope);
      walk.visit(node.whereClause, scope);
    },
  },

  ExplainStmt: {
    tag: "EXPLAIN",
    class: "read",
    visit: (walk, node, scope) => {
      if (isAnalyze(node.options)) walk.visit(node.query, scope);
      else walk.within("plan", () => walk.visit(node.query, scope));
    },
  },
  DeclareCursorStmt: { tag: "DECLARE CURSOR", class: "read" },
  FetchStmt: {
    tag: (node) => (node.ismove ? "MOVE" : "FETCH"),
    class: "read",
    // What the cursor reads was said when it was declared; one that a function opened was never said.
    visit: (walk) => walk.opaque(),
  },

  // What they execute is not in the text.
  ExecuteStmt: {
    tag: "EXECUTE",
    class: "unknown",
    visit: (walk, node, scope) => {
      // Plain EXPLAIN computes the parameters too, and shows what came of them in the plan.
      walk.raise("unknown");
      walk.opaque();
      walk.always(() => walk.visit(node.params, scope));
    },
  },
  DoStmt: { tag: "DO", class: "unknown", visit: (walk) => walk.opaque() },
  CallStmt: {
    tag: "CALL",
    class: "function",
    visit: (walk, node, scope) => {
      walk.opaque();
      walk.visit(node, scope);
    },
  },

  // The walk of what it prepares is the analyzer's: it is a statement of its own, and nothing of it happens now.
  PrepareStmt: { tag: "PREPARE", class: "session", visit: nothing },
  DeallocateStmt: { tag: (node) => (node.name === undefined ? "DEALLOCATE ALL" : "DEALLOCATE"), class: "session" },
  TransactionStmt: { tag: transactionTag, class: "session" },
  VariableSetStmt: {
    tag: (node) => (node.kind?.startsWith("VAR_RESET") ? "RESET" : "SET"),
    class: settingClass,
    visit: nothing,
  },
  VariableShowStmt: session("SHOW"),
  ConstraintsSetStmt: { ...session("SET CONSTRAINTS"), visit: nothing },
  DiscardStmt: {
    tag: (node) => `DISCARD ${(node.target ?? "").replace("DISCARD_", "")}`,
    class: "session",
  },
  ClosePortalStmt: {
    tag: (node) => (node.portalname === undefined ? "CLOSE CURSOR ALL" : "CLOSE CURSOR"),
    class: "session",
  },
  ListenStmt: session("LISTEN"),
  UnlistenStmt: session("UNLISTEN"),

  CreateStmt: {
    ...ddl("CREATE TABLE"),
    visit: (walk, node, scope) => {
      targets(walk, node.inhRelations);
      defined(walk, { ...node, inhRelations: [] }, scope);
    },
  },
  CreateTableAsStmt: {
    tag: (node) => {
      if (node.objtype === "OBJECT_MATVIEW") return "CREATE MATERIALIZED VIEW";
      return node.is_select_into ? "SELECT INTO" : "CREATE TABLE AS";
    },
    class: "ddl",
    visit: (walk, node, scope) => {
      if (walk.mode !== "plan") walk.relation(node.into?.rel, "write");
      walk.visit(node.query, scope);
    },
  },
  ViewStmt: { ...ddl("CREATE VIEW"), visit: defined },
  RuleStmt: { ...ddl("CREATE RULE"), visit: defined },
  CreatePolicyStmt: { ...ddl("CREATE POLICY"), visit: defined },
  AlterPolicyStmt: { ...ddl("ALTER POLICY"), visit: defined },
  CreateTrigStmt: {
    ...ddl("CREATE TRIGGER"),
    visit: (walk, node, scope) => {
      walk.mention(strings(node.funcname));
      defined(walk, node, scope);
    },
  },
  CreateFunctionStmt: {
    tag: (node) => (node.is_procedure ? "CREATE PROCEDURE" : "CREATE FUNCTION"),
    class: functionClass,
    visit: (walk, node, scope) => {
      // A body in a string is not read here; the server may read it, or does when it is called.
      if (option(node.options, "as").length > 0) walk.partial();
      defined(walk, node, scope);
    },
  },
  CreateDomainStmt: { ...ddl("CREATE DOMAIN"), visit: defined },
  CreateSeqStmt: { ...ddl("CREATE SEQUENCE"), visit: sequence },
  AlterSeqStmt: { ...ddl("ALTER SEQUENCE"), visit: sequence },
  IndexStmt: ddl("CREATE INDEX"),
  CreateStatsStmt: {
    ...ddl("CREATE STATISTICS"),
    visit: (walk, node, scope) => {
      targets(walk, node.relations);
      walk.visit(node.exprs, scope);
    },
  },
  CreateForeignTableStmt: {
    ...ddl("CREATE FOREIGN TABLE"),
    visit: defined,
  },
  CreateSchemaStmt: { ...ddl("CREATE SCHEMA"), visit: schema },
  CompositeTypeStmt: {
    ...ddl("CREATE TYPE"),
    visit: (walk, node, scope) => defined(walk, node.coldeflist ?? [], scope),
  },
  CreateEnumStmt: ddl("CREATE TYPE"),
  CreateRangeStmt: { ...ddl("CREATE TYPE"), visit: defined },
  DefineStmt: { tag: (node) => objectTag("CREATE", node.kind), class: "ddl", visit: defined },
  CreateOpClassStmt: { ...ddl("CREATE OPERATOR CLASS"), visit: defined },
  CreateOpFamilyStmt: ddl("CREATE OPERATOR FAMILY"),
  CreateConversionStmt: ddl("CREATE CONVERSION"),
  CreateCastStmt: { ...ddl("CREATE CAST"), visit: defined },
  CreateTransformStmt: { ...ddl("CREATE TRANSFORM"), visit: defined },
  CreatePublicationStmt: { ...ddl("CREATE PUBLICATION"), visit: publication },
  AlterPublicationStmt: { ...ddl("ALTER PUBLICATION"), visit: publication },

  AlterTableStmt: {
    tag: (node) => objectTag("ALTER", node.objtype),
    class: alterTableClass,
    visit: (walk, node, scope) => {
      if (node.objtype !== "OBJECT_TYPE") walk.relation(node.relation, "write");
      for (const item of node.cmds ?? []) {
        const { def, behavior } = (item as Partial<Nodes>).AlterTableCmd ?? {};
        cascading(walk, behavior);
        // INHERIT and NO INHERIT name a parent.
        targets(walk, [def ?? {}]);
        if ((def as Partial<Nodes> | undefined)?.RangeVar === undefined) walk.visit(item, scope);
      }
    },
  },
  AlterTableMoveAllStmt: { tag: (node) => objectTag("ALTER", node.objtype), class: "ddl", visit: others },
  RenameStmt: {
    tag: (node) => objectTag("ALTER", node.renameType === "OBJECT_COLUMN" ? node.relationType : node.renameType),
    class: (node) => objectClass(node.renameType),
    visit: (walk, node) => {
      cascading(walk, node.behavior);
      if (node.renameType !== "OBJECT_ATTRIBUTE" && node.renameType !== "OBJECT_TYPE")
        walk.relation(node.relation, "write");
    },
  },
  AlterObjectSchemaStmt: {
    tag: (node) => objectTag("ALTER", node.objectType),
    class: (node) => objectClass(node.objectType),
    visit: defined,
  },
  AlterObjectDependsStmt: { tag: (node) => objectTag("ALTER", node.objectType), class: "ddl", visit: defined },
  // Who owns an object has every right on it.
  AlterOwnerStmt: {
    tag: (node) => objectTag("ALTER", node.objectType),
    class: (node) => strongest("role", objectClass(node.objectType)),
    visit: defined,
  },
  // A constraint is checked in every table that has the type.
  AlterDomainStmt: { ...ddl("ALTER DOMAIN"), visit: unnamed },
  AlterFunctionStmt: { tag: (node) => objectTag("ALTER", node.objtype), class: "ddl", visit: defined },
  AlterEnumStmt: ddl("ALTER TYPE"),
  AlterTypeStmt: { ...ddl("ALTER TYPE"), visit: defined },
  AlterOperatorStmt: { ...ddl("ALTER OPERATOR"), visit: defined },
  AlterOpFamilyStmt: { ...ddl("ALTER OPERATOR FAMILY"), visit: defined },
  AlterCollationStmt: ddl("ALTER COLLATION"),
  AlterStatsStmt: ddl("ALTER STATISTICS"),
  AlterTSDictionaryStmt: { ...ddl("ALTER TEXT SEARCH DICTIONARY"), visit: defined },
  AlterTSConfigurationStmt: ddl("ALTER TEXT SEARCH CONFIGURATION"),
  DropStmt: {
    tag: (node) => objectTag("DROP", node.removeType),
    class: (node) => objectClass(node.removeType),
    visit: (walk, node) => {
      cascading(walk, node.behavior);
      // Of which table they are is not said.
      if (node.removeType === "OBJECT_STATISTIC_EXT") walk.partial();
      for (const object of node.objects ?? []) objectRelation(walk, node.removeType, object);
    },
  },
  CommentStmt: { ...ddl("COMMENT"), visit: (walk, node) => objectRelation(walk, node.objtype, node.object) },
  SecLabelStmt: { ...ddl("SECURITY LABEL"), visit: (walk, node) => objectRelation(walk, node.objtype, node.object) },

  GrantStmt: {
    tag: (node) => (node.is_grant ? "GRANT" : "REVOKE"),
    class: "role",
    visit: (walk, node) => {
      if (node.targtype === "ACL_TARGET_ALL_IN_SCHEMA") walk.partial("write");
      targets(walk, node.objects);
    },
  },
  GrantRoleStmt: { tag: (node) => (node.is_grant ? "GRANT ROLE" : "REVOKE ROLE"), class: "role" },
  AlterDefaultPrivilegesStmt: { ...role("ALTER DEFAULT PRIVILEGES"), visit: nothing },
  CreateRoleStmt: role("CREATE ROLE"),
  AlterRoleStmt: role("ALTER ROLE"),
  AlterRoleSetStmt: { ...role("ALTER ROLE"), visit: nothing },
  DropRoleStmt: role("DROP ROLE"),
  DropOwnedStmt: { ...role("DROP OWNED"), visit: others },
  ReassignOwnedStmt: { ...role("REASSIGN OWNED"), visit: others },

  VacuumStmt: {
    tag: (node) => (node.is_vacuumcmd ? "VACUUM" : "ANALYZE"),
    class: "admin",
    visit: (walk, node, scope) => (node.rels === undefined ? walk.partial("write") : walk.visit(node, scope)),
  },
  ClusterStmt: {
    ...admin("CLUSTER"),
    visit: (walk, node, scope) => (node.relation === undefined ? walk.partial("write") : walk.visit(node, scope)),
  },
  ReindexStmt: {
    ...admin("REINDEX"),
    visit: (walk, node, scope) => (node.relation === undefined ? walk.partial("write") : walk.visit(node, scope)),
  },
  CheckPointStmt: admin("CHECKPOINT"),
  LoadStmt: admin("LOAD"),
  AlterSystemStmt: { ...admin("ALTER SYSTEM"), visit: nothing },
  CreatedbStmt: admin("CREATE DATABASE"),
  AlterDatabaseStmt: admin("ALTER DATABASE"),
  AlterDatabaseSetStmt: { ...admin("ALTER DATABASE"), visit: nothing },
  AlterDatabaseRefreshCollStmt: admin("ALTER DATABASE"),
  DropdbStmt: admin("DROP DATABASE"),
  CreateTableSpaceStmt: admin("CREATE TABLESPACE"),
  AlterTableSpaceOptionsStmt: admin("ALTER TABLESPACE"),
  DropTableSpaceStmt: admin("DROP TABLESPACE"),
  // A script runs that is a file of the server.
  CreateExtensionStmt: { ...admin("CREATE EXTENSION"), visit: (walk) => walk.opaque() },
  AlterExtensionStmt: { ...admin("ALTER EXTENSION"), visit: (walk) => walk.opaque() },
  AlterExtensionContentsStmt: {
    ...admin("ALTER EXTENSION"),
    visit: (walk, node) => objectRelation(walk, node.objtype, node.object),
  },
  CreateFdwStmt: admin("CREATE FOREIGN DATA WRAPPER"),
  AlterFdwStmt: admin("ALTER FOREIGN DATA WRAPPER"),
  CreateForeignServerStmt: admin("CREATE SERVER"),
  AlterForeignServerStmt: admin("ALTER SERVER"),
  CreateUserMappingStmt: admin("CREATE USER MAPPING"),
  AlterUserMappingStmt: admin("ALTER USER MAPPING"),
  DropUserMappingStmt: admin("DROP USER MAPPING"),
  ImportForeignSchemaStmt: { ...admin("IMPORT FOREIGN SCHEMA"), visit: importSchema },
  CreatePLangStmt: admin("CREATE LANGUAGE"),
  CreateAmStmt: admin("CREATE ACCESS METHOD"),
  CreateEventTrigStmt: {
    ...admin("CREATE EVENT TRIGGER"),
    visit: (walk, node) => walk.mention(strings(node.funcname)),
  },
  AlterEventTrigStmt: admin("ALTER EVENT TRIGGER"),
  // Which tables are filled is the publisher's to say.
  CreateSubscriptionStmt: { ...admin("CREATE SUBSCRIPTION"), visit: others },
  AlterSubscriptionStmt: { ...admin("ALTER SUBSCRIPTION"), visit: others },
  DropSubscriptionStmt: admin("DROP SUBSCRIPTION"),
};

function transactionTag(node: Nodes["TransactionStmt"]): string {
  switch (node.kind) {
    case "TRANS_STMT_START":
      return "START TRANSACTION";
    case "TRANS_STMT_ROLLBACK_TO":
      return "ROLLBACK";
    case "TRANS_STMT_PREPARE":
      return "PREPARE TRANSACTION";
    default:
      return (node.kind ?? "UNKNOWN").replace("TRANS_STMT_", "").replace("_", " ");
  }
}

/** @param type of a node, such as `SelectStmt` @returns undefined for what is no statement, or none that is known */
export function commandOf(type: string): Command<object> | undefined {
  return Object.hasOwn(COMMANDS, type) ? (COMMANDS[type as keyof Commands] as Command<object>) : undefined;
}
