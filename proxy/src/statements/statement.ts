/** What a statement's text says about it: spec/entry.md, kind `statement`. */

/**
 * Effects, weakest first; a statement has the strongest that is found anywhere in it.
 *
 * | class | what puts a statement there |
 * |---|---|
 * | read | SELECT, VALUES, TABLE, plain EXPLAIN, DECLARE CURSOR, FETCH, when every function and operator called is one of PostgreSQL's that change nothing |
 * | session | SET, SHOW, BEGIN, PREPARE, LISTEN, DISCARD…; functions that touch the session alone (advisory locks, pg_sleep) |
 * | copy | COPY between the database and the client |
 * | write | INSERT, UPDATE, DELETE, MERGE, TRUNCATE, LOCK, REFRESH, NOTIFY; row locks (SELECT … FOR UPDATE); nextval, setval, lo_put… |
 * | function | a call of a function or operator that is not known: it may do anything its owner may |
 * | ddl | CREATE, ALTER, DROP, COMMENT, SELECT INTO… |
 * | role | GRANT, REVOKE, roles, owners, SET ROLE, SET SESSION AUTHORIZATION |
 * | admin | reach beyond the database's data: server files and programs, other servers, other sessions, settings, maintenance |
 * | unknown | a string is executed, or the text could not be understood |
 */
export const CLASSES = ["read", "session", "copy", "write", "function", "ddl", "role", "admin", "unknown"] as const;

export type StatementClass = (typeof CLASSES)[number];

export function strongest(a: StatementClass, b: StatementClass): StatementClass {
  return CLASSES.indexOf(a) > CLASSES.indexOf(b) ? a : b;
}

/** Why not everything that a statement does can be read off its text. */
export type Incomplete = "syntax" | "too-large" | "encoding" | "opaque" | "analysis";

export type Access = "read" | "write";

/**
 * A relation that the text names. A written one is listed as read only when it also stands as a source, or its rows are
 * returned (RETURNING). What a definition names (a view's query, a rule's actions) counts as touched by the definition.
 */
export interface Relation {
  readonly schema?: string;
  readonly name: string;
  readonly access: Access;
}

/** A relation that is written to change settings. */
export function isSettings({ schema, name, access }: Relation): boolean {
  return access === "write" && name === "pg_settings" && (schema === undefined || schema === "pg_catalog");
}

/** What the statement does to the session, for whoever keeps track of it. */
export type SessionEffect =
  | {
      readonly kind: "transaction";
      readonly verb:
        | "begin"
        | "commit"
        | "rollback"
        | "savepoint"
        | "release"
        | "rollback-to"
        | "prepare"
        | "commit-prepared"
        | "rollback-prepared";
      readonly chain: boolean;
      readonly name?: string;
    }
  /** `inner` is what an EXECUTE of it will do: its class, relations and functions. */
  | { readonly kind: "prepare"; readonly name: string; readonly inner: Facts }
  /** `given` is what its parameters do, where they are more than constants: the server computes them first. */
  | { readonly kind: "execute"; readonly name: string; readonly given?: Facts }
  /** No name: all of them. */
  | { readonly kind: "deallocate"; readonly name?: string }
  /** `name` in lower case; `value` when it is written as constants; no value: DEFAULT. */
  | { readonly kind: "set"; readonly name: string; readonly local: boolean; readonly value?: string }
  /** No name: RESET ALL. */
  | { readonly kind: "reset"; readonly name?: string }
  | { readonly kind: "discard"; readonly what: "all" | "plans" | "sequences" | "temp" }
  | { readonly kind: "declare"; readonly name: string; readonly hold: boolean }
  | { readonly kind: "fetch"; readonly name: string }
  /** No name: all of them. */
  | { readonly kind: "close"; readonly name?: string }
  | { readonly kind: "listen"; readonly name: string }
  /** No name: all of them. */
  | { readonly kind: "unlisten"; readonly name?: string }
  /** SHOW of a setting that is the proxy's own; `name` in lower case. */
  | { readonly kind: "show"; readonly name: string }
  /**
   * set_config(), or an UPDATE of pg_settings: which setting is changed cannot always be told. `local`: all of them up
   * to the transaction's end. Not told of what has another effect as well; `effectful` has the function in any case.
   */
  | { readonly kind: "set-config"; readonly local: boolean }
  /** pg_advisory_unlock_all(), for certain. */
  | { readonly kind: "unlock-all" }
  /** It makes something that lives as long as the session: a temporary table, view or sequence, anything in `pg_temp`. */
  | { readonly kind: "temporary" };

