import { session as isSession, timestamp } from "../entries/forms.ts";
import { statementClasses, statementOutcomes } from "../entries/kinds.ts";
import { LogServerError } from "../errors.ts";
import { parseDecimal } from "../formats/encoding.ts";
import { isKeyName } from "../formats/note.ts";
import { readCursor } from "./cursor.ts";
import type { SearchRequest } from "./search.ts";
import { type SearchField, type SearchFieldName, type SearchQuery, searchFields } from "./terms.ts";

// The query parameters of a search. A parameter that is not known is refused: taken for no filter at all, it would
// find more than was asked for.

const DEFAULT_LIMIT = 50;
const MOST_LIMIT = 500;
/** Values in one query, of all fields together; and characters of one. */
const MOST_VALUES = 64;
const LONGEST_VALUE = 1024;

const others: ReadonlySet<string> = new Set(["since", "until", "limit", "cursor"]);
const fields: ReadonlyMap<string, SearchField> = new Map(searchFields.map((field) => [field.name, field]));

/** What a value must be beyond a text that is not empty; where it is a closed list, a misspelling is said. */
const forms: { readonly [name in SearchFieldName]?: readonly [(value: string) => boolean, string] } = {
  class: [(value) => statementClasses.includes(value), `one of ${statementClasses.join(", ")}`],
  outcome: [(value) => statementOutcomes.includes(value), `one of ${statementOutcomes.join(", ")}`],
  source: [isKeyName, "the name of a source"],
  session: [isSession, "<epoch>.<n>, as in the entries"],
};

function bad(parameter: string, what: string): LogServerError {
  return new LogServerError("bad_parameter", `${parameter}: ${what}`, { parameter });
}

function readTime(name: string, value: string): string {
  if (timestamp(value)) return value;
  throw bad(name, "expected a timestamp in UTC with six fractional digits, such as 2026-11-22T22:10:00.123456Z");
}

function readValues(field: SearchField, given: readonly string[]): string[] {
  const form = forms[field.name];
  for (const value of given) {
    if (value === "") throw bad(field.name, "it is empty; leave it out to find every value");
    if (value.length > LONGEST_VALUE) throw bad(field.name, `it has more than ${LONGEST_VALUE} characters`);
    if (form !== undefined && !form[0](value)) throw bad(field.name, `expected ${form[1]}`);
  }
  return [...new Set(given.map(field.comparable))];
}

function readLimit(text: string): number {
  const limit = parseDecimal(text);
  if (limit === undefined || limit === 0 || limit > MOST_LIMIT) {
    throw bad("limit", `expected a decimal from 1 to ${MOST_LIMIT}`);
  }
  return limit;
}

/**
 * Reads the parameters of a search.
 * @param parameters by name; repeated ones as an array
 * @param published size of the latest checkpoint
 * @throws LogServerError `bad_parameter`
 */
export function readSearch(parameters: Readonly<Record<string, unknown>>, published: number): SearchRequest {
  const values = new Map<SearchField, string[]>();
  const single: Record<string, string> = {};
  let count = 0;
  for (const [name, given] of Object.entries(parameters)) {
    const list = (Array.isArray(given) ? given : [given]) as string[];
    const field = fields.get(name);
    if (field !== undefined) {
      values.set(field, readValues(field, list));
      count += list.length;
    } else if (!others.has(name)) {
      throw bad(name.slice(0, 64), `there is no such parameter; there are ${[...fields.keys(), ...others].join(", ")}`);
    } else if (list.length > 1) {
      throw bad(name, "it is given more than once");
    } else {
      single[name] = list[0]!;
    }
  }
  if (count > MOST_VALUES) throw bad("request", `it has more than ${MOST_VALUES} values to search for`);
  const { since, until, limit, cursor } = single;
  const query: SearchQuery = {
    values,
    since: since === undefined ? undefined : readTime("since", since),
    until: until === undefined ? undefined : readTime("until", until),
  };
  const request = { query, limit: limit === undefined ? DEFAULT_LIMIT : readLimit(limit) };
  if (cursor === undefined) return request;
  const from = readCursor(cursor, query);
  if (from === "other") throw bad("cursor", "it belongs to another search: give the same parameters with it");
  if (from === undefined || from.size > published) throw bad("cursor", "it is not one that this log gave");
  return { ...request, from };
}
