/** What was said of a statement's text against what the server did: nothing may be said for certain and be too little. */
import { CLASSES, type Statement, type StatementClass } from "../../../src/statements/index.ts";
import type { Known, Seen } from "./witness.ts";

const rank = (name: StatementClass): number => CLASSES.indexOf(name);

/** What the server's tag alone demands, by PostgreSQL's chapter "SQL Commands". */
const TAGS: readonly (readonly [RegExp, StatementClass])[] = [
  [/^(INSERT|UPDATE|DELETE|MERGE|TRUNCATE TABLE|LOCK TABLE|REFRESH MATERIALIZED VIEW|NOTIFY)\b/, "write"],
  [/^(GRANT|REVOKE|ALTER DEFAULT PRIVILEGES|DROP OWNED|REASSIGN OWNED)\b/, "role"],
  [/^(CREATE|ALTER|DROP) ROLE$/, "role"],
  [/^(VACUUM|ANALYZE|CLUSTER|REINDEX|CHECKPOINT|LOAD|ALTER SYSTEM|IMPORT FOREIGN SCHEMA)$/, "admin"],
  [
    /^(CREATE|ALTER|DROP) (DATABASE|TABLESPACE|EXTENSION|SERVER|USER MAPPING|FOREIGN DATA WRAPPER|LANGUAGE|ACCESS METHOD|EVENT TRIGGER|SUBSCRIPTION)$/,
    "admin",
  ],
  [/^(CREATE|ALTER|DROP|COMMENT|SECURITY LABEL)\b/, "ddl"],
  [/^COPY\b/, "copy"],
  [/^(SET|RESET|DISCARD|LISTEN|UNLISTEN|PREPARE|DEALLOCATE|BEGIN|COMMIT|ROLLBACK|SAVEPOINT|RELEASE)\b/, "session"],
];

/** Catalogs that say who may do what. */
const ROLE_CATALOGS = /^pg_(authid|auth_members|db_role_setting|parameter_acl|default_acl)$/;
/** Rows of data that stand in catalogs. */
const DATA_CATALOGS = /^pg_(largeobject|largeobject_metadata|shdepend)$/;

/** From here on a lock is more than a reader's; what a definition names it may lock as well, short of the last mode. */
const ACCESS_SHARE = 1;
const ROW_SHARE = 2;
const EXCLUSIVE = 8;

/** Read-only transactions refuse it with this. */
const READ_ONLY = "25006";

/**
 * @param path schemas in which a name without one is looked for, in order
 * @returns what was said for certain and is too little; empty when nothing was
 */
export function judge(said: Statement, seen: Seen, path: readonly string[]): string[] {
  const wrong: string[] = [];
  if (said.provenRead && !said.complete) wrong.push("a proven read is incomplete");
  // Temporary relations are the session's own.
  if (!said.complete || said.operation.startsWith("DISCARD")) return wrong;
  const planned = said.operation === "EXPLAIN" && said.class === "read";
  const least = (needed: StatementClass, why: string): void => {
    if (rank(said.class) < rank(needed)) wrong.push(`class ${said.class} is below ${needed}: ${why}`);
  };

  for (const tag of seen.tags) {
    const needed = TAGS.find(([pattern]) => pattern.test(tag))?.[1];
    // CREATE TABLE AS and its like answer with the tag SELECT.
    if (needed !== undefined) least(needed, `tag ${tag}`);
  }
  for (const tag of seen.definitions) least("ddl", `event trigger ${tag}`);
  for (const catalog of seen.catalogs) {
    if (ROLE_CATALOGS.test(catalog)) least("role", `rows of ${catalog} changed`);
    else if (DATA_CATALOGS.test(catalog)) least("write", `rows of ${catalog} changed`);
    // A new file for the rows.
    else if (catalog !== "pg_class" || !/^(TRUNCATE TABLE|REFRESH)/.test(said.operation))
      least("ddl", `rows of ${catalog} changed`);
  }
  for (const setting of seen.settings) {
    least(/^(role|session_authorization)$/.test(setting) ? "role" : "session", `setting ${setting} changed`);
  }
  const writes = said.relations.some(({ access }) => access === "write");
  const numbered = said.functions.some((name) => /^(pg_current_xact_id|txid_current)$/.test(name));
  if (seen.wrote && !numbered && !(said.class === "copy" && writes)) {
    if (rank(said.class) <= rank("copy")) wrong.push(`class ${said.class}, and it wrote`);
  }
  if (seen.wrote && said.provenRead) wrong.push("a proven read wrote");
  for (const name of seen.functions) wrong.push(`complete, and ${name} ran`);

  const { read, written } = reached(said, seen, path);
  const views = seen.relations.filter(({ oid, kind }) => kind === "v" && read.has(oid)).length > 0;
  const describes = said.functions.some((name) => DESCRIBE.test(name));
  for (const { oid, schema, name, kind, rank: mode } of seen.locks) {
    if (describes && mode === ACCESS_SHARE) continue;
    // `?`: made and dropped by the statement, as a copy of the rows is.
    if (schema === "oracle" || schema === "?" || schema === "pg_toast") continue;
    // A composite type holds no rows.
    if (kind === "c" || DATA_CATALOGS.test(name)) continue;
    if (schema === "pg_catalog" && !readsCatalog(said, kind, views)) continue;
    const what = `${schema}.${name} (${kind}, lock ${mode})`;
    if (!read.has(oid)) wrong.push(`misses ${what}`);
    // The server has one mode for all that is done with a sequence.
    else if (
      kind !== "S" &&
      mode >= (rank(said.class) < rank("ddl") ? ROW_SHARE : EXCLUSIVE) &&
      !planned &&
      !written.has(oid)
    )
      wrong.push(`calls a read ${what}`);
  }
  for (const name of seen.changed) {
    const relation = seen.relations.find(({ schema, name: own }) => `${schema}.${own}` === name);
    if (!name.startsWith("oracle.") && !written.has(relation?.oid ?? 0)) wrong.push(`misses rows changed in ${name}`);
  }
  return wrong;
}

