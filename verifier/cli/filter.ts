import type { Entry } from "../src/entries/entry.ts";

/** Which entries are listed. What is undefined does not restrict. */
export type Filter = {
  /** The login, exactly. */
  user: string | undefined;
  /** Who stands behind the login, as it was authenticated, exactly. */
  identity: string | undefined;
  /** Whom the client says that it works for, exactly. */
  claimed: string | undefined;
  database: string | undefined;
  /** `name` or `schema.name`. */
  table: string | undefined;
  /** Operation of a statement, or kind of another entry, in any case. */
  operation: string | undefined;
  /** Timestamp, inclusive. */
  since: string | undefined;
  /** Timestamp, exclusive. */
  until: string | undefined;
};

/** @returns whether anything restricts the list. */
export function isFiltering(filter: Filter): boolean {
  return Object.values(filter).some((value) => value !== undefined);
}

type Relation = { schema?: string; name: string };

/** @returns the operation of a statement, the kind of anything else. */
export function operationOf(entry: Entry): string {
  return entry.kind === "statement" ? (entry.operation as string) : entry.kind;
}

/** @returns the name of the role that logged in, where the entry has one. */
export function loginOf(entry: Entry): string | undefined {
  const login = (entry.actor as { login?: unknown } | undefined)?.login;
  return typeof login === "string" ? login : undefined;
}

/** @returns who stands behind the login, where the entry says it as authenticated. */
export function identityOf(entry: Entry): string | undefined {
  const identity = (entry.actor as { identity?: unknown } | undefined)?.identity;
  return typeof identity === "string" ? identity : undefined;
}

/** @returns whom the client says that it works for, which nobody has checked. */
function claimedOf(entry: Entry): unknown {
  return (entry.claimed as { user?: { name?: unknown } } | undefined)?.user?.name;
}

/** @returns the relations of a statement, `schema.name` where the schema is known. */
export function tablesOf(entry: Entry): string[] {
  return relationsOf(entry).map(({ schema, name }) => (schema === undefined ? name : `${schema}.${name}`));
}

function relationsOf(entry: Entry): readonly Relation[] {
  return entry.kind === "statement" ? ((entry.relations as Relation[] | undefined) ?? []) : [];
}

/** How many statements may mean, or reach, the table that was asked for, and are not listed. */
export type Doubts = {
  /** They name such a table without a schema: it is one of the search path, which the entry does not know. */
  schema: number;
  /** They do more than can be read off their text (`complete` is false). */
  text: number;
};

/**
 * @param filter what the caller asked for
 * @returns counts, of entries that the filter does not match, those that may be about the table all the same
 */
export function makeDoubt(filter: Filter, doubts: Doubts): (kind: string, text: string) => void {
  const { table } = filter;
  if (table === undefined) return () => undefined;
  const mayMean = ({ schema, name }: Relation): boolean => schema === undefined && table.endsWith(`.${name}`);
  const others = makeFilter({ ...filter, table: undefined });
  return (kind, text) => {
    if (kind !== "statement" || !others(kind, text)) return;
    const entry = JSON.parse(text) as Entry;
    if (relationsOf(entry).some(mayMean)) doubts.schema++;
    else if (entry.complete === false) doubts.text++;
  };
}

/**
 * @param filter what the caller asked for
 * @returns a test of entries that passed E1 and E2, by kind and text
 */
export function makeFilter(filter: Filter): (kind: string, text: string) => boolean {
  // Nearly all entries of a long log are asked, most often for nothing but their kind: they are parsed when need be.
  if (!isFiltering(filter)) return (kind) => isAccess(kind);
  const { user, identity, claimed, database, table, since, until } = filter;
  const operation = filter.operation?.toLowerCase();
  const anyKind = [user, identity, claimed, database, table, operation].some((value) => value !== undefined);
  return (kind, text) => {
    if (!anyKind && !isAccess(kind)) return false;
    const entry = JSON.parse(text) as Entry;
    if (since !== undefined && entry.time < since) return false;
    if (until !== undefined && entry.time >= until) return false;
    if (user !== undefined && loginOf(entry) !== user) return false;
    if (identity !== undefined && identityOf(entry) !== identity) return false;
    if (claimed !== undefined && claimedOf(entry) !== claimed) return false;
    if (database !== undefined && entry.database !== database) return false;
    if (operation !== undefined && operationOf(entry).toLowerCase() !== operation) return false;
    return table === undefined || hasTable(entry, table);
  };
}

function isAccess(kind: string): boolean {
  return kind === "statement" || kind === "access.refused";
}

function hasTable(entry: Entry, table: string): boolean {
  return relationsOf(entry).some(
    ({ schema, name }) => name === table || (schema !== undefined && `${schema}.${name}` === table),
  );
}
