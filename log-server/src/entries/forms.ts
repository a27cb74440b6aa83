import { parseDecimal } from "../formats/encoding.ts";

// Forms of values inside an entry: small checks, put together in kinds.ts.

/** Whether a value of parsed JSON has a form. */
export interface Form {
  (value: unknown): boolean;
  /**
   * Source of a regular expression: valid UTF-8 that it matches, each byte taken as one character (Latin-1), is a value with
   * this form in compact JSON. It need not match all such values; absent: it would match none. No part of it can match in
   * two ways, so that a failure costs no more than one pass.
   */
  readonly pattern?: string | undefined;
  /** Of an object: the forms of its members. */
  readonly members?: ReadonlyMap<string, Form>;
  /** Of a value that may be sealed: the form that it has in the clear. */
  readonly clear?: Form;
}

function withPattern(check: (value: unknown) => boolean, pattern: string | undefined): Form {
  return Object.assign((value: unknown) => check(value), { pattern });
}

/** @returns the source of a regular expression that matches this text alone. */
export function literal(value: string): string {
  return value.replace(/[\\^$.*+?()[\]{}|/-]/g, "\\$&");
}

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

// Fifteen digits are below 2^53. JSON.stringify escapes the quote, the backslash, what is below U+0020, and surrogates,
// which UTF-8 does not have.
const COUNT = "(?:0|[1-9][0-9]{0,14})";
const POSITIVE = "[1-9][0-9]{0,14}";
const PLAIN = "[ !#-\\[\\]-\\xff]*";

export const text: Form = withPattern((value) => typeof value === "string", `"${PLAIN}(?:\\\\["\\\\bfnrt]${PLAIN})*"`);
export const flag: Form = withPattern((value) => typeof value === "boolean", "(?:true|false)");
/** In an entry every number is one already; in a disclosure it may be any. */
export const count: Form = withPattern((value) => Number.isSafeInteger(value) && (value as number) >= 0, COUNT);
/** What is said only where it is false. */
export const no: Form = withPattern((value) => value === false, "false");
/** Nothing known. */
export const none: Form = withPattern((value) => value === null, "null");

export function atLeast(least: number): Form {
  return withPattern((value) => count(value) && (value as number) >= least, least === 1 ? POSITIVE : undefined);
}

export function oneOf(...values: readonly string[]): Form {
  const known = new Set<unknown>(values);
  return withPattern((value) => known.has(value), alternatives(values.map((value) => literal(JSON.stringify(value)))));
}

export function matching(form: RegExp): Form {
  return (value) => typeof value === "string" && form.test(value);
}

/** A string that this matches as a whole: printable ASCII without `"` and `\\`. */
function word(source: string): Form {
  const form = new RegExp(`^(?:${source})$`);
  return withPattern((value) => typeof value === "string" && form.test(value), `"(?:${source})"`);
}

/** One with another pattern may begin alike, but none of them is the beginning of another. */
export function anyOf(...forms: readonly Form[]): Form {
  const patterns = forms.map(({ pattern }) => pattern).filter((pattern) => pattern !== undefined);
  return withPattern((value) => forms.some((form) => form(value)), alternatives(patterns));
}

function alternatives(patterns: readonly string[]): string | undefined {
  return patterns.length === 0 ? undefined : `(?:${patterns.join("|")})`;
}

export function listOf(item: Form): Form {
  const { pattern } = item;
  return withPattern(
    (value) => Array.isArray(value) && value.every((each) => item(each)),
    pattern === undefined ? undefined : `\\[(?:${pattern}(?:,${pattern})*)?\\]`,
  );
}

interface ObjectMember {
  readonly name: string;
  readonly optional: boolean;
  readonly form: Form;
}

/** The members of an object; one whose name ends in `?` may be absent. */
export function members(forms: Readonly<Record<string, Form>>): readonly ObjectMember[] {
  return Object.entries(forms).map(([key, form]) => {
    const optional = key.endsWith("?");
    return { name: optional ? key.slice(0, -1) : key, optional, form };
  });
}