/** Relations that the statement's own lead to: all, and those that lead from a written one. */
function reached(
  said: Statement,
  seen: Seen,
  path: readonly string[],
): Record<"read" | "written", ReadonlySet<number>> {
  const find = finder(seen.relations, path, rank(said.class) >= rank("ddl"));
  const written = said.relations.filter(({ access }) => access === "write");
  return {
    read: closure(said.relations.flatMap(find), seen.edges),
    written: closure(written.flatMap(find), seen.edges),
  };
}

/** The least that pgAudit's classes demand; READ and MISC demand nothing. */
const AUDIT_CLASSES: ReadonlyMap<string, StatementClass> = new Map([
  ["WRITE", "copy"],
  ["DDL", "ddl"],
  ["ROLE", "role"],
]);

/**
 * @param seen with pgAudit's lines as notices: `pgaudit.log = 'all'`, `log_relation` and `log_client` on
 * @returns what pgAudit tells, and what was said for certain leaves out
 */
export function judgeAudited(said: Statement, seen: Seen, path: readonly string[]): string[] {
  if (!said.complete) return [];
  const { read, written } = reached(said, seen, path);
  const wrong: string[] = [];
  for (const notice of seen.notices) {
    const line = /^AUDIT: SESSION,\d+,\d+,(\w+),([^,]*),([^,]*),("(?:[^"]|"")*"|[^,]*),/.exec(notice);
    if (line === null) continue;
    const [, kind, command, type, name] = line;
    const needed = AUDIT_CLASSES.get(kind!);
    if (needed !== undefined && !/^(EXPLAIN|PREPARE)$/.test(said.operation) && rank(said.class) < rank(needed))
      wrong.push(`class ${said.class} is below ${needed}: audited as ${kind} ${command}`);
    if (kind === "FUNCTION") wrong.push(`complete, and audited as ${kind} ${command} ${name}`);
    if (!/TABLE|VIEW|SEQUENCE|INDEX/.test(type!)) continue;
    const relation = seen.relations.find(
      ({ schema, name: own }) => quoted(schema, own) === name!.replace(/^"|"$/g, "").replaceAll('""', '"'),
    );
    if (relation === undefined) continue;
    if (!read.has(relation.oid)) wrong.push(`misses ${name}, audited as ${kind} ${command}`);
    else if (kind === "WRITE" && said.operation !== "EXPLAIN" && !written.has(relation.oid))
      wrong.push(`calls a read ${name}, audited as ${command}`);
  }
  return wrong;
}

/** As PostgreSQL's quote_qualified_identifier writes it. */
const quoted = (...parts: readonly string[]): string =>
  parts
    .map((part) => (/^[a-z_][a-z0-9_]*$/.test(part) && part !== "select" ? part : `"${part.replaceAll('"', '""')}"`))
    .join(".");

/** @returns what is wrong with the answer to the same statement in a read-only transaction */
export function judgeReadOnly(said: Statement, error: { readonly code: string } | undefined): string[] {
  if (error?.code !== READ_ONLY || !said.complete) return [];
  const reads = said.provenRead || said.class === "read";
  return reads ? ["called a read, and refused in a read-only transaction"] : [];
}

/** Functions of PostgreSQL's that tell of definitions, written in SQL or through a query. */
const DESCRIBE = /^(?:pg_catalog\.)?"?(?:(?:col|obj|shobj)_description|pg_get_\w+|pg_partition_\w+|ts_debug)"?$/;

/** Catalogs are locked to the end of the transaction only where the text names them, but for definitions. */
function readsCatalog(said: Statement, kind: string, views: boolean): boolean {
  return !views && kind !== "i" && ["read", "copy", "write"].includes(said.class) && said.operation !== "LOCK TABLE";
}

type Named = { readonly schema?: string; readonly name: string };

/** @param makes a definition may make it in the first schema, or in that of temporary ones, whatever is found elsewhere */
function finder(relations: readonly Known[], path: readonly string[], makes: boolean): (named: Named) => number[] {
  const byName = new Map<string, number[]>();
  for (const { oid, schema, name } of relations) {
    const key = `${schema}\0${name}`;
    byName.set(key, [...(byName.get(key) ?? []), oid]);
  }
  const temporary = [...new Set(relations.map(({ schema }) => schema).filter((schema) => /^pg_temp_/.test(schema)))];
  // They come first, unless the path says where they come.
  const first = path.some((schema) => temporary.includes(schema)) ? [] : temporary;
  const catalog = path.includes("pg_catalog") ? [] : ["pg_catalog"];
  return ({ schema, name }) => {
    const schemas =
      schema === undefined ? [...first, ...catalog, ...path] : schema === "pg_temp" ? temporary : [schema];
    const found = schemas.flatMap((each) => {
      const oids = byName.get(`${each}\0${name}`);
      return oids === undefined ? [] : [oids];
    });
    return makes ? found.flat() : (found[0] ?? []);
  };
}

function closure(roots: readonly number[], edges: readonly (readonly [number, number])[]): ReadonlySet<number> {
  const next = new Map<number, number[]>();
  for (const [from, to] of edges) next.set(from, [...(next.get(from) ?? []), to]);
  const reached = new Set(roots);
  const open = [...roots];
  for (let at = open.pop(); at !== undefined; at = open.pop()) {
    for (const to of next.get(at) ?? []) {
      if (reached.has(to)) continue;
      reached.add(to);
      open.push(to);
    }
  }
  return reached;
}
