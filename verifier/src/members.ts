import { decodeBase64 } from "./base64.ts";
import { parseSealed } from "./sealed.ts";
import { isCount, parseDecimal } from "./text.ts";

/** The words in which the tables of step E2 are written: what a member may be, and how that is checked. */

export type Members = Record<string, unknown>;
export type Check = (value: unknown) => boolean;
/** Name, what it must be (to say so), how that is checked, and whether it may be left out. */
export type Member = { name: string; what: string; check: Check; optional: boolean };

export function must(name: string, what: string, check: Check): Member {
  return { name, what, check, optional: false };
}

export function may(name: string, what: string, check: Check): Member {
  return { name, what, check, optional: true };
}

function isObject(value: unknown): value is Members {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** @returns what is wrong with the members, or undefined. */
export function checkAll(members: readonly Member[], object: Members): string | undefined {
  for (const member of members) {
    const value = object[member.name];
    if (value === undefined) {
      if (!member.optional) return `${member.name} is missing`;
    } else if (!member.check(value)) {
      return `${member.name} is not ${member.what}`;
    }
  }
  return undefined;
}

export function object(members: readonly Member[]): Check {
  return (value) => isObject(value) && checkAll(members, value) === undefined;
}

export function oneOf(...values: string[]): Check {
  return (value) => typeof value === "string" && values.includes(value);
}

export function matching(pattern: RegExp): Check {
  return (value) => typeof value === "string" && pattern.test(value);
}

/** In the clear, or an object with a member `sealed`, which no clear value has. */
function sealable(isClear: Check): Check {
  return (value) =>
    isObject(value) && Object.hasOwn(value, "sealed") ? parseSealed(value) !== undefined : isClear(value);
}

export const isText: Check = (value) => typeof value === "string";
export const isBoolean: Check = (value) => typeof value === "boolean";
export const isPositive: Check = (value) => isCount(value) && value >= 1;
export const isDigest: Check = matching(/^[0-9a-f]{64}$/);
export const isSession: Check = (value) => typeof value === "string" && parseSessionId(value) !== undefined;

const isBinary: Check = (value) =>
  isObject(value) &&
  Object.keys(value).length === 1 &&
  typeof value.base64 === "string" &&
  decodeBase64(value.base64) !== undefined;
const isDigestOfBlock: Check = (value) =>
  isObject(value) && Object.keys(value).length === 2 && isCount(value.bytes) && isDigest(value.sha256);

/** What a member that may be sealed is when it stands in the clear, and what its disclosure holds, by its path. */
export const clearValues: ReadonlyMap<string, (value: unknown) => boolean> = new Map<string, Check>([
  ["sql", (value) => isText(value) || isBinary(value) || isDigestOfBlock(value)],
  [
    "params",
    (value) =>
      Array.isArray(value) ? value.every((p) => p === null || isText(p) || isBinary(p)) : isDigestOfBlock(value),
  ],
  ["error", isText],
  ["client.address", isText],
]);

export const sealableSql: Check = sealable(clearValues.get("sql")!);
export const sealableParams: Check = sealable(clearValues.get("params")!);
export const sealableError: Check = sealable(clearValues.get("error")!);
export const sealableAddress: Check = sealable(clearValues.get("client.address")!);

/** @returns the two numbers of a session id `<epoch>.<n>`, or undefined when it has another form. */
export function parseSessionId(id: string): { epoch: number; n: number } | undefined {
  const dot = id.indexOf(".");
  const epoch = parseDecimal(id.slice(0, dot));
  const n = parseDecimal(id.slice(dot + 1));
  return dot < 0 || epoch === undefined || epoch < 1 || n === undefined ? undefined : { epoch, n };
}