/** What was found in the statement's tree. */
export interface Facts {
  /** The command tag that PostgreSQL gives it (CreateCommandTag in its utility.c), or `UNKNOWN`. */
  readonly operation: string;
  readonly class: StatementClass;
  /** Sorted by schema (none first), name and access, each once; names of CTEs are not relations. */
  readonly relations: readonly Relation[];
  /** As written, a part that is not a plain lower-case identifier in double quotes; sorted, each once. */
  readonly functions: readonly string[];
  readonly complete: boolean;
  readonly incomplete?: Incomplete;
  /**
   * Something runs that is not in the text: DO, CALL, EXECUTE, FETCH, functions and operators of somebody's, a string,
   * a script. Left out are casts to somebody's types (an enum's are everywhere), and what only reaches more than it
   * names, as CASCADE does: `incomplete` covers them.
   */
  readonly unseen: boolean;
  /**
   * The text is a query of class `read` without a locking clause, and every function, operator and type in it is one of
   * PostgreSQL's own, by name. What cannot be seen in a text: views, row security, a function of somebody's called in the
   * notation of a column (`t.f`), and functions behind PostgreSQL's names (a search_path that puts another schema before pg_catalog,
   * an overload for a type of one's own).
   */
  readonly provenRead: boolean;
  /** What is done to relations that the text does not name (CASCADE, ALL IN SCHEMA, a sequence that is computed). */
  readonly elsewhere: Access | undefined;
  /** An UPDATE or DELETE without WHERE is executed. */
  readonly unfiltered: boolean;
  /** Those of `functions` that are called and are not PostgreSQL's without effect. */
  readonly effectful: readonly string[];
  /** An operator is called that is not known to be PostgreSQL's: it may stand for any function. */
  readonly foreignOperator: boolean;
  /** An operator or a type is used without its schema (`=` by IN, CASE and USING too): which one is for the search_path. */
  readonly bare: boolean;
  readonly effect?: SessionEffect;
}

export interface Statement extends Facts {
  /** Byte offsets of the statement within the text it came from; white space around it is not part of it. */
  readonly start: number;
  readonly end: number;
  /** libpg_query's fingerprint, 16 hex digits; absent when the text has no tree. */
  readonly fingerprint?: string;
  /** One object for all texts that were found alike, so that what follows from it can be remembered by it. */
  readonly facts: Facts;
  /** The members `operation` to `incomplete` of an entry as JSON text, without braces; the same bytes for the same facts. */
  readonly members: string;
}

/** A statement with more names than an entry should carry is recorded by its digest alone. Bytes of JSON. */
const MAX_MEMBERS = 32_768;

/** Of a statement that nothing is known of. */
export const UNKNOWN_FACTS: Facts & { readonly complete: false } = {
  operation: "UNKNOWN",
  class: "unknown",
  relations: [],
  functions: [],
  complete: false,
  incomplete: "opaque",
  unseen: true,
  provenRead: false,
  elsewhere: undefined,
  unfiltered: false,
  effectful: [],
  foreignOperator: false,
  bare: false,
};

/** A text, or a part of one, that was not understood. */
export function notUnderstood(start: number, end: number, why: Incomplete, operation = "UNKNOWN"): Statement {
  return statement(start, end, { ...UNKNOWN_FACTS, operation, incomplete: why }, undefined);
}

export function statement(start: number, end: number, facts: Facts, fingerprint: string | undefined): Statement {
  const members = JSON.stringify({
    operation: facts.operation,
    class: facts.class,
    relations: facts.relations,
    functions: facts.functions,
    ...(fingerprint === undefined ? {} : { fingerprint }),
    complete: facts.complete,
    ...(facts.incomplete === undefined ? {} : { incomplete: facts.incomplete }),
  }).slice(1, -1);
  if (Buffer.byteLength(members) > MAX_MEMBERS) return notUnderstood(start, end, "too-large", facts.operation);
  return { start, end, ...facts, ...(fingerprint === undefined ? {} : { fingerprint }), facts, members };
}
