import { isOfSource } from "../entries/added.ts";
import { isObject } from "../entries/forms.ts";

// What of an entry can be searched for. The index holds, for each field and value, which entries have it; whether an
// entry that the index names really has it is read off the entry itself, by the same functions.

/** A parsed entry, whatever its kind. */
export type Members = Readonly<Record<string, unknown>>;

export type SearchFieldName =
  | "actor"
  | "database"
  | "relation"
  | "class"
  | "operation"
  | "outcome"
  | "source"
  | "session"
  | "kind"
  | "identity"
  | "claimed"
  | "rule"
  | "would_deny";

export interface SearchField {
  readonly name: SearchFieldName;
  /** In the keys of the index; 1 to 127. */
  readonly code: number;
  /** Whether an entry may have any number of values; else it has a few at most. */
  readonly isList: boolean;
  /** @returns the values that the entry is found by, in the form that `comparable` gives. */
  readonly valuesOf: (entry: Members) => string[];
  /** @returns the form in which values are compared. */
  readonly comparable: (value: string) => string;
}

const asItIs = (value: string): string => value;

function texts(...values: readonly unknown[]): string[] {
  return values.filter((value) => typeof value === "string");
}

/**
 * The names of whoever acted: the role that logged in, and the identity behind it, where the entry has one; of the
 * log's own acts the name of the token that was used. (A refused access has `by` as well, for who refused it.)
 */
function actors({ kind, actor, by, reader }: Members): string[] {
  const token = kind === "access.refused" ? [] : texts(by, reader);
  return isObject(actor) ? [...texts(actor.login, actor.identity), ...token] : token;
}

/** Who stands behind the login, as far as that was authenticated; nothing that is only claimed. */
function identities({ actor }: Members): string[] {
  return isObject(actor) ? texts(actor.identity) : [];
}

/** Whom the client says that it works for: found by this field alone, for nobody has checked it. */
function claims({ claimed }: Members): string[] {
  return isObject(claimed) && isObject(claimed.user) ? texts(claimed.user.name) : [];
}

/** Each relation by its name, and by `schema.name` as well when the entry says the schema. */
function relations({ relations: list }: Members): string[] {
  if (!Array.isArray(list)) return [];
  const names: string[] = [];
  for (const relation of list) {
    if (!isObject(relation) || typeof relation.name !== "string") continue;
    names.push(relation.name);
    if (typeof relation.schema === "string") names.push(`${relation.schema}.${relation.name}`);
  }
  return names;
}

/** The operation of a statement; of another entry its kind, as the verifier's --operation has it. */
function operations({ kind, operation }: Members): string[] {
  return texts(kind === "statement" ? operation : kind).map((value) => value.toLowerCase());
}

function member(name: SearchFieldName, code: number): SearchField {
  return { name, code, isList: false, valuesOf: (entry) => texts(entry[name]), comparable: asItIs };
}

export const searchFields: readonly SearchField[] = [
  { name: "actor", code: 1, isList: false, valuesOf: actors, comparable: asItIs },
  member("database", 2),
  { name: "relation", code: 3, isList: true, valuesOf: relations, comparable: asItIs },
  member("class", 4),
  { name: "operation", code: 5, isList: false, valuesOf: operations, comparable: (value) => value.toLowerCase() },
  member("outcome", 6),
  member("source", 7),
  member("session", 8),
  member("kind", 9),
  { name: "identity", code: 10, isList: false, valuesOf: identities, comparable: asItIs },
  { name: "claimed", code: 11, isList: false, valuesOf: claims, comparable: asItIs },
  member("rule", 12),
  member("would_deny", 13),
];

/** What is searched for: entries that have, for each field named, one of its values, and a time in the range. */
export interface SearchQuery {
  /** Values in the form of `comparable`, at least one a field. */
  readonly values: ReadonlyMap<SearchField, readonly string[]>;
  /** Timestamp, inclusive. */
  readonly since: string | undefined;
  /** Timestamp, exclusive. */
  readonly until: string | undefined;
}

/** Timestamps have one width, so that they compare as texts do. */
export function isWithin(time: unknown, { since, until }: SearchQuery): boolean {
  return typeof time === "string" && (since === undefined || time >= since) && (until === undefined || time < until);
}

/**
 * @returns the entry's members; undefined for what came without a source: it may say what it likes, and is found by
 * its index alone
 */
export function membersOf(bytes: Buffer): Members | undefined {
  if (!isOfSource(bytes)) return undefined;
  try {
    const value: unknown = JSON.parse(bytes.toString("utf8"));
    return isObject(value) ? value : undefined;
  } catch {
    return undefined; // no log takes in such a one
  }
}

/** @returns whether the entry is what was searched for. */
export function makeMatcher(query: SearchQuery): (bytes: Buffer) => boolean {
  const wanted = [...query.values].map(([field, values]) => ({ field, values: new Set(values) }));
  const timed = query.since !== undefined || query.until !== undefined;
  return (bytes) => {
    const entry = membersOf(bytes);
    if (entry === undefined || (timed && !isWithin(entry.time, query))) return false;
    return wanted.every(({ field, values }) => field.valuesOf(entry).some((value) => values.has(value)));
  };
}
