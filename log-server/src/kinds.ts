// The members of each kind of entry (spec/entry.md), as far as a reader must be able to interpret them: their types,
// and which of them no entry of the kind can be without. Members and kinds that are not here are accepted.

type Check = (value: unknown) => boolean;

interface Member {
  readonly is: Check;
  readonly required: boolean;
  /** For the error message: what the member has to be. */
  readonly says: string;
}

export type Members = ReadonlyMap<string, Member>;

/** @returns whether the value is a JSON object, as against an array or null. */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** @returns whether the value is an object in the place of a sealed value; its form is checked with the entry's. */
export function isSealed(value: unknown): value is { sealed: string; bytes: number } {
  return isObject(value) && Object.hasOwn(value, "sealed");
}

const DAYS = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
const TIMESTAMP = /^(\d{4})-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d\.\d{6}Z$/;

/** @returns whether the text is a timestamp in the form of spec/README.md, of a day that exists. */
export function isTimestamp(value: unknown): boolean {
  const match = typeof value === "string" ? TIMESTAMP.exec(value) : null;
  if (match === null) return false;
  const [year, month, day] = [Number(match[1]), Number(match[2]), Number(match[3])];
  const leap = year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0);
  return day <= DAYS[month - 1]! && (month !== 2 || leap || day <= 28);
}

const text: Check = (value) => typeof value === "string";
const flag: Check = (value) => typeof value === "boolean";
// The range of numbers is checked for the entry as a whole.
const count: Check = (value) => typeof value === "number";
const array: Check = Array.isArray;
const hex = (digits: number): Check => {
  const form = new RegExp(`^[0-9a-f]{${digits}}$`);
  return (value) => typeof value === "string" && form.test(value);
};
const sealable =
  (clear: Check): Check =>
  (value) =>
    clear(value) || isSealed(value);
const listOf =
  (item: Check): Check =>
  (value) =>
    Array.isArray(value) && value.every(item);

/** An object whose members named here, `?` ones only when they are there, have these types. */
function object(members: Record<string, Check>): Check {
  const checks = Object.entries(members).map(([name, is]) => {
    const optional = name.endsWith("?");
    return { name: optional ? name.slice(0, -1) : name, optional, is };
  });
  return (value) =>
    isObject(value) &&
    checks.every(({ name, optional, is }) => (Object.hasOwn(value, name) ? is(value[name]) : optional));
}

const says = new Map<Check, string>([
  [text, "a string"],
  [flag, "true or false"],
  [count, "an integer"],
  [array, "an array"],
  [isTimestamp, "a timestamp such as 2026-11-22T22:10:00.123456Z"],
]);

function members(table: Record<string, Check>): Members {
  return new Map(
    Object.entries(table).map(([key, is]) => {
      const required = !key.endsWith("?");
      return [required ? key : key.slice(0, -1), { is, required, says: says.get(is) ?? "as spec/entry.md has it" }];
    }),
  );
}

const actor = object({ login: text, "auth?": text });
const client = object({ address: sealable(text), "application?": text, "tls?": flag });
const relation = object({ "schema?": text, name: text, access: text });

/** By kind; a name with `?` stands for a member that can be left out. */
export const kinds: ReadonlyMap<string, Members> = new Map([
  [
    "source.start",
    members({
      vkey: text,
      software: object({ name: text, version: text }),
      config: hex(64),
      durability: object({ reads: text, others: text, window_ms: count }),
      seals: object({ every_entries: count, every_ms: count, idle_ms: count }),
      previous: (value) =>
        value === null || object({ epoch: count, next: count, chain: text, clean: flag, spool: text })(value),
    }),
  ],
  ["source.seal", members({ seal: text })],
  ["source.stop", members({ reason: text, seal: text })],
  [
    "session.start",
    members({
      session: text,
      actor: object({ login: text, auth: text }),
      database: text,
      client: object({ address: sealable(text), "application?": text, tls: flag }),
      server: object({ version: text, pid: count }),
      protocol: text,
    }),
  ],
  [
    "session.end",
    members({
      session: text,
      actor,
      database: text,
      start: isTimestamp,
      duration_us: count,
      statements: count,
      failed: count,
      rows: count,
      bytes_in: count,
      bytes_out: count,
      reason: text,
    }),
  ],
  ["access.refused", members({ actor, "database?": text, client, by: text, sqlstate: text, "error?": sealable(text) })],
  [
    "statement",
    members({
      session: text,
      actor,
      database: text,
      n: count,
      "role?": text,
      client,
      protocol: text,
      operation: text,
      class: text,
      "relations?": listOf(relation),
      "functions?": listOf(text),
      "fingerprint?": hex(16),
      complete: flag,
      "incomplete?": text,
      "sql?": sealable(text),
      "function_oid?": count,
      "params?": sealable(array),
      "params_count?": count,
      "tx?": text,
      start: isTimestamp,
      "duration_us?": count,
      outcome: text,
      "sqlstate?": text,
      "tag?": text,
      "rows?": count,
      "bytes_in?": count,
      "bytes_out?": count,
      "error?": sealable(text),
      "recovered?": object({ epoch: count }),
    }),
  ],
  ["config.change", members({ config: hex(64), previous_config: hex(64) })],
]);
