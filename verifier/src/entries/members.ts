import { decodeBase64 } from "../formats/base64.ts";
import { isCount, isTimestamp, parseDecimal } from "../formats/text.ts";
import {
  type Check,
  countPattern,
  literal,
  patternOf,
  positivePattern,
  sealedPattern,
  severalPattern,
  textPattern,
  timestampPattern,
  written,
} from "./patterns.ts";
import { parseSealed } from "./sealed.ts";

/** The words in which the tables of step E2 are written: what a member may be, and how that is checked. */

export type Members = Record<string, unknown>;
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
  return written((value) => isObject(value) && checkAll(members, value) === undefined, objectPattern(members));
}

/** @returns the pattern of an object with these members in this order and no others; undefined when one has none */
function objectPattern(members: readonly Member[]): string | undefined {
  const parts: Part[] = [];
  for (const { name, check, optional } of members) {
    const pattern = patternOf(check);
    if (pattern === undefined) return undefined;
    parts.push({ text: `${literal(JSON.stringify(name))}:${pattern}`, optional });
  }
  return `\\{${fromFirst(parts)}\\}`;
}

type Part = { text: string; optional: boolean };

/** Before the first member that is there stands no comma, before the others one. */
function fromFirst([first, ...rest]: readonly Part[]): string {
  if (first === undefined) return "";
  const here = first.text + rest.map(({ text, optional }) => (optional ? `(?:,${text})?` : `,${text}`)).join("");
  return first.optional ? `(?:${here}|${fromFirst(rest)})` : here;
}

export function arrayOf(check: Check): Check {
  const pattern = patternOf(check);
  const list = pattern && `\\[(?:${pattern}(?:,${pattern})*)?\\]`;
  return written((value) => Array.isArray(value) && value.every(check), list);
}

const listed = new WeakSet<Check>();

export function oneOf(...values: string[]): Check {
  const check: Check = (value) => typeof value === "string" && values.includes(value);
  listed.add(check);
  return written(check, `(?:${values.map((value) => literal(JSON.stringify(value))).join("|")})`);
}

/** @returns whether the check is one of {@link oneOf} */
export function isList(check: Check): boolean {
  return listed.has(check);
}

/** @param inside the same as a pattern of characters that stand as themselves in a JSON string, for {@link written} */
export function matching(pattern: RegExp, inside?: string): Check {
  return written((value) => typeof value === "string" && pattern.test(value), inside && `"(?:${inside})"`);
}

/** In the clear, or an object with a member `sealed`, which no clear value has. */
function sealable(isClear: Check): Check {
  const clear = patternOf(isClear);
  return written(
    (value) => (isObject(value) && Object.hasOwn(value, "sealed") ? parseSealed(value) !== undefined : isClear(value)),
    clear && `(?:${sealedPattern}|${clear})`,
  );
}

export const isText: Check = written((value) => typeof value === "string", textPattern);
export const isBoolean: Check = written((value) => typeof value === "boolean", "(?:true|false)");
export const isPositive: Check = written((value) => isCount(value) && value >= 1, positivePattern);
/** An integer from 2. */
export const isSeveral: Check = written((value) => isCount(value) && value >= 2, severalPattern);
export const isDigest: Check = matching(/^[0-9a-f]{64}$/, "[0-9a-f]{64}");
export const isSession: Check = written(
  (value) => typeof value === "string" && parseSessionId(value) !== undefined,
  `"${positivePattern}\\.${countPattern}"`,
);
written(isCount, countPattern);
written(isTimestamp, timestampPattern);

const isBinary: Check = (value) =>
  isObject(value) &&
  Object.keys(value).length === 1 &&
  typeof value.base64 === "string" &&
  decodeBase64(value.base64) !== undefined;
const isDigestOfBlock: Check = (value) =>
  isObject(value) && Object.keys(value).length === 2 && isCount(value.bytes) && isDigest(value.sha256);

/** What a member that may be sealed is when it stands in the clear, and what its disclosure holds, by its path. */
export const clearValues: ReadonlyMap<string, (value: unknown) => boolean> = new Map<string, Check>([
  ["sql", written((value) => isText(value) || isBinary(value) || isDigestOfBlock(value), textPattern)],
  [
    "params",
    written(
      (value) =>
        Array.isArray(value) ? value.every((p) => p === null || isText(p) || isBinary(p)) : isDigestOfBlock(value),
      `\\[(?:(?:null|${textPattern})(?:,(?:null|${textPattern}))*)?\\]`,
    ),
  ],
  ["error", isText],
  ["client.address", isText],
  ["reason", isText],
]);

export const sealableSql: Check = sealable(clearValues.get("sql")!);
export const sealableParams: Check = sealable(clearValues.get("params")!);
export const sealableError: Check = sealable(clearValues.get("error")!);
export const sealableAddress: Check = sealable(clearValues.get("client.address")!);
export const sealableReason: Check = sealable(clearValues.get("reason")!);

/** @returns the two numbers of a session id `<epoch>.<n>`, or undefined when it has another form. */
export function parseSessionId(id: string): { epoch: number; n: number } | undefined {
  const dot = id.indexOf(".");
  const epoch = parseDecimal(id.slice(0, dot));
  const n = parseDecimal(id.slice(dot + 1));
  return dot < 0 || epoch === undefined || epoch < 1 || n === undefined ? undefined : { epoch, n };
}