/** In the order in which they are named; the last one is always there, so that each optional one has a comma behind. */
function objectPattern(list: readonly ObjectMember[]): string | undefined {
  if (list.at(-1)?.optional !== false || list.some(({ form }) => form.pattern === undefined)) return undefined;
  const parts = list.map(({ name, optional, form }, i) => {
    const part = `${literal(JSON.stringify(name))}:${form.pattern}${i < list.length - 1 ? "," : ""}`;
    return optional ? `(?:${part})?` : part;
  });
  return `\\{${parts.join("")}\\}`;
}

/** An object whose members named here have these forms; one whose name ends in `?` may be absent. */
export function object(forms: Readonly<Record<string, Form>>): Form {
  const list = members(forms);
  const check = (value: unknown): boolean =>
    isObject(value) &&
    list.every(({ name, optional, form }) => (Object.hasOwn(value, name) ? form(value[name]) : optional));
  return Object.assign(check, {
    pattern: objectPattern(list),
    members: new Map(list.map(({ name, form }) => [name, form])),
  });
}

/** As `object`, without any other member. */
export function exactly(forms: Readonly<Record<string, Form>>): Form {
  const form = object(forms);
  const size = Object.keys(forms).length;
  return withPattern((value) => form(value) && Object.keys(value as object).length === size, form.pattern);
}

/** `<epoch>.<n>`, both decimal; an epoch is at least 1. */
export const session: Form = withPattern((value) => {
  if (typeof value !== "string") return false;
  const dot = value.indexOf(".");
  const epoch = parseDecimal(value.slice(0, dot));
  return dot > 0 && epoch !== undefined && epoch >= 1 && parseDecimal(value.slice(dot + 1)) !== undefined;
}, `"${POSITIVE}\\.${COUNT}"`);

const DAYS = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
const TIMESTAMP = /^(\d{4})-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d\.\d{6}Z$/;

const DAY_IN_PATTERN =
  "(?:(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])|(?:0[13-9]|1[0-2])-(?:29|30)|(?:0[13578]|1[02])-31)";

/** A timestamp in the form of spec/README.md, of a day that exists. (The 29th of February is in no pattern.) */
export const timestamp: Form = withPattern((value) => {
  const match = typeof value === "string" ? TIMESTAMP.exec(value) : null;
  if (match === null) return false;
  const [year, month, day] = [Number(match[1]), Number(match[2]), Number(match[3])];
  const leap = year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0);
  return day <= DAYS[month - 1]! && (month !== 2 || leap || day <= 28);
}, `"[0-9]{4}-${DAY_IN_PATTERN}T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\\.[0-9]{6}Z"`);

/** base64url of 32 bytes in its one spelling: the last character carries four bits. */
export const hashBase64url: Form = word("[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]");
export const hashBase64: Form = word("[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=");
export const sha256Hex: Form = hex(64);
const base64: Form = word("(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=|[A-Za-z0-9+/][AQgw]==)?");

/** So many hex digits, in lower case. */
export function hex(digits: number): Form {
  return word(`[0-9a-f]{${digits}}`);
}

/** A SQLSTATE. */
export const sqlstate: Form = word("[0-9A-Z]{5}");

const inBase64 = exactly({ base64 });
const byDigest = exactly({ bytes: count, sha256: sha256Hex });

/** The values that may be sealed, in the form in which they are disclosed or stand in the clear, by their path. */
export const sealableForms: ReadonlyMap<string, Form> = new Map([
  ["sql", anyOf(text, inBase64, byDigest)],
  ["params", anyOf(listOf(anyOf(none, text, inBase64)), byDigest)],
  ["error", text],
  ["client.address", text],
  ["reason", text],
]);

/** The value of a path in `sealableForms`, sealed or in the clear. */
export function sealable(path: string): Form {
  const clear = sealableForms.get(path)!;
  return Object.assign((value: unknown) => clear(value) || isSealed(value), { clear });
}
