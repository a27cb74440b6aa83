import { parseDecimal } from "./encoding.ts";

// Forms of values inside an entry: small checks, put together in kinds.ts.

/** Whether a value of parsed JSON has a form. */
export type Form = (value: unknown) => boolean;

/** @returns whether the value is a JSON object, as against an array or null. */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** @returns whether the value is an object in the place of a sealed value; its form is checked with the entry's. */
export function isSealed(value: unknown): value is { sealed: string; bytes: number } {
  return isObject(value) && Object.hasOwn(value, "sealed");
}

/** Objects and arrays inside one another, the outermost included (spec/entry.md, "Bytes"). */
export const MAX_DEPTH = 64;

/** @param depth of the value's surroundings; 0 at the outermost value */
export function isTooDeep(value: unknown, depth: number): boolean {
  if (typeof value !== "object" || value === null) return false;
  return depth === MAX_DEPTH || Object.values(value).some((member) => isTooDeep(member, depth + 1));
}

export const text: Form = (value) => typeof value === "string";
export const flag: Form = (value) => typeof value === "boolean";
/** In an entry every number is one already; in a disclosure it may be any. */
export const count: Form = (value) => Number.isSafeInteger(value) && (value as number) >= 0;

export function atLeast(least: number): Form {
  return (value) => count(value) && (value as number) >= least;
}

export function oneOf(...values: readonly string[]): Form {
  const known = new Set<unknown>(values);
  return (value) => known.has(value);
}

export function matching(form: RegExp): Form {
  return (value) => typeof value === "string" && form.test(value);
}

export function anyOf(...forms: readonly Form[]): Form {
  return (value) => forms.some((form) => form(value));
}

export function listOf(item: Form): Form {
  return (value) => Array.isArray(value) && value.every(item);
}

/** An object whose members named here have these forms; one whose name ends in `?` may be absent. */
export function object(members: Readonly<Record<string, Form>>): Form {
  const checks = Object.entries(members).map(([name, form]) => {
    const optional = name.endsWith("?");
    return { name: optional ? name.slice(0, -1) : name, optional, form };
  });
  return (value) =>
    isObject(value) &&
    checks.every(({ name, optional, form }) => (Object.hasOwn(value, name) ? form(value[name]) : optional));
}

/** As `object`, without any other member. */
export function exactly(members: Readonly<Record<string, Form>>): Form {
  const form = object(members);
  const size = Object.keys(members).length;
  return (value) => form(value) && Object.keys(value as object).length === size;
}

/** `<epoch>.<n>`, both decimal; an epoch is at least 1. */
export const session: Form = (value) => {
  if (typeof value !== "string") return false;
  const dot = value.indexOf(".");
  const epoch = parseDecimal(value.slice(0, dot));
  return dot > 0 && epoch !== undefined && epoch >= 1 && parseDecimal(value.slice(dot + 1)) !== undefined;
};

const DAYS = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
const TIMESTAMP = /^(\d{4})-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d\.\d{6}Z$/;

/** A timestamp in the form of spec/README.md, of a day that exists. */
export const timestamp: Form = (value) => {
  const match = typeof value === "string" ? TIMESTAMP.exec(value) : null;
  if (match === null) return false;
  const [year, month, day] = [Number(match[1]), Number(match[2]), Number(match[3])];
  const leap = year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0);
  return day <= DAYS[month - 1]! && (month !== 2 || leap || day <= 28);
};

/** base64url of 32 bytes in its one spelling: the last character carries four bits. */
export const hashBase64url: Form = matching(/^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$/);
export const hashBase64: Form = matching(/^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$/);
export const sha256Hex: Form = matching(/^[0-9a-f]{64}$/);
const base64: Form = matching(/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=|[A-Za-z0-9+/][AQgw]==)?$/);

const inBase64 = exactly({ base64 });
const byDigest = exactly({ bytes: count, sha256: sha256Hex });

/** The values that may be sealed, in the form in which they are disclosed or stand in the clear, by their path. */
export const sealableForms: ReadonlyMap<string, Form> = new Map([
  ["sql", anyOf(text, inBase64, byDigest)],
  ["params", anyOf(listOf(anyOf((value) => value === null, text, inBase64)), byDigest)],
  ["error", text],
  ["client.address", text],
  ["reason", text],
]);

/** The value of a path in `sealableForms`, sealed or in the clear. */
export function sealable(path: string): Form {
  return anyOf(sealableForms.get(path)!, isSealed);
}
