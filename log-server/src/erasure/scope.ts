import type { EntryValue } from "../entries/entry.ts";
import { isObject, timestamp } from "../entries/forms.ts";
import { mayBeWithin } from "../search/zones.ts";
import type { ErasureScope } from "../store/store.ts";

/** @returns the scope in a request's JSON, or what is wrong with it. */
export function parseScope(value: unknown): ErasureScope | string {
  if (!isObject(value)) return "expected an object with one of index, login and before";
  const names = Object.keys(value);
  const [name] = names;
  if (names.length !== 1) return `expected exactly one of index, login and before, and not ${names.length} members`;
  const member = value[name!];
  switch (name) {
    case "index":
      if (Number.isSafeInteger(member) && (member as number) >= 0) return { index: member as number };
      return "index: expected an integer from 0";
    case "login":
      // A login that no entry can have, since it is no text in UTF-8, would silently match nothing.
      if (typeof member === "string" && member !== "" && !/\p{Surrogate}/u.test(member)) return { login: member };
      return "login: expected the name of a role";
    case "before":
      if (timestamp(member)) return { before: member as string };
      return "before: expected a timestamp such as 2026-11-22T22:10:00.000000Z";
    default:
      return `there is no scope ${JSON.stringify(name)}; expected index, login or before`;
  }
}

/** @returns the entries that can match: from, and up to. */
export function scopeRange({ index }: ErasureScope, end: number): { from: number; to: number } {
  return index === undefined ? { from: 0, to: end } : { from: Math.min(index, end), to: Math.min(index + 1, end) };
}

/**
 * @returns a test of an entry's bytes, the index apart: false for most that are not in the scope, without parsing them.
 * An entry is in compact form, so that each value has one spelling in it.
 */
export function makePrefilter({ login, before }: ErasureScope): (bytes: Buffer) => boolean {
  if (login !== undefined) {
    const member = Buffer.from(`"login":${JSON.stringify(login)}`);
    return (bytes) => bytes.includes(member);
  }
  const range = { values: new Map(), since: undefined, until: before };
  return (bytes) => mayBeWithin(bytes, range);
}

/** @returns whether an entry is in the scope, its index apart. */
export function inScope(scope: ErasureScope, entry: EntryValue): boolean {
  // Timestamps of one form sort as their text does.
  if (scope.before !== undefined) return entry.time < scope.before;
  if (scope.login !== undefined) return isObject(entry.actor) && entry.actor.login === scope.login;
  return true;
}
